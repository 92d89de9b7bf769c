"""The versions of tinycnn and, where it is there, of CUDA as CuPy was built for it."""

from __future__ import annotations

from typing import Any

git_version = "unknown"
hip = None  # AMD's GPUs are not used


def __getattr__(name: str) -> Any:
    if name == "cuda":  # CuPy is imported on first use
        from tinycnn.cuda import runtime_version

        return runtime_version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
