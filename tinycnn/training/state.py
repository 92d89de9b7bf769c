"""The state of a training as plain data: random states, copies, and tensors told apart from what JSON holds."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from types import NoneType
from typing import Any

import numpy as np

from tinycnn import backend
from tinycnn.autograd import wrap
from tinycnn.backend import DeviceLike
from tinycnn.checks import shortened
from tinycnn.tensor import Tensor


class CheckpointError(ValueError):
    """A checkpoint cannot be read, or is of another training: the message names the file and the reason."""


def random_states(*devices: backend.Device) -> dict[str, Any]:
    """The random states of these devices and all others that have been drawn from, of Python's `random` and of
    `np.random`."""
    found = {str(device): state for device, state in backend.random_states(*devices).items()}
    version, words, gauss = random.getstate()
    _, keys, *rest = np.random.get_state()  # noqa: NPY002
    return {
        "devices": {name: state if name == "cpu" else wrap(state) for name, state in found.items()},
        "python": [version, wrap(np.array(words)), gauss],
        "numpy": [wrap(np.asarray(keys).copy()), *rest],
    }


def set_random_states(states: dict[str, Any]) -> None:
    """Continues the random numbers from what `random_states` returned. GPUs that are not there are left out."""
    for name, state in states["devices"].items():
        try:
            device = backend.device(name)
        except (ImportError, RuntimeError, ValueError):
            continue
        backend.set_random_states({device: state if name == "cpu" else backend.to_device(state._array, device)})
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words.tolist()), gauss))
    keys, *rest = states["numpy"]
    np.random.set_state(("MT19937", keys.numpy(), *rest))  # noqa: NPY002


def copied(state: Any, device: DeviceLike = None) -> Any:
    """A copy of nested dicts, lists and tuples, with copies of their Tensors, on `device` if one is given."""
    return _mapped(state, lambda _, x: x.detach().clone().to(device))


def split(state: Any) -> tuple[Any, dict[str, Tensor]]:
    """(what JSON can hold, Tensors by the path to them), from which `joined` makes `state` again.

    What JSON lacks becomes a dict with one key that begins with "$": tuples, inf, nan, dicts whose keys are no strings
    or begin so. Raises TypeError, naming the path, for other values.
    """
    tensors: dict[str, Tensor] = {}

    def moved(path: str, x: Tensor) -> dict[str, str]:
        while path in tensors:  # {"a.b": x, "a": {"b": y}}
            path += "'"
        tensors[path] = x
        return {"$tensor": path}

    return _mapped(state, moved, plain=True), tensors


def joined(plain: Any, tensors: dict[str, Tensor]) -> Any:
    """What `split` was given. KeyError for a Tensor that is missing."""
    if isinstance(plain, list):
        return [joined(each, tensors) for each in plain]
    if not isinstance(plain, dict):
        return plain
    match [*plain.items()]:
        case [("$tensor", path)]:
            return tensors[path]
        case [("$tuple", values)]:
            return tuple(joined(each, tensors) for each in values)
        case [("$items", pairs)]:
            return {joined(key, tensors): joined(value, tensors) for key, value in pairs}
        case [("$float", text)]:
            return float(text)
    return {key: joined(value, tensors) for key, value in plain.items()}


def _mapped(state: Any, of_tensor: Callable[[str, Tensor], Any], path: str = "", plain: bool = False) -> Any:
    """`state` with each Tensor replaced by what `of_tensor` makes of it and of its path; `plain`: see `split`."""

    def inner(name: Any, value: Any) -> Any:
        return _mapped(value, of_tensor, f"{path}.{name}" if path else str(name), plain)

    if isinstance(state, Tensor):
        return of_tensor(path, state)
    if isinstance(state, dict):
        if plain and not all(isinstance(key, str) and key[:1] != "$" for key in state):
            return {"$items": [[inner("key", key), inner(key, value)] for key, value in state.items()]}
        return {key: inner(key, value) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        values = [inner(i, value) for i, value in enumerate(state)]
        return values if isinstance(state, list) else {"$tuple": values} if plain else tuple(values)
    if plain and not isinstance(state, (str, int, float, NoneType)):
        raise TypeError(
            f"save_checkpoint: expected numbers, strings, None, Tensors, and dicts, lists and tuples of them, got "
            f"{shortened(state)} ({type(state).__name__}) as {path}"
        )
    if plain and isinstance(state, float) and not math.isfinite(state):
        return {"$float": repr(float(state))}
    return state
