"""Optimizer: parameter groups, their checks, saving and loading; each update is in its subclass."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from tinycnn import backend
from tinycnn.autograd import enable_grad
from tinycnn.backend import Array, Device
from tinycnn.optim._checks import check_parameters
from tinycnn.tensor import Tensor


class Fused(NamedTuple):
    """What a kernel of `backend/gpu/cuda/optim.cu` is to know of a group's options and of its parameters' state."""

    kernel: str
    numbers: tuple[float, ...]  # in the kernel's order; it reads them in device memory
    buffers: Mapping[str, float | None]  # in the kernel's order: name in the state and first value, None for no buffer
    counts_steps: bool
    maximize: bool
    variant: bool = False  # what it means depends on the kernel


class Optimizer:
    """Base class: `step()` hands each parameter that has a gradient to the subclass's `_update`, and on a GPU all of
    a group at once to a kernel, if the subclass names one in `_fused`.

    Args:
        params: an iterable of Tensors, or a list of groups `{"params": iterable, "lr": ..., ...}`, where an
            option that a group leaves out has its value from `defaults`.
        defaults: the options of the algorithm, by name.

    Attributes:
        param_groups: one dict a group, its parameters under "params"; options may be changed between steps.
        state: for each parameter, what the algorithm remembers between steps; made when first needed.
        found_inf: a float32 Tensor of shape (), or None: where it is not 0, `step()` changes nothing.
        grad_scale: a float32 Tensor of shape (), or None: `step()` takes the gradients times it.

    Raises:
        TypeError: a parameter that is no Tensor, an option of the wrong type.
        ValueError: no parameters, one given twice or computed from others, an option out of its range.
    """

    def __init__(self, params: Any, defaults: dict[str, Any]):
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Tensor, dict[str, Any]] = {}
        self.found_inf: Tensor | None = None
        self.grad_scale: Tensor | None = None
        self._numbers: dict[tuple[int, Device], Any] = {}  # the options of each group, by its index, on a GPU
        self._recorded: dict[tuple[int, Device], Fused] = {}  # how each group was when a step was recorded
        name = type(self).__name__
        self._check_options(defaults)
        if isinstance(params, (Tensor, str, dict, set, frozenset)) or not isinstance(params, Iterable):
            kind = type(params).__name__
            raise TypeError(f"{name}: expected params as a list of Tensors or of group dicts, got one {kind}")
        params = list(params)
        if not params:
            raise ValueError(f"{name}: expected at least one parameter, got an empty list")
        for group in params if isinstance(params[0], dict) else [{"params": params}]:
            self.add_param_group(group)

    # --- what a subclass defines ----------------------------------------------------------------------------

    def _check_options(self, options: dict[str, Any]) -> None:
        """Raises ValueError or TypeError for an option the algorithm cannot work with."""

    def _update(self, param: Array, grad: Array, state: dict[str, Any], options: dict[str, Any]) -> None:
        """Changes `param` in place; never `grad`, whose memory order may differ."""
        raise NotImplementedError(f"{type(self).__name__}: an optimizer defines _update()")

    def _fused(self, options: dict[str, Any]) -> Fused | None:
        """The kernel that does on a GPU what `_update` does, with a whole group at once; None: there is none."""
        return None

    def __init_subclass__(cls, **keywords: Any):
        super().__init_subclass__(**keywords)
        if "_update" in vars(cls) and "_fused" not in vars(cls):
            cls._fused = Optimizer._fused  # type: ignore[method-assign]  # the kernel of a base class does another update

    # --- steps ----------------------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates every parameter whose `.grad` is not None, in place and outside any graph.

        Args:
            closure: called first, to compute the gradients anew; what it returns, the loss, is returned.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        recorded = backend.on_replay(self.refresh)
        for index, group in enumerate(self.param_groups):
            on: dict[Device, list[tuple[Tensor, Tensor]]] = {}
            for param in group["params"]:
                if param.grad is not None:
                    on.setdefault(param.device, []).append((param, param.grad))
            for device, pairs in on.items():
                found_inf, grad_scale = (
                    None if of_scaler is None else backend.to_device(of_scaler._array, device)
                    for of_scaler in (self.found_inf, self.grad_scale)
                )
                fused = None if device.type == "cpu" else self._fused(group)
                if fused is not None:
                    self._step_fused((index, device), fused, pairs, found_inf, grad_scale, recorded)
                elif recorded:
                    raise RuntimeError(
                        f"{type(self).__name__}: expected parameters on a GPU, and a kernel for them, to record a "
                        f"step; got parameters on {device}, and a replay would not repeat what _update() does in Python"
                    )
                elif found_inf is None or not found_inf:
                    for param, grad in pairs:
                        g = grad._array if grad_scale is None else (grad._array * grad_scale).astype(grad.dtype)
                        self._update(param._array, g, self.state.setdefault(param, {}), group)
                        param._changed_in_place()
        return loss

    def _step_fused(
        self, key: tuple[int, Device], fused: Fused, pairs: list[tuple[Tensor, Tensor]], found_inf: Array | None,
        grad_scale: Array | None, recorded: bool,
    ) -> None:  # fmt: skip
        """A step of all parameters of one group on one GPU, the `key`: a few kernels, for which nobody waits."""
        first = pairs[0][0]._array
        kernels = backend.kernels(first)
        with first.device:  # where new state is made
            rows = [self._row(param, grad, fused, recorded) for param, grad in pairs]
            if key not in self._numbers:
                self._numbers[key] = kernels.Numbers(first.dtype)
            if recorded:  # a refresh() sets the numbers before each replay, which would undo it if it did so itself
                self._recorded[key] = fused
            else:
                self._numbers[key].set(fused.numbers)
            flags = fused.maximize, fused.variant
            kernels.optimizer_step(fused.kernel, rows, self._numbers[key], flags, found_inf, grad_scale)
        for param, _ in pairs:
            param._changed_in_place()

    def _row(self, param: Tensor, grad: Tensor, fused: Fused, recorded: bool) -> tuple:
        """The arrays that belong to one parameter: its own, its gradient, its buffers, the count of its steps."""
        array, state = param._array, self.state.setdefault(param, {})
        before = dict(state)
        step = step_count(state, array) if fused.counts_steps else None
        buffers = [None if value is None else buffer(state, key, array, value) for key, value in fused.buffers.items()]
        if recorded and any(value is not before.get(key) for key, value in state.items()):
            self.state[param] = before  # what was made is not filled before a replay
            raise RuntimeError(
                f"{type(self).__name__}: expected a step before the one that is recorded, to make the state of the "
                f"parameter of shape {param.shape}: each replay would make it anew"
            )
        return array, grad._array, buffers, step

    def refresh(self) -> None:
        """Takes over changed options on the device, without a step: for a recorded step, which is replayed without
        `step()`, before each replay.

        Raises RuntimeError if an option has changed that a recorded step has taken for constant: a flag, or whether
        there is momentum.
        """
        for key, numbers in self._numbers.items():
            fused = self._fused(self.param_groups[key[0]])
            recorded = self._recorded.get(key, fused)
            if fused is None or recorded is None:
                continue
            if fused._replace(numbers=()) != recorded._replace(numbers=()):
                raise RuntimeError(
                    f"{type(self).__name__}: expected the flags and buffers of param_groups[{key[0]}] as in the "
                    f"recorded step, {recorded}, got {fused}: record it anew"
                )
            numbers.set(fused.numbers)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients, which `backward` would add to; with `set_to_none=False`, sets them to 0."""
        for group in self.param_groups:
            for param in group["params"]:
                if set_to_none:
                    param.grad = None
                elif param.grad is not None:
                    param.grad = param.grad.detach().zero_()

    # --- parameter groups -----------------------------------------------------------------------------------

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds parameters with options of their own: `{"params": iterable, "lr": 0.1}`."""
        name = type(self).__name__
        if not isinstance(param_group, dict):
            raise TypeError(f"{name}: expected a parameter group as a dict, got {type(param_group).__name__}")
        if "params" not in param_group:
            raise ValueError(f"{name}: expected a parameter group with the key 'params', got {[*param_group]}")
        group = {**self.defaults, **param_group, "params": check_parameters(name, param_group["params"])}
        self._check_options(group)
        known = {param for other in self.param_groups for param in other["params"]}
        for i, param in enumerate(group["params"]):
            if not param.is_leaf:
                raise ValueError(
                    f"{name}: expected parameter {i} as a leaf, got a tensor of shape {param.shape} that was "
                    "computed from others: pass those, or detach() it"
                )
            if param in known:
                raise ValueError(f"{name}: expected every parameter once, got parameter {i} a second time")
            known.add(param)
        self.param_groups.append(group)

    # --- saving and loading ---------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """`{"state": {index: {...}}, "param_groups": [...]}`, with parameters by their index over all groups.

        The state is not copied: save it, or `copy.deepcopy` it, before the next step.
        """
        index = {param: i for i, param in enumerate(self._params())}
        return {
            "state": {index[param]: dict(state) for param, state in self.state.items() if state},
            "param_groups": [
                {**group, "params": [index[param] for param in group["params"]]} for group in self.param_groups
            ],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over the groups' options, and a copy of the state in the parameters' dtype, on their device.

        Raises ValueError, and changes nothing, if the groups, the parameters in them or the sizes differ.
        """
        owner = f"{type(self).__name__}.load_state_dict"
        if not isinstance(state_dict, dict) or not {"state", "param_groups"} <= set(state_dict):
            got = list(state_dict) if isinstance(state_dict, dict) else type(state_dict).__name__
            raise ValueError(f"{owner}: expected a dict with the keys 'state' and 'param_groups', got {got}")
        saved_groups = copy.deepcopy(state_dict["param_groups"])
        if len(saved_groups) != len(self.param_groups):
            raise ValueError(f"{owner}: expected {len(self.param_groups)} parameter groups, got {len(saved_groups)}")
        for i, (group, saved) in enumerate(zip(self.param_groups, saved_groups, strict=True)):
            if missing := [option for option in ("params", *self.defaults) if option not in saved]:
                raise ValueError(
                    f"{owner}: expected {missing[0]!r} in param_groups[{i}], got {list(saved)}: "
                    "was it saved by another optimizer?"
                )
            if len(saved["params"]) != len(group["params"]):
                raise ValueError(
                    f"{owner}: expected {len(group['params'])} parameters in param_groups[{i}], "
                    f"got {len(saved['params'])}"
                )
            self._check_options(saved)
        saved_indices = [index for saved in saved_groups for index in saved["params"]]
        params = dict(zip(saved_indices, self._params(), strict=True))
        state = {}
        for index, saved_state in state_dict["state"].items():
            if index not in params:
                raise ValueError(f"{owner}: state[{index!r}] belongs to no parameter of the groups")
            state[params[index]] = {
                name: _loaded(f"{owner}: expected state[{index}][{name!r}]", name, value, params[index])
                for name, value in saved_state.items()
            }
        self.state = state  # nothing can fail from here on
        for group, saved in zip(self.param_groups, saved_groups, strict=True):
            group.update(saved, params=group["params"])

    def _params(self) -> list[Tensor]:
        return [param for group in self.param_groups for param in group["params"]]

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            options = ", ".join(f"{name}={value}" for name, value in group.items() if name != "params")
            lines.append(f"    ({i}): {len(group['params'])} parameters, {options}")
        return "\n".join([f"{type(self).__name__}(", *lines, ")"])


