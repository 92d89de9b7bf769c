"""Module, the base class of layers and nets, and Parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tinycnn import backend, dtypes
from tinycnn.autograd import Function, no_grad
from tinycnn.tensor import Tensor


class Parameter(Tensor):
    """A tensor that a Module, which has it as an attribute, lists among its parameters. It shares `data`'s memory."""

    def __init__(self, data: Any, requires_grad: bool = True):
        source = data if isinstance(data, Tensor) else Tensor(data)
        self._array = source._array
        self._version = source._shared_version()
        self.requires_grad = requires_grad

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class RemovableHandle:
    """What registering a hook returns: `remove()` takes the hook away again."""

    def __init__(self, hooks: dict[int, Callable], hook: Callable):
        self.hooks = hooks
        hooks[id(self)] = hook

    def remove(self) -> None:
        self.hooks.pop(id(self), None)


class Module:
    """A layer or a net: parameters, buffers and submodules, found as attributes, and a `forward`.

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.conv = nn.Conv2d(1, 8, 3)

            def forward(self, x):
                return self.conv(x).relu()

    Attributes:
        training: True after `train()`, False after `eval()`; Dropout and BatchNorm behave accordingly.
    """

    training: bool
    _parameters: dict[str, Any]
    _buffers: dict[str, Any]
    _modules: dict[str, Any]

    def __init__(self) -> None:
        # Not through our own __setattr__, which looks into these.
        for name in ("_parameters", "_buffers", "_modules", "_forward_pre_hooks", "_forward_hooks", "_backward_hooks"):
            object.__setattr__(self, name, {})
        object.__setattr__(self, "_non_persistent", set())
        object.__setattr__(self, "training", True)

    def forward(self, *inputs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}: a Module defines forward(self, ...)")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        if not (self._forward_pre_hooks or self._forward_hooks or self._backward_hooks):
            return self.forward(*inputs, **options)
        for hook in self._forward_pre_hooks.values():
            replaced = hook(self, inputs)
            if replaced is not None:
                inputs = replaced if isinstance(replaced, tuple) else (replaced,)
        report = _BackwardReport(self, inputs) if self._backward_hooks else None
        output = self.forward(*(report.inputs if report else inputs), **options)
        for hook in self._forward_hooks.values():
            replaced = hook(self, inputs, output)
            if replaced is not None:
                output = replaced
        return report.watch_output(output) if report else output

    # --- attributes ---------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if "_parameters" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__}: call super().__init__() before assigning {name!r}")
        parameters, buffers, modules = self._parameters, self._buffers, self._modules
        if isinstance(value, (Parameter, Module)):
            for others in (parameters, buffers, modules, self.__dict__):
                others.pop(name, None)
            (parameters if isinstance(value, Parameter) else modules)[name] = value
        elif name in parameters or name in modules:
            kind = "Parameter" if name in parameters else "Module"
            if value is not None:
                raise TypeError(f"{type(self).__name__}.{name}: expected a {kind} or None, got {type(value).__name__}")
            (parameters if name in parameters else modules)[name] = None
        elif name in buffers:
            if value is not None and not isinstance(value, Tensor):
                raise TypeError(f"{type(self).__name__}.{name}: expected a Tensor or None, got {type(value).__name__}")
            buffers[name] = value
        else:
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        for kind in ("_parameters", "_buffers", "_modules"):
            found = self.__dict__.get(kind, {})
            if name in found:
                return found[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        for found in (self._parameters, self._buffers, self._modules):
            if name in found:
                del found[name]
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._parameters, *self._buffers, *self._modules]

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Adds a parameter, or None for one that this configuration does not have (such as bias=False)."""
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Adds a tensor that is state, moves with the module, but is not trained; saved if `persistent`."""
        self._buffers[name] = tensor
        (self._non_persistent.discard if persistent else self._non_persistent.add)(name)

    def add_module(self, name: str, module: Module | None) -> None:
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__}: expected a Module as {name!r}, got {type(module).__name__}")
        self._modules[name] = module

    register_module = add_module

    # --- iteration ----------------------------------------------------------------------------------------

    def children(self) -> Iterator[Module]:
        return (module for _, module in self.named_children())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        return ((name, module) for name, module in self._modules.items() if module is not None)

    def modules(self) -> Iterator[Module]:
        return (module for _, module in self.named_modules())

    def named_modules(self, prefix: str = "", _seen: set | None = None) -> Iterator[tuple[str, Module]]:
        """This module and all below it, each once, with dotted names."""
        seen = set() if _seen is None else _seen
        if self not in seen:
            seen.add(self)
            yield prefix, self
            for name, module in self.named_children():
                yield from module.named_modules(f"{prefix}.{name}" if prefix else name, seen)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_parameters(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Parameter]]:
        """The parameters, each once (a shared one under its first name), with dotted names."""
        return self._named("_parameters", prefix, recurse)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        return self._named("_buffers", prefix, recurse)

    def _named(self, kind: str, prefix: str, recurse: bool) -> Iterator[tuple[str, Any]]:
        seen = set()
        for module_name, module in self.named_modules(prefix) if recurse else [(prefix, self)]:
            for name, tensor in getattr(module, kind).items():
                if tensor is not None and id(tensor) not in seen:
                    seen.add(id(tensor))
                    yield (f"{module_name}.{name}" if module_name else name), tensor

    # --- state --------------------------------------------------------------------------------------------

    def state_dict(self, prefix: str = "") -> dict[str, Tensor]:
        """Parameters and persistent buffers by dotted name, as in torch; detached, sharing memory."""
        state = {}
        for name, parameter in self._parameters.items():
            if parameter is not None:
                state[prefix + name] = parameter.detach()
        for name, buffer in self._buffers.items():
            if buffer is not None and name not in self._non_persistent:
                state[prefix + name] = buffer.detach()
        for name, module in self.named_children():
            state.update(module.state_dict(f"{prefix}{name}."))
        return state

    @no_grad()
    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> tuple[list[str], list[str]]:
        """Copies values (Tensors or arrays) into the parameters and buffers of the same names.

        Returns (missing keys, unexpected keys). ValueError, with nothing changed, where shapes differ or, if
        `strict`, where keys do; the message lists all of them.
        """
        own = self.state_dict()
        missing = [key for key in own if key not in state_dict]
        unexpected = [key for key in state_dict if key not in own]
        values = {key: state_dict[key] for key in own if key in state_dict}
        values = {key: v if isinstance(v, Tensor) else Tensor(v) for key, v in values.items()}
        mis_shaped = [
            f"{key} (expected {own[key].shape}, got {value.shape})"
            for key, value in values.items()
            if value.shape != own[key].shape
        ]
        problems = [("wrong shapes", mis_shaped)]
        if strict:
            problems = [("missing keys", missing), ("unexpected keys", unexpected), *problems]
        if any(listed for _, listed in problems):
            listed = "; ".join(f"{what}: {', '.join(listed)}" for what, listed in problems if listed)
            raise ValueError(f"{type(self).__name__}.load_state_dict: {listed}")
        for key, value in values.items():
            own[key].copy_(value)
        return missing, unexpected

    def train(self, mode: bool = True) -> Module:
        for module in self.modules():
            object.__setattr__(module, "training", mode)
        return self

    def eval(self) -> Module:
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        for parameter in self.parameters():
            if set_to_none or parameter.grad is None:
                parameter.grad = None
            else:
                parameter.grad.zero_()

    def apply(self, function: Callable[[Module], Any]) -> Module:
        """Calls `function` on every module below this one, then on this one."""
        for module in self.children():
            module.apply(function)
        function(self)
        return self

    def to(self, *targets: Any, dtype: Any = None, device: Any = None) -> Module:
        """Moves parameters and buffers to a device, and the floating-point ones to a dtype, in place:
        `to("cuda:0")`, `to(float64)`, `to("cpu", float64)`."""
        for target in targets:
            if isinstance(target, (backend.Device, str)) and target not in ("float16", "float32", "float64"):
                device = target
            else:
                dtype = target
        if dtype is not None and (dtype := dtypes.as_dtype(dtype)).kind != "f":
            raise TypeError(f"{type(self).__name__}.to: expected a floating-point dtype, got {dtype}")
        if device is not None:
            device = backend.device(device)
        for tensor in [*self.parameters(), *self.buffers()]:
            for holder in (tensor, tensor.grad):
                if holder is not None:
                    moved = holder.detach().to(device=device, dtype=dtype if holder.is_floating_point() else None)
                    holder._array, holder._version = moved._array, moved._version
        return self

    def cpu(self) -> Module:
        return self.to("cpu")

    def gpu(self) -> Module:
        return self.to("gpu")

    def cuda(self, index: int = 0) -> Module:
        return self.to(f"cuda:{index}")

    def float(self) -> Module:
        return self.to(dtypes.float32)

    def double(self) -> Module:
        return self.to(dtypes.float64)

    # --- hooks --------------------------------------------------------------------------------------------

    def register_forward_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Calls `hook(module, inputs)` before each forward; what it returns, unless None, replaces the inputs."""
        return RemovableHandle(self._forward_pre_hooks, hook)

    def register_forward_hook(self, hook: Callable) -> RemovableHandle:
        """Calls `hook(module, inputs, output)` after each forward; what it returns, unless None, replaces the output.
        """
        return RemovableHandle(self._forward_hooks, hook)

    def register_full_backward_hook(self, hook: Callable) -> RemovableHandle:
        """Calls `hook(module, grad_input, grad_output)`, two tuples, when the gradients of the module's inputs are
        complete; what it returns, unless None, replaces them."""
        return RemovableHandle(self._backward_hooks, hook)

    # --- printing -----------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What `repr` shows between the parentheses."""
        return ""

    def __repr__(self) -> str:
        lines = [self.extra_repr()] if self.extra_repr() else []
        children = [f"({name}): {module!r}".replace("\n", "\n  ") for name, module in self._modules.items()]
        if not children:
            return f"{type(self).__name__}({', '.join(lines)})"
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines + children) + "\n)"


