"""What torch and torchvision keep under this name, loaded when it is first used."""

from __future__ import annotations

import importlib
from typing import Any

# Names to the modules that hold them.
_ELSEWHERE = {"make_grid": "tinycnn.data", "save_image": "tinycnn.data"}
_MODULES = ("checkpoint", "data", "dlpack", "model_zoo")

__all__ = ["checkpoint", "data", "dlpack", "make_grid", "model_zoo", "save_image"]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _ELSEWHERE:
        return getattr(importlib.import_module(_ELSEWHERE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
