"""The kernels of a GPU one by one, for benchmarks/gpu.py, which measures them, and benchmarks/instructions.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from tinycnn.ops.windows import Window


class Case(NamedTuple):
    """A call of one of the package's kernels, or of few."""

    name: str
    elements: int  # of the result
    bytes: int  # that have to be read and written, each array once but where said otherwise
    call: Callable[[], Any]


def window(size: int, kernel: int, stride: int, padding: int = 0, dims: int = 2) -> Window:
    return Window((size,) * dims, (kernel,) * dims, (stride,) * dims, ((padding, padding),) * dims, (1,) * dims)


def cases(N: int, C: int, size: int, dtype: str) -> Iterator[Case]:
    """Activations (N, C, size, size), batch innermost; size is a multiple of 14."""
    import cupy

    from tinycnn.backend.gpu import kernels as gpu

    def case(name: str, result: Any, others: tuple, function: Callable, *arguments: Any, times: int = 1) -> Case:
        total = times * (result.nbytes + sum(array.nbytes for array in others))
        return Case(name, result.size, total, lambda: function(*arguments))

    numbers = np.random.default_rng(0).standard_normal((size, C, size, N), np.float32).astype(dtype)
    x = cupy.asarray(numbers).transpose(3, 1, 0, 2)  # from (H, C, W, N)
    y, dims = x.copy(order="K"), (0, 2, 3)
    yield case("ReLU, gradient", x, (x, y), gpu.relu_backward, x, y)
    standard, _, _, inverse_std = gpu.standardize(x, dims, 1e-5)
    yield case("standardizing", x, (x, x), gpu.standardize, x, dims, 1e-5)  # x for the statistics, and again
    both = (x, standard, x, standard)
    yield case("standardizing, gradient", x, both, gpu.standardize_backward, x, standard, inverse_std, dims)
    for kernel, w in {"2 × 2": window(size, 2, 2), "3 × 3, stride 2": window(size, 3, 2, 1)}.items():
        pooled, argmax = gpu.max_pool(x, w, True)
        yield case(f"max pooling {kernel}", pooled, (argmax, x), gpu.max_pool, x, w, True)
        yield case(f"max pooling {kernel}, gradient", x, (pooled, argmax), gpu.scatter_taps, pooled, argmax, w)
    w = window(size, 7, 7)
    sums = gpu.window_sum(x, w)
    yield case("sums over 7 × 7", sums, (x,), gpu.window_sum, x, w)
    yield case("sums over 7 × 7, gradient", x, (sums,), gpu.window_spread, sums, w)
    for width, stride in ((5, 1), (3, 2)):
        w = window(size, width, stride, width // 2, dims=1)
        unfolded = cupy.zeros((size, width, C, *w.output_size, N), dtype)  # (H, KW, C, OW, N), as in ops/conv_rows.py
        columns, rows, folded = unfolded.transpose(1, 0, 2, 4, 3), x.transpose(2, 1, 0, 3), y.transpose(2, 1, 0, 3)
        yield case(f"unfolding {width}, stride {stride}", columns, (x,), gpu.unfold_into, columns, rows, w)
        yield case(f"folding {width}, stride {stride}", y, (columns,), gpu.fold_into, folded, columns, w)
