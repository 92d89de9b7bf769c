"""Names of torch.autograd that live above `tinycnn/autograd.py`, and are found there by programs that look for them."""

from __future__ import annotations

import importlib
import os
from typing import Any

from tinycnn import autograd

# Loaded when they are first used: modules, and functions and classes by the module that defines them.
_MODULES = {
    "function": "tinycnn.custom_function",
    "functional": "tinycnn.jacobians",
    "grad_mode": "tinycnn.grad_mode",
    "variable": "tinycnn.variable",
}
_NAMES = {
    "Variable": "tinycnn.variable",
    "detect_anomaly": "tinycnn.diagnostics.anomaly",
    "set_detect_anomaly": "tinycnn.diagnostics.anomaly",
    "gradcheck": "tinycnn.diagnostics.gradcheck",
    "gradgradcheck": "tinycnn.diagnostics.gradcheck",
}
_ABSENT = {
    "forward_ad": ": gradients go backward here; autograd.functional.jvp gives the products of forward ones",
    "graph": ": saved_tensors_hooks are not to come; utils.checkpoint saves memory, next_functions shows the graph",
    "profiler": ": use cProfile",
}


def find(name: str) -> Any:
    """The value of `tinycnn.autograd.<name>`."""
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"tinycnn.autograd has no {name}{_ABSENT.get(name, '')}")


# The path lets `import tinycnn.autograd.functional` find the modules, too.
vars(autograd).update(
    __getattr__=find, __path__=[os.path.join(os.path.dirname(__file__), "_former_paths", "autograd")]
)