class _Identity(Function):
    """Passes its input on: a node of its own, whose gradient can be watched."""

    returns_view = True

    def forward(self, x: Any) -> Any:
        return x.view()

    def backward(self, grad_output: Any) -> Any:
        return grad_output


class _BackwardReport:
    """One call of a module with backward hooks: gathers the gradients of its outputs and inputs.

    An identity around every input and output gives each a node whose gradient belongs to this call alone.
    """

    def __init__(self, module: Module, inputs: tuple):
        self.module = module
        self.grad_output: list[Tensor | None] = []
        self.watched = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
        self.grad_input: list[Tensor | None] = [None] * len(inputs)
        self.arrived = 0
        self.inputs = tuple(_Identity()(x) if i in self.watched else x for i, x in enumerate(inputs))
        for i in self.watched:
            self.inputs[i].register_hook(lambda gradient, i=i: self.input_gradient(i, gradient))

    def watch_output(self, output: Any) -> Any:
        outputs = output if isinstance(output, tuple) else (output,)
        self.grad_output = [None] * len(outputs)
        result = []
        for i, y in enumerate(outputs):
            if isinstance(y, Tensor) and y.requires_grad:
                y = _Identity()(y)
                y.register_hook(lambda gradient, i=i: self.output_gradient(i, gradient))
            result.append(y)
        return tuple(result) if isinstance(output, tuple) else result[0]

    def output_gradient(self, i: int, gradient: Tensor) -> None:
        self.grad_output[i] = gradient
        if not self.watched:  # no input gradient will arrive: report what there is
            self.run_hooks()

    def input_gradient(self, i: int, gradient: Tensor) -> Tensor | None:
        self.grad_input[i] = gradient
        self.arrived += 1
        if self.arrived % len(self.watched):
            return None
        self.run_hooks()
        return self.grad_input[i]

    def run_hooks(self) -> None:
        for hook in self.module._backward_hooks.values():
            replaced = hook(self.module, tuple(self.grad_input), tuple(self.grad_output))
            if replaced is not None:
                self.grad_input = list(replaced)
