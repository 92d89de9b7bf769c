"""The default values of public functions, classes and methods, found in the same way in tinycnn and in torch.

`public(lib)` lists them by name; `defaults(function)` gives those of one. `tests/test_defaults.py` compares;
`tests/fixtures/record_defaults.py` records what torch has.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any

# By the place where users find them in tinycnn: the places where torch has them.
PLACES = {
    "": ["", "autograd", "autograd.gradcheck"],
    "Tensor": ["Tensor", "_C.TensorBase"],
    "amp": ["amp"],
    "amp.GradScaler": ["amp.GradScaler"],
    "data": ["utils.data"],
    "nn": ["nn"],
    "nn.Module": ["nn.Module"],
    "nn.functional": ["nn.functional"],
    "nn.init": ["nn.init"],
    "nn.utils": ["nn.utils"],
    "optim": ["optim"],
    "optim.Optimizer": ["optim.Optimizer"],
    "optim.lr_scheduler": ["optim.lr_scheduler"],
    "optim.lr_scheduler.LRScheduler": ["optim.lr_scheduler.LRScheduler"],
}
Defaults = dict[str, Any]


def place(lib: Any, path: str) -> Any:
    return attrgetter(path)(lib) if path else lib


def public(lib: Any) -> Iterator[tuple[str, str, Callable]]:
    """(place, name, function) of what tinycnn's places hold and tinycnn defines."""
    for path in PLACES:
        holder = place(lib, path)
        names = getattr(holder, "__all__", None) or [name for name in dir(holder) if not name.startswith("_")]
        for name in sorted(names):
            value = getattr(holder, name)
            own = getattr(value, "__module__", "").startswith("tinycnn") and (value is not lib.Tensor or not path)
            if callable(value) and own:
                yield path, name, value


def defaults(function: Callable) -> Defaults | None:
    """The default of each parameter that has one; None if Python cannot tell."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    return {p.name: plain(p.default) for p in parameters if p.default is not p.empty}


def plain(value: Any) -> Any:
    """As JSON has it; a list of equal numbers is one number, an empty one is None, as for dimensions and sizes."""
    if isinstance(value, (list, tuple)):
        return value[0] if len(set(value)) == 1 else list(value) or None
    return value if isinstance(value, (bool, int, float, str)) else None
