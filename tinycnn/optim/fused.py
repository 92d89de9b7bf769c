"""Steps on a GPU: one kernel updates all parameters of a group, and the host waits for none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from tinycnn import backend
from tinycnn.autograd import wrap
from tinycnn.backend import Array
from tinycnn.backend.recording import Outdated
from tinycnn.optim.optimizer import buffer
from tinycnn.tensor import Tensor

# Of one parameter: the array, its gradient, its buffers, the count of its steps, its numbers.
Row = tuple[Array, Array, list[Array | None], Array | None, list[Array]]
Scaling = tuple[Array | None, Array | None]  # `found_inf` and `grad_scale` of `Optimizer`


class Fused(NamedTuple):
    """What a kernel of `backend/gpu/cuda/optim.cu` needs of a group's options and of its parameters' state.

    Args:
        kernel: its name.
        numbers: the options that are numbers, in the kernel's order; it reads them in device memory.
        buffers: in the kernel's order, the name of each in the state and its first value; None for an unused one.
        counts_steps: whether the kernel reads and advances a count of each parameter's steps.
        maximize: whether to ascend.
        nesterov: whether the velocity is Nesterov's, for SGD. Default False.
        own: in the kernel's order, the names in the state of numbers that each parameter has for itself and that its
            steps change; 1 at first. Default ().
        constants: what else of the options a recorded step takes for constant. Default ().
    """

    kernel: str
    numbers: tuple[float, ...]
    buffers: Mapping[str, float | None]
    counts_steps: bool
    maximize: bool
    nesterov: bool = False
    own: tuple[str, ...] = ()
    constants: tuple[Any, ...] = ()

    def steps(self, owner: str) -> FusedSteps:
        """What a group of the optimizer named `owner` keeps on one GPU."""
        return FusedSteps(owner)


def decays(options: dict[str, Any]) -> tuple[float, float]:
    """`weight_decay` as two numbers, of which one is 0: of the gradient, and of the parameter itself if decoupled."""
    weight_decay = options["weight_decay"]
    return (0.0, weight_decay) if options["decoupled_weight_decay"] else (weight_decay, 0.0)


class FusedSteps:
    """The steps of one group's parameters on one GPU.

    The numbers among the group's options lie in device memory: a step that was recorded finds their latest values
    there whenever it is replayed. All other options are constants of the recording.

    Args:
        owner: the optimizer's name, for error messages.
    """

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._numbers: Any = None  # the kernels' Numbers, from the first step on
        self._recorded: Fused | None = None  # what the last recorded step was made with

    def step(
        self, fused: Fused, params: list[Tensor], states: dict[Tensor, dict[str, Any]], scaling: Scaling,
        recorded: bool,
    ) -> None:  # fmt: skip
        """Updates `params`, which have gradients.

        Args:
            fused: what the kernel needs, for the group's present options.
            params: the parameters, all on one GPU.
            states: the optimizer's state, by parameter; completed here.
            scaling: `found_inf` and `grad_scale` on that GPU: see `Optimizer`.
            recorded: whether this step is being recorded.

        Raises RuntimeError if the state of a parameter would have to be made while the step is being recorded.
        """
        first = params[0]._array
        kernels = backend.kernels(first)
        with backend.current(first):  # where new state is made
            rows = [self._row(param, states.setdefault(param, {}), fused, recorded) for param in params]
            if self._numbers is None:
                self._numbers = kernels.Numbers(first.dtype)
            if recorded:  # refresh() sets the numbers before each replay; a recorded set() would undo it
                self._recorded = fused
                _note_state(params, states)
            else:
                self._numbers.set(fused.numbers)
            self._launch(kernels, fused, rows, scaling)
        for param in params:
            param._changed_in_place()

    def _launch(self, kernels: Any, fused: Fused, rows: list[Row], scaling: Scaling) -> None:
        """The work on the GPU: one kernel."""
        kernels.optimizer_step(fused.kernel, rows, self._numbers, (fused.maximize, fused.nesterov), *scaling)

    def _row(self, param: Tensor, state: dict[str, Any], fused: Fused, recorded: bool) -> Row:
        """The arrays of one parameter."""
        array, before = param._array, dict(state)
        step = step_count(state, array) if fused.counts_steps else None
        buffers = [None if value is None else buffer(state, key, array, value) for key, value in fused.buffers.items()]
        numbers = [own_number(state, key, array) for key in fused.own]
        if recorded and any(value is not before.get(key) for key, value in state.items()):
            state.clear()  # what was just made holds no values before a replay
            state.update(before)
            raise RuntimeError(
                f"{self._owner}: expected a step before the one that is recorded, to make the state of the "
                f"parameter of shape {param.shape}: each replay would make it anew"
            )
        return array, param._grad._array, buffers, step, numbers  # type: ignore[union-attr]  # it has a gradient

    def refresh(self, index: int, fused: Fused | None) -> None:
        """Writes the numbers of `fused`, made from the present options of group `index`, to the GPU.

        Raises Outdated, a RuntimeError, if a recorded step was made with other constants.
        """
        if self._numbers is None or fused is None:
            return
        recorded = self._recorded or fused
        if fused._replace(numbers=()) != recorded._replace(numbers=()):
            raise Outdated(
                f"{self._owner}: expected the flags and buffers of param_groups[{index}] as in the "
                f"recorded step, {recorded}, got {fused}: record it anew"
            )
        self._numbers.set(fused.numbers)


def _note_state(params: list[Tensor], states: dict[Tensor, dict[str, Any]]) -> None:
    """Notes, of a step that is being recorded, the parameters and their state: the graph has their addresses."""
    recorded = backend.recorded()
    assert recorded is not None
    recorded.uses(params)
    for param in params:
        state = states[param]
        recorded.relies_on(states, param, state)
        for name, value in state.items():
            recorded.relies_on(state, name, value)


def step_count(state: dict[str, Any], param: Array) -> Array:
    """The count `state["step"]`, int64 of shape (), on the device of `param`, for a kernel to advance."""
    state.setdefault("step", 1 if state else 0)  # SGD on the CPU has a buffer from its first step on, but no count
    return _changed_there(state, "step", param, int)


def own_number(state: dict[str, Any], name: str, param: Array) -> Array:
    """The number `state[name]`, 1 at first, as float64 of shape () on the device of `param`, for a kernel to change."""
    state.setdefault(name, 1.0)
    return _changed_there(state, name, param, float)


def _changed_there(state: dict[str, Any], name: str, param: Array, kind: type[int] | type[float]) -> Array:
    value, dtype = state[name], np.int64 if kind is int else np.float64
    if not isinstance(value, Tensor) or type(value._array) is not type(param):
        state[name] = value = wrap(backend.array_module(param).full((), kind(value), dtype))
    return value._array
