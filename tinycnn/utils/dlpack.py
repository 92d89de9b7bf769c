"""torch's path of `tinycnn.interop.dlpack`."""

from tinycnn.interop.dlpack import from_dlpack, to_dlpack

__all__ = ["from_dlpack", "to_dlpack"]
