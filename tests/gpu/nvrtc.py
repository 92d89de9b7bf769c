"""NVIDIA's compiler of CUDA C++, without a GPU or a driver: the wheel nvidia-cuda-nvrtc-cu12."""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from ctypes import byref, c_char_p, c_size_t, c_void_p
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple


class Compiled(NamedTuple):
    """What the compiler gives: machine code in an ELF file and its assembly language before, None if it failed."""

    cubin: bytes | None
    ptx: str | None
    log: str


@cache
def library() -> Any:
    """The loaded library; ImportError where it is not installed."""
    folders = getattr(importlib.util.find_spec("nvidia"), "submodule_search_locations", None) or []
    pattern = "nvrtc64_12*.dll" if sys.platform == "win32" else "libnvrtc.so.12"
    found = [path for folder in folders for path in Path(folder).glob(f"cuda_nvrtc/*/{pattern}")]
    if not found:
        raise ImportError("needs NVIDIA's compiler: pip install nvidia-cuda-nvrtc-cu12")
    return ctypes.CDLL(str(min(found, key=lambda path: len(path.name))))


def compiled(name: str, source: str, architecture: str) -> Compiled:
    """`source` compiled as backend/gpu does, for "sm_90" or another architecture."""
    program = c_void_p()
    call("nvrtcCreateProgram", byref(program), c_char_p(source.encode()), c_char_p(name.encode()), 0, None, None)
    options = [f"--gpu-architecture={architecture}".encode(), b"--std=c++17", b"-ftz=true"]  # the last is CuPy's own
    succeeded = library().nvrtcCompileProgram(program, len(options), (c_char_p * len(options))(*options)) == 0
    log = _content(program, "ProgramLog").rstrip(b"\0").decode()
    cubin, ptx = (_content(program, what) if succeeded else None for what in ("CUBIN", "PTX"))
    call("nvrtcDestroyProgram", byref(program))
    return Compiled(cubin, ptx and ptx.rstrip(b"\0").decode(), log)


def _content(program: c_void_p, what: str) -> bytes:
    size = c_size_t()
    call(f"nvrtcGet{what}Size", program, byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    call(f"nvrtcGet{what}", program, buffer)
    return buffer.raw


def call(function: str, *arguments: Any) -> None:
    status = getattr(library(), function)(*arguments)
    assert status == 0, f"{function}: status {status}"
