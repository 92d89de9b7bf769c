"""Optimizer: parameter groups, the checks of their options, steps, saving and loading; each rule is a subclass."""

from __future__ import annotations

import copy
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from operator import is_
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tinycnn import backend
from tinycnn.autograd import enable_grad, wrap
from tinycnn.backend import Array, Device
from tinycnn.backend.recording import Outdated
from tinycnn.checks import Check, Number, shortened
from tinycnn.optim._checks import MAY_BE_MISSING, check_parameters, has_order
from tinycnn.tensor import Tensor

if TYPE_CHECKING:
    from tinycnn.backend.recording import Recorded
    from tinycnn.optim.fused import Fused, FusedSteps

Params = Iterable[Tensor] | Iterable[dict[str, Any]]  # parameters, or groups of them


class _Required:
    """What torch's older optimizers give as the default of an option that has none."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()


class Optimizer:
    """Base class: `step()` hands each parameter that has a gradient to the subclass's `_update`.

    On a GPU, one kernel updates all parameters of a group at once, if the subclass names it in `_fused`. A subclass
    whose `__init__` has annotations such as `NotNegative` has its options checked by `_checks = checks_of(__init__)`.

    Args:
        params: an iterable of Tensors or of (name, Tensor), or a list of groups `{"params": iterable, "lr": ..., ...}`,
            where an option that a group leaves out has its value from `defaults`. Names are kept as "param_names".
        defaults: the options of the algorithm, by name.

    Attributes:
        param_groups: a dict for each group, its parameters under "params"; options may be changed between steps.
        state: for each parameter, what the algorithm remembers between steps; made when first needed.
        found_inf: a float32 Tensor of shape (), or None: where it is not 0, `step()` changes nothing.
        grad_scale: a float32 Tensor of shape (), or None: `step()` multiplies the gradients by it.

    Raises:
        TypeError: a parameter that is no Tensor, an option of the wrong type.
        ValueError: no parameters, one given twice or computed from others, an option out of its range.
    """

    _checks: ClassVar[Mapping[str, Check]] = {}  # of options, by name
    _numbers: ClassVar[tuple[str, ...]] = ()  # the names of those that are checked to be numbers
    _is_flat = False  # whether a parameter's state may have other shapes than its own
    _own_numbers: ClassVar[tuple[str, ...]] = ()  # their names in the state: one number for the whole parameter

    def __init__(self, params: Params, defaults: dict[str, Any]):
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.found_inf: Tensor | None = None
        self.grad_scale: Tensor | None = None
        self._fused_steps: dict[tuple[int, Device], FusedSteps] = {}  # by group and GPU
        self._groups = object()  # another one whenever a group is added: a recorded step has none of its parameters
        name = type(self).__name__
        if not isinstance(defaults, Mapping):
            raise TypeError(f"{name}: expected defaults as a dict of options, got {type(defaults).__name__}")
        self._check_options(defaults)
        if not has_order(params):
            kind = type(params).__name__
            raise TypeError(f"{name}: expected params as a list of Tensors or of group dicts, got one {kind}")
        given: list[Any] = list(params)
        if not given:
            raise ValueError(f"{name}: expected at least one parameter, got an empty list")
        for group in given if isinstance(given[0], dict) else [{"params": given}]:
            self.add_param_group(group)

    # --- what a subclass defines ----------------------------------------------------------------------------

    def _check_options(self, options: dict[str, Any]) -> None:
        """Raises ValueError or TypeError for an option the algorithm cannot work with: here, what `_checks` finds."""
        for name, check in self._checks.items():
            check(type(self).__name__, name, options[name])

    def _check_parameter(self, index: int, param: Tensor) -> None:
        """Raises ValueError for parameter `index` of a group if the algorithm cannot work with it: here, for none."""

    def _update(self, param: Array, grad: Array, state: dict[str, Any], options: dict[str, Any]) -> None:
        """One step of one parameter: the rule.

        Args:
            param: changed in place.
            grad: the gradient, of the same shape and perhaps another memory order; not to be changed.
            state: what the rule remembers of this parameter, {} at first.
            options: the group's options; those that `_checks` says are numbers as Python floats.
        """
        raise NotImplementedError(f"{type(self).__name__}: an optimizer defines _update()")

    def _fused(self, options: dict[str, Any]) -> Fused | None:
        """The kernel that does on a GPU what `_update` does, for a whole group at once, or None if there is none."""
        return None

    def __init_subclass__(cls, **keywords: Any):
        super().__init_subclass__(**keywords)
        cls._numbers = tuple([name for name, check in cls._checks.items() if isinstance(check, Number)])
        if "_update" in vars(cls) and "_fused" not in vars(cls):
            cls._fused = Optimizer._fused  # type: ignore[method-assign]  # a base class's kernel has the base rule

    # --- steps ----------------------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates every parameter whose `.grad` is not None, in place and outside any graph.

        Args:
            closure: called first, to compute the gradients anew; its result, the loss, is returned. Default None.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        recorded = "cupy" in sys.modules and self._note_step(backend.recorded())
        for index, group in enumerate(self.param_groups):
            params = [param for param in group["params"] if param._grad is not None]
            if [param for param in params if param._array.__class__ is not np.ndarray]:
                on: dict[Device, list[Tensor]] = {}
                for param in params:
                    on.setdefault(param.device, []).append(param)
                for device, params in on.items():
                    self._step_on(device, index, params, recorded)
            elif params:  # the usual case on a CPU: no device is looked up
                self._step_on(backend.CPU, index, params, recorded)
        return loss

    def _note_step(self, recorded: Recorded | None) -> bool:
        """Whether this step is being recorded; notes what it relies on."""
        if recorded is None:
            return False
        if self.refresh not in recorded.callbacks:
            recorded.callbacks.append(self.refresh)
            groups = [[*group["params"]] for group in self.param_groups]
            recorded.callbacks.append(partial(self._check_params, groups))
        recorded.relies_on(vars(self), "state", self.state)
        recorded.relies_on(vars(self), "_groups", self._groups)
        for param in self._params():
            recorded.gradient(param)
        return True

    def _check_params(self, recorded: list[list[Tensor]]) -> None:
        """Raises Outdated if the groups have other parameters than those of a recorded step."""
        for group, params in zip(self.param_groups, recorded):
            if len(group["params"]) != len(params) or not all(map(is_, group["params"], params)):
                raise Outdated(f"{type(self).__name__}: expected the parameters of the recorded step: record it anew")

    def _step_on(self, device: Device, index: int, params: list[Tensor], recorded: bool) -> None:
        """A step of those parameters of group `index` that are on one device."""
        found_inf, grad_scale = [
            None if of_scaler is None else backend.to_device(of_scaler._array, device)
            for of_scaler in (self.found_inf, self.grad_scale)
        ]
        options = self._options(index)
        fused = None if device.type == "cpu" else self._fused(options)
        if fused is not None:
            steps = self._fused_steps.setdefault((index, device), fused.steps(type(self).__name__))
            steps.step(fused, params, self.state, (found_inf, grad_scale), recorded)
        elif recorded:
            raise RuntimeError(
                f"{type(self).__name__}: expected parameters on a GPU, and a kernel for them, to record a "
                f"step; got parameters on {device}, and a replay would not repeat what _update() does in Python"
            )
        elif found_inf is None or not found_inf:
            for param in params:
                grad = param._grad._array  # type: ignore[union-attr]  # those without were left out
                if grad_scale is not None:
                    grad = (grad * grad_scale).astype(grad.dtype)
                self._update(param._array, grad, self.state.setdefault(param, {}), options)
                (param._changes or param._shared_version()).count += 1  # as _changed_in_place(), without a call

    def _options(self, index: int) -> dict[str, Any]:
        """The options of a group for a step: the group itself, or a copy with those that are numbers as Python floats,
        which promote no float32 array."""
        group = self.param_groups[index]
        numbers = {name: float(group[name]) for name in self._numbers}
        return {**group, **numbers} if numbers else group

    def refresh(self) -> None:
        """Writes changed options to the GPU without a step: to be called before each replay of a recorded step.

        Raises RuntimeError if an option has changed that a recorded step takes for constant: a flag, or whether
        there is momentum.
        """
        for (index, _), steps in self._fused_steps.items():
            steps.refresh(index, self._fused(self._options(index)))

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clears the gradients, to which `backward` would add.

        Args:
            set_to_none: True (default) sets `.grad` to None, False to a Tensor of zeros.
        """
        recorded = backend.recorded() if "cupy" in sys.modules else None
        for group in self.param_groups:
            for param in group["params"]:
                if recorded is not None and set_to_none:
                    recorded.gradient(param, reads=False)
                if set_to_none:
                    param._grad = None
                elif param.grad is not None:
                    param.grad = param.grad.detach().zero_()

    # --- parameter groups -----------------------------------------------------------------------------------

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds parameters with options of their own.

        Args:
            param_group: `{"params": iterable, "lr": 0.1, ...}`; options left out have their values from `defaults`.

        Raises TypeError and ValueError as the constructor does, and then adds nothing.
        """
        name = type(self).__name__
        if not isinstance(param_group, dict):
            raise TypeError(f"{name}: expected a parameter group as a dict, got {type(param_group).__name__}")
        if "params" not in param_group:
            raise ValueError(f"{name}: expected a parameter group with the key 'params', got {[*param_group]}")
        params, named = param_group["params"], {}
        if has_order(params):
            params = list(params)
            if params and all(isinstance(pair, tuple) and len(pair) == 2 for pair in params):
                named = {"param_names": [pair[0] for pair in params]}
                params = [pair[1] for pair in params]
        group = {**self.defaults, **param_group, **named, "params": check_parameters(name, params)}
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
            self._check_parameter(i, param)
            known.add(param)
        self.param_groups.append(group)
        self._groups = object()

    # --- saving and loading ---------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """`{"state": {index: {...}}, "param_groups": [...]}`, with parameters by their index over all groups.

        The state is not copied: save it, or `copy.deepcopy` it, before the next step.
        """
        index = {param: i for i, param in enumerate(self._params())}
        state = {index[param]: dict(state) for param, state in self.state.items() if state}
        groups = [{**group, "params": [index[param] for param in group["params"]]} for group in self.param_groups]
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the groups' options and the state, which is copied to the dtype and the device of the parameters.

        Args:
            state_dict: what `state_dict()` of the same algorithm returned.

        Raises ValueError, and changes nothing, if the groups, the parameters in them or the sizes differ.
        """
        owner = f"{type(self).__name__}.load_state_dict"
        if not isinstance(state_dict, dict) or not {"state", "param_groups"} <= set(state_dict):
            got = list(state_dict) if isinstance(state_dict, dict) else type(state_dict).__name__
            raise ValueError(f"{owner}: expected a dict with the keys 'state' and 'param_groups', got {got}")
        saved_groups = copy.deepcopy(state_dict["param_groups"])
        if not _is_list_of(saved_groups, dict):
            raise ValueError(f"{owner}: expected param_groups as a list of dicts, got {shortened(saved_groups)}")
        if len(saved_groups) != len(self.param_groups):
            raise ValueError(f"{owner}: expected {len(self.param_groups)} parameter groups, got {len(saved_groups)}")
        for i, (group, saved) in enumerate(zip(self.param_groups, saved_groups, strict=True)):
            needed = [option for option in ("params", *self.defaults) if option not in MAY_BE_MISSING]
            if missing := [option for option in needed if option not in saved]:
                raise ValueError(
                    f"{owner}: expected {missing[0]!r} in param_groups[{i}], got {list(saved)}: "
                    "was it saved by another optimizer?"
                )
            if not _is_list_of(saved["params"], int):
                got = saved["params"]
                raise ValueError(f"{owner}: expected indices of parameters in param_groups[{i}], got {shortened(got)}")
            count, given = len(group["params"]), len(saved["params"])
            if given != count:
                raise ValueError(f"{owner}: expected {count} parameters in param_groups[{i}], got {given}")
            self._check_options({**self.defaults, **saved})
        saved_indices = [index for saved in saved_groups for index in saved["params"]]
        if len(set(saved_indices)) < len(saved_indices):
            raise ValueError(f"{owner}: expected every parameter once in param_groups, got {saved_indices}")
        params = dict(zip(saved_indices, self._params(), strict=True))
        if not isinstance(state_dict["state"], dict):
            raise ValueError(f"{owner}: expected state as a dict, got {type(state_dict['state']).__name__}")
        state: dict[Tensor, dict[str, Any]] = defaultdict(dict)
        for index, saved_state in state_dict["state"].items():
            if index not in params:
                raise ValueError(f"{owner}: state[{index!r}] belongs to no parameter of the groups")
            if not isinstance(saved_state, dict):
                raise ValueError(f"{owner}: expected state[{index}] as a dict, got {type(saved_state).__name__}")
            state[params[index]] = {
                name: self._loaded(f"{owner}: expected state[{index}][{name!r}]", name, value, params[index])
                for name, value in saved_state.items()
            }
        self.state = state  # nothing can fail from here on
        for group, saved in zip(self.param_groups, saved_groups, strict=True):
            group.update(saved, params=group["params"])

    def _loaded(self, expected: str, name: str, value: Any, param: Tensor) -> Any:
        """A copy of a saved `value` that fits `param`."""
        if name == "step":  # a Tensor, as torch keeps it, or a number
            number = value.item() if isinstance(value, Tensor) and value.numel() == 1 else value
            if isinstance(number, bool) or not isinstance(number, (int, float)) or number < 0 or number != number // 1:
                raise ValueError(f"{expected} as a whole number of at least 0, got {shortened(value)}")
            return int(number)
        if not isinstance(value, Tensor):
            return copy.deepcopy(value)
        if value.ndim == 0 and (param.ndim > 0 or name in self._own_numbers):  # such as NAdam's product of momenta
            return value.item()
        if value.shape != param.shape and not self._is_flat:
            raise ValueError(f"{expected} of shape {param.shape}, got {value.shape}")
        return wrap(backend.to_device(value._array.astype(param.dtype), param.device))

    def _params(self) -> list[Tensor]:
        return [param for group in self.param_groups for param in group["params"]]

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
        return "\n".join([f"{type(self).__name__} (", *lines, ")"])


