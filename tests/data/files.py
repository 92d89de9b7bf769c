"""Small files in the published formats of data sets, for the tests of what reads them."""

import hashlib
import tracemalloc


def idx_bytes(array):
    """`array`, of bytes or of 32-bit integers, in the IDX format."""
    kind = {"uint8": 8, "int32": 12}[array.dtype.name]
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, kind, array.ndim]) + sizes + array.astype(array.dtype.newbyteorder(">")).tobytes()


def md5(content):
    return hashlib.md5(content).hexdigest()


def peak_of(function):
    """The most memory that Python and NumPy had at a time within `function`, beyond what they had before."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
