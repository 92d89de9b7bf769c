"""The kernels of a GPU, by the names of those in `backend/cpu.py`. The CUDA sources are in `cuda/`."""

import cupy as xp

from tinycnn.backend.gpu.elementwise import (
    add_at,
    as_strided,
    broadcast_to,
    concatenate,
    erf,
    in_row_order,
    index_add,
    masked,
    relu,
    relu_backward,
    scratch,
    threads_for,
)
from tinycnn.backend.gpu.loss import cross_entropy, cross_entropy_backward, wrong_class
from tinycnn.backend.gpu.matmul import matmul, rounded
from tinycnn.backend.gpu.optim import Numbers, optimizer_step, scale_all, total_norm
from tinycnn.backend.gpu.order import in_memory_order
from tinycnn.backend.gpu.random import Generator, dropout_mask, shifted
from tinycnn.backend.gpu.reduce import along, reduced, standardize, standardize_backward, sum_over
from tinycnn.backend.gpu.windows import (
    fold_into,
    gather_taps,
    max_pool,
    scatter_taps,
    unfold_into,
    window_spread,
    window_sum,
)

BLOCK_BYTES = 256 << 20  # that a convolution unfolds at a time: enough work for one launch to fill a GPU