def _is_list_of(value: Any, kind: type) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(each, kind) for each in value)


# --- for the rules ----------------------------------------------------------------------------------------


def options_of(arguments: dict[str, Any]) -> dict[str, Any]:
    """The options among the `locals()` of an `__init__`. Call this first in it: its locals are then its arguments."""
    return {name: value for name, value in arguments.items() if name not in ("self", "params", "__class__")}


def buffer(state: dict[str, Any], name: str, param: Array, value: float = 0) -> Array:
    """The array `state[name]`, of the shape of `param`; at first made and filled with `value`."""
    if name not in state:
        state[name] = wrap(backend.array_module(param).full_like(param, value))
    array = state[name]._array
    if type(array) is not type(param):  # the parameter was moved to another device
        array = backend.to_device(array, backend.device_of(param))
        state[name] = wrap(array)
    return array


def workspace(name: str, like: Array, dtype: Any = None) -> tuple[Any, Array]:
    """The array module of `like`, and an uninitialised array of its shape, and of its dtype if no other is given, valid
    until the next call with `name`.

    Allocating a small array takes 0.3 µs, looking up scratch memory 2 µs; a large one costs page faults too.
    """
    xp: Any = np if like.__class__ is np.ndarray else backend.array_module(like)
    if xp is not np or not like.flags.c_contiguous:
        return xp, xp.empty_like(like, dtype)
    if like.size <= 4096:
        return xp, np.empty(like.shape, dtype or like.dtype)
    return xp, backend.cpu.scratch(name, like.shape, like if dtype is None else np.empty(0, dtype))