def _loaded(expected: str, name: str, value: Any, param: Tensor) -> Any:
    """A copy of a saved `value` that fits `param`."""
    if name == "step":
        return int(value)
    if not isinstance(value, Tensor):
        return copy.deepcopy(value)
    if value.shape != param.shape:
        raise ValueError(f"{expected} of shape {param.shape}, got {value.shape}")
    return Tensor._wrap(backend.to_device(value._array.astype(param.dtype), param.device))


# --- for the updates --------------------------------------------------------------------------------------


def buffer(state: dict[str, Any], name: str, param: Array, value: float = 0) -> Array:
    """The array `state[name]`, of the shape of `param`; at first made and filled with `value`."""
    if name not in state:
        state[name] = Tensor._wrap(backend.array_module(param).full_like(param, value))
    array = state[name]._array
    if type(array) is not type(param):  # the parameter was moved to another device
        array = backend.to_device(array, backend.device_of(param))
        state[name] = Tensor._wrap(array)
    return array


def step_count(state: dict[str, Any], param: Array) -> Array:
    """The count `state["step"]` in an array on the device of `param`, for a kernel to advance."""
    step = state.get("step", 1 if state else 0)  # SGD on the CPU has a buffer from its first step on, but no count
    if not isinstance(step, Tensor) or type(step._array) is not type(param):
        step = state["step"] = Tensor._wrap(backend.array_module(param).full((), int(step), np.int64))
    return step._array


