"""How a module's backward hooks see the gradients of all its inputs and outputs together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tinycnn import backend, creation
from tinycnn.autograd import NOT_RECORDED, Function
from tinycnn.tensor import Tensor

if TYPE_CHECKING:
    from tinycnn.nn.module import Module


class _Gate(Function):
    """Hands over the gradients of several tensors together, which a Function, having one output, cannot do alone.

    Its output is a dummy, of which `_Passage` makes each tensor anew. The graph walk visits newer nodes first: when it
    comes to the gate, all passages have left their gradients here, and what `on_gradients` makes of them goes on.
    """

    def __init__(self, on_gradients: Callable[[list], list]):
        self.on_gradients = on_gradients

    def forward(self, *arrays: Any) -> Any:
        self.count = len(arrays)
        self.gradients: dict[int, list[Tensor | None]] = {}  # by the thread whose walk brings them
        return backend.array_module(arrays[0]).zeros((), arrays[0].dtype)

    def backward(self, grad_output: Any) -> Any:
        return tuple(self.on_gradients(self.gradients.pop(threading.get_ident(), [None] * self.count)))

    def lead_through(self, tensors: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The dummy, and the tensors with this gate before them."""
        dummy, passed = self(*tensors), []
        for i, x in enumerate(tensors):
            y = _Passage(self, i)(dummy, x._array) if x.requires_grad else x
            if y is not x:
                x._share_memory(y, NOT_RECORDED)
            passed.append(y)
        return dummy, passed


class _Passage(Function):
    def __init__(self, gate: _Gate, index: int):
        self.gate, self.index = gate, index

    def forward(self, dummy: Any, array: Any) -> Any:
        return array.view()

    def backward(self, grad_output: Any) -> Any:
        self.gate.gradients.setdefault(threading.get_ident(), [None] * self.gate.count)[self.index] = grad_output
        shape, dtype = self.input_types[0]
        return creation.zeros(shape, dtype=dtype, device=grad_output.device), None


class BackwardReport:
    """One call of a module with backward hooks: a gate before its inputs and one behind its outputs.

    The gate behind passes the dummy gradient straight to the one before, so that this is reached although no
    gradient may reach the inputs.
    """

    def __init__(self, module: Module, inputs: tuple):
        self.module, self.inputs = module, inputs
        self.grad_output: dict[int, tuple] = {}  # by thread
        self.dummy: Tensor | None = None
        self.tensors = [i for i, x in enumerate(inputs) if isinstance(x, Tensor)]
        if any(inputs[i].requires_grad for i in self.tensors):
            self.like = [(inputs[i].shape, inputs[i].dtype, inputs[i].device) for i in self.tensors]
            self.dummy, passed = _Gate(self.leave_inputs).lead_through([inputs[i] for i in self.tensors])
            entered = dict(zip(self.tensors, passed))
            self.inputs = tuple(entered.get(i, x) for i, x in enumerate(inputs))
        self.count = len(inputs)

    def watch_output(self, output: Any) -> Any:
        outputs = output if isinstance(output, tuple) else (output,)
        found = [i for i, y in enumerate(outputs) if isinstance(y, Tensor) and y.requires_grad]
        self.inputs = ()  # nothing may hold them longer than the graph does
        if not found:
            return output
        gate = _Gate(lambda gradients: self.leave_outputs(gradients, found, len(outputs)))
        _, passed = gate.lead_through([outputs[i] for i in found] + ([] if self.dummy is None else [self.dummy]))
        left = dict(zip(found, passed))
        result = tuple(left.get(i, y) for i, y in enumerate(outputs))
        return result if isinstance(output, tuple) else result[0]

    def leave_outputs(self, gradients: list, found: list[int], count: int) -> list:
        given = dict(zip(found, gradients))
        self.grad_output[threading.get_ident()] = tuple(given.get(i) for i in range(count))
        if self.dummy is None:
            self.run_hooks([None] * self.count)
            return gradients
        return [*gradients[:-1], creation.zeros((), dtype=self.dummy.dtype, device=self.dummy.device)]

    def leave_inputs(self, gradients: list) -> list:
        grad_input: list[Tensor | None] = [None] * self.count
        for i, gradient, (shape, dtype, device) in zip(self.tensors, gradients, self.like):
            grad_input[i] = creation.zeros(shape, dtype=dtype, device=device) if gradient is None else gradient
        replaced = self.run_hooks(grad_input)
        return [replaced[i] for i in self.tensors]

    def run_hooks(self, grad_input: list) -> list:
        grad_output = self.grad_output.pop(threading.get_ident(), ())
        for hook in list(self.module._backward_hooks.values()):
            replaced = hook(self.module, tuple(grad_input), grad_output)
            if replaced is None:
                continue
            replaced = replaced if isinstance(replaced, tuple) else (replaced,)
            if len(replaced) != len(grad_input):
                name = type(self.module).__name__
                raise RuntimeError(
                    f"{name}: a backward hook must return None or {len(grad_input)} gradients, one per input, "
                    f"got {len(replaced)}"
                )
            grad_input = list(replaced)
        return grad_input