def running_moments(
    param: Array, grad: Array, state: dict[str, Any], beta1: float, beta2: float
) -> tuple[Any, Array, Array, Array]:
    """The running means of Adam and its kin, `state["exp_avg"]` and `state["exp_avg_sq"]`, a step on:

    mean ← β₁ · mean + (1 − β₁) · grad
    mean_square ← β₂ · mean_square + (1 − β₂) · grad²

    Returns (xp, step, mean, mean_square), with the workspace "optim" as `step`.
    """
    mean, mean_square = buffer(state, "exp_avg", param), buffer(state, "exp_avg_sq", param)
    xp, step = workspace("optim", param)
    xp.subtract(grad, mean, out=step)
    step *= 1 - beta1
    mean += step
    xp.multiply(grad, 1 - beta2, out=step)
    step *= grad
    mean_square *= beta2
    mean_square += step
    return xp, step, mean, mean_square


def regularized(param: Array, grad: Array, weight_decay: float, maximize: bool) -> Array:
    """grad + weight_decay · param, the gradient of loss + weight_decay/2 · |param|²; with −grad to `maximize`.

    In scratch memory, and in the memory order of `param`; `grad` itself with neither weight decay nor `maximize`.
    """
    if not (weight_decay or maximize):
        return grad
    xp, result = workspace("optim.gradient", param)
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
    _, ordered = workspace("optim.gradient", param)
    ordered[...] = grad
    return ordered
