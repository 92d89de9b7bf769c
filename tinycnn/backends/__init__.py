"""torch's switches of the libraries below it. tinycnn has none of these libraries: a switch may be set, and changes
nothing but what its module says."""

from tinycnn.backends import cuda, cudnn, mps

__all__ = ["cuda", "cudnn", "mps"]
