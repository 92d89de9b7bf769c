"""torch's path of `tinycnn.interop.dlpack`."""

from tinycnn.interop.dlpack import DLDeviceType, from_dlpack, to_dlpack

__all__ = ["DLDeviceType", "from_dlpack", "to_dlpack"]
