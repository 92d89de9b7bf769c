"""The same values in different memory orders: no result may depend on how an input lies in memory."""

import numpy as np


def in_axis_order(array, *axes):
    """A copy whose memory has `axes` from the outermost to the innermost."""
    return np.ascontiguousarray(array.transpose(axes)).transpose(np.argsort(axes))


def batch_innermost(array):
    """(N, C, H, W..) as (H, C, W.., N) in memory, the order of the activations."""
    return in_axis_order(array, 2, 1, *range(3, array.ndim), 0)


def channels_last(array):
    return in_axis_order(array, 0, *range(2, array.ndim), 1)


def reversed_memory(array):
    """Negative strides along every axis."""
    every = (slice(None, None, -1),) * array.ndim
    return np.ascontiguousarray(array[every])[every]


def sliced(array):
    """Every second element, from the second on, of a larger array along every axis; the others are nan."""
    larger = np.full([2 * size + 1 for size in array.shape], np.nan if array.dtype.kind == "f" else 99, array.dtype)
    view = larger[(slice(1, None, 2),) * array.ndim]
    view[...] = array
    return view


LAYOUTS = {
    "row-major": np.ascontiguousarray,
    "column-major": np.asfortranarray,
    "batch innermost": batch_innermost,
    "channels last": channels_last,
    "reversed": reversed_memory,
    "sliced": sliced,
}
