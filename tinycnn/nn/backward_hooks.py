"""How a module's backward hooks see the gradients of all its inputs and outputs together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tinycnn import creation
from tinycnn.custom_function import JointGradient, JointNode, alias
from tinycnn.grad_mode import thread_mode
from tinycnn.tensor import Tensor

if TYPE_CHECKING:
    from tinycnn.nn.module import Module


class _Gate(JointNode):
    """Hands over the gradients of several tensors together."""

    straight = False

    def __init__(self, tensors: list[Tensor], behind: list[_Gate], on_gradients: Callable[[list], list]):
        """Before `tensors`, and behind other gates."""
        super().__init__("_Gate", [(x._node or x) if x._requires_grad else None for x in tensors] + behind)
        self.tensors, self.count, self.on_gradients = tensors, len(tensors), on_gradients

    def passed(self) -> list[Tensor]:
        """The tensors with this gate before them."""
        found = {i: alias(x) for i, x in enumerate(self.tensors) if x.requires_grad}
        self.lead_out(found)
        tensors, self.tensors = self.tensors, []  # nothing may hold them longer than the graph does
        return [found.get(i, x) for i, x in enumerate(tensors)]

    def backward(self, grad_output: Any) -> Any:
        parts = self.gradients(grad_output)
        return tuple(self.on_gradients([parts.get(i) for i in range(self.count)]))


class BackwardReport:
    """One call of a module with backward hooks: a gate before its inputs and one behind its outputs.

    The gate behind leads to the one before, too, so that this is reached although no gradient may reach the inputs.
    """

    def __init__(self, module: Module, inputs: tuple):
        self.module, self.inputs = module, inputs
        self.grad_output: dict[int, tuple] = {}  # by thread
        self.front: _Gate | None = None
        self.tensors = [i for i, x in enumerate(inputs) if isinstance(x, Tensor)]
        if thread_mode.recording and any(inputs[i].requires_grad for i in self.tensors):
            self.like = [(inputs[i].shape, inputs[i].dtype, inputs[i].device) for i in self.tensors]
            self.front = _Gate([inputs[i] for i in self.tensors], [], self.leave_inputs)
            entered = dict(zip(self.tensors, self.front.passed()))
            self.inputs = tuple(entered.get(i, x) for i, x in enumerate(inputs))
        self.count = len(inputs)

    def watch_output(self, output: Any) -> Any:
        outputs = output if isinstance(output, tuple) else (output,)
        found = [i for i, y in enumerate(outputs) if isinstance(y, Tensor) and y.requires_grad]
        self.inputs = ()  # nothing may hold them longer than the graph does
        if not (thread_mode.recording and found):
            return output
        gate = _Gate(
            [outputs[i] for i in found], [] if self.front is None else [self.front],
            lambda gradients: self.leave_outputs(gradients, found, len(outputs)),
        )  # fmt: skip
        left = dict(zip(found, gate.passed()))
        result = tuple(left.get(i, y) for i, y in enumerate(outputs))
        return result if isinstance(output, tuple) else result[0]

    def leave_outputs(self, gradients: list, found: list[int], count: int) -> list:
        given = dict(zip(found, gradients))
        grad_output = tuple(given.get(i) for i in range(count))
        for hook in list(self.module._backward_pre_hooks.values()):
            grad_output = self._replaced("pre-", hook(self.module, grad_output), grad_output)
        gradients = [grad_output[i] for i in found]
        self.grad_output[threading.get_ident()] = grad_output
        if self.front is None:
            self.run_hooks([None] * self.count)
            return gradients
        return [*gradients, JointGradient({})]

    def leave_inputs(self, gradients: list) -> list:
        grad_input: list[Tensor | None] = [None] * self.count
        for i, gradient, (shape, dtype, device) in zip(self.tensors, gradients, self.like):
            grad_input[i] = creation.zeros(shape, dtype=dtype, device=device) if gradient is None else gradient
        replaced = self.run_hooks(grad_input)
        return [replaced[i] for i in self.tensors]

    def run_hooks(self, gradients: list) -> tuple:
        grad_input, grad_output = tuple(gradients), self.grad_output.pop(threading.get_ident(), ())
        for hook in list(self.module._backward_hooks.values()):
            grad_input = self._replaced("", hook(self.module, grad_input, grad_output), grad_input)
        return grad_input

    def _replaced(self, kind: str, returned: Any, gradients: tuple) -> tuple:
        """What a hook returned in the place of gradients, or these."""
        if returned is None:
            return gradients
        returned = returned if isinstance(returned, tuple) else (returned,)
        if len(returned) != len(gradients):
            of = "output" if kind else "input"
            raise RuntimeError(
                f"{type(self.module).__name__}: a backward {kind}hook must return None or {len(gradients)} gradients, "
                f"one per {of}, got {len(returned)}"
            )
        return returned