def temporary(name: str, like: Array) -> Array:
    """An uninitialised array of the shape of `like`, valid until the next call with the same `name`.

    Allocating a small array takes 0.3 µs, looking up scratch memory 2 µs; a large one costs page faults too.
    """
    if like.size <= 4096 or not like.flags.c_contiguous:
        return backend.array_module(like).empty_like(like)
    return backend.scratch(name, like.shape, like)


def regularized(param: Array, grad: Array, weight_decay: float, maximize: bool) -> Array:
    """grad + weight_decay · param, the gradient of loss + weight_decay/2 · |param|²; −grad to `maximize`.

    `grad` itself where that is all, a temporary otherwise.
    """
    if not weight_decay and not maximize:
        return grad
    xp = backend.array_module(param)
    result = temporary("optim.gradient", param)
    if not weight_decay:
        return xp.negative(grad, out=result)
    xp.multiply(param, weight_decay, out=result)
    return xp.subtract(result, grad, out=result) if maximize else xp.add(result, grad, out=result)


def same_order(grad: Array, param: Array) -> Array:
    """`grad` with its elements in the order in memory of `param`'s, for updates that read it more than once.

    An Adam step on a (1000, 784) parameter with a transposed gradient: 2.4 ms with this copy, 4.0 ms without.
    """
    if grad.strides == param.strides:
        return grad
    ordered = temporary("optim.gradient", param)
    ordered[...] = grad
    return ordered
