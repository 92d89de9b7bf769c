"""ONNX: `export` writes a net to a file, `load` reads one. Both need the extra `onnx`."""

from tinycnn.interop.onnx_export import export
from tinycnn.interop.onnx_import import load

__all__ = ["export", "load"]
