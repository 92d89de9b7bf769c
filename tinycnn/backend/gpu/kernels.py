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

BLOCK_BYTES = 48 << 20  # that a convolution unfolds at a time: enough work to fill a GPU, and about what it is made of
