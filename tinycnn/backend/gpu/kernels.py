"""The kernels of a GPU, by the names of those in `backend/cpu.py`. The CUDA sources are in `cuda/`."""

import cupy as xp

from tinycnn.backend.gpu.augment import *
from tinycnn.backend.gpu.elementwise import *
from tinycnn.backend.gpu.loss import *
from tinycnn.backend.gpu.matmul import *
from tinycnn.backend.gpu.optim import *
from tinycnn.backend.gpu.order import *
from tinycnn.backend.gpu.random import *
from tinycnn.backend.gpu.reduce import *
from tinycnn.backend.gpu.windows import *
