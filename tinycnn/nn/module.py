"""Module, the base class of layers and nets, and Parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from numpy.typing import ArrayLike

from tinycnn import backend, creation, dtypes
from tinycnn.autograd import RemovableHandle, Version, no_grad
from tinycnn.backend import DeviceLike
from tinycnn.checks import check_flag
from tinycnn.dtypes import DTypeLike
from tinycnn.nn.backward_hooks import BackwardReport
from tinycnn.tensor import Tensor

__all__ = ["Module", "Parameter"]


_FLOATS = ("float16", "float32", "float64")


class Parameter(Tensor):
    """A tensor that a Module, which has it as an attribute, lists among its parameters. It shares `data`'s memory."""

    def __init__(self, data: ArrayLike | Tensor, requires_grad: bool = True):
        source = data if isinstance(data, Tensor) else creation.tensor(data)
        check_flag("Parameter", "requires_grad", requires_grad)
        self._array = source._array
        source._share_memory(self)
        self.requires_grad = requires_grad

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict(strict=False)` could not match."""

    missing_keys: list[str]
    unexpected_keys: list[str]


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

    _is_layer = False  # one of the framework's own that holds no others
    training: bool
    _parameters: dict[str, Any]
    _buffers: dict[str, Any]
    _modules: dict[str, Any]

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls._is_layer = cls.__module__.startswith("tinycnn.nn.") and cls.__module__ != "tinycnn.nn.container"

    def __init__(self) -> None:
        # Not through our own __setattr__, which looks into these.
        for name in ("_parameters", "_buffers", "_modules", "_forward_pre_hooks", "_forward_hooks", "_backward_hooks"):
            object.__setattr__(self, name, {})
        object.__setattr__(self, "_non_persistent", set())
        object.__setattr__(self, "training", True)

    def forward(self, *inputs: Any) -> Any:
        """The output for these inputs: what a subclass defines, and what calling the module runs."""
        raise NotImplementedError(f"{type(self).__name__}: a Module defines forward(self, ...)")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        hooked = self._forward_pre_hooks or self._forward_hooks or self._backward_hooks
        given, report = inputs, None
        if hooked:
            for hook in list(self._forward_pre_hooks.values()):  # a hook may remove itself
                replaced = hook(self, inputs)
                if replaced is not None:
                    inputs = replaced if isinstance(replaced, tuple) else (replaced,)
            report = BackwardReport(self, inputs) if self._backward_hooks else None
            given = report.inputs if report else inputs
        try:
            output = self.forward(*given, **options)
        except (TypeError, ValueError, RuntimeError, IndexError) as error:
            self._name_in(error)
            raise
        if hooked:
            for hook in list(self._forward_hooks.values()):
                replaced = hook(self, inputs, output)
                if replaced is not None:
                    output = replaced
        return report.watch_output(output) if report else output

    def _name_in(self, error: Exception) -> None:
        """Lets an error of a function that this layer calls begin with the layer's name."""
        name = type(self).__name__
        if self._is_layer and type(error) in (TypeError, ValueError, RuntimeError, IndexError):
            message = str(error)
            if not message.startswith(name):
                error.args = (f"{name}: {message}",)

    # --- attributes ---------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if "_parameters" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__}: call super().__init__() before assigning {name!r}")
        parameters, buffers, modules = self._parameters, self._buffers, self._modules
        if isinstance(value, (Parameter, Module)):
            own = parameters if isinstance(value, Parameter) else modules
            for others in (parameters, buffers, modules, self.__dict__):
                if others is not own:  # there it keeps its place
                    others.pop(name, None)
            own[name] = value
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
        self._check_registered(name, param, Parameter, self._parameters)
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Adds a tensor that is state, moves with the module, but is not trained; saved if `persistent`."""
        self._check_registered(name, tensor, Tensor, self._buffers)
        self._buffers[name] = tensor
        (self._non_persistent.discard if persistent else self._non_persistent.add)(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Adds a submodule under a name; None keeps the name free."""
        self._check_registered(name, module, Module, self._modules)
        self._modules[name] = module

    register_module = add_module

    def _check_registered(self, name: str, value: Any, kind: type, registered: dict) -> None:
        own = type(self).__name__
        if value is not None and not isinstance(value, kind):
            raise TypeError(f"{own}: expected a {kind.__name__} or None as {name!r}, got {type(value).__name__}")
        if not isinstance(name, str) or name == "" or "." in name:
            raise ValueError(f"{own}: expected a name that is not empty and has no dot, got {name!r}")
        if name not in registered and hasattr(self, name):
            raise ValueError(f"{own}: {name!r} is an attribute already")

    # --- iteration ----------------------------------------------------------------------------------------

    def children(self) -> Iterator[Module]:
        """The modules right below this one, each once."""
        return (module for _, module in self.named_children())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules right below this one, each once, with their names."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
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
        """The parameters, each once, of this module and, if `recurse`, of all below it."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_parameters(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Parameter]]:
        """The parameters, each once (a shared one under its first name), with dotted names."""
        return self._named("_parameters", prefix, recurse)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers, each once, of this module and, if `recurse`, of all below it."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """The buffers, each once, with dotted names."""
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
        for name, module in self._modules.items():  # a module with two names has its state under both
            if module is not None:
                state.update(module.state_dict(f"{prefix}{name}."))
        return state

    @no_grad()
    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Copies values (Tensors or arrays) into the parameters and buffers of the same names.

        Returns (missing keys, unexpected keys). ValueError, with nothing changed, where shapes differ, where memory is
        read-only or, if `strict`, where keys differ; the message lists all of them.
        """
        name, own = f"{type(self).__name__}.load_state_dict", self.state_dict()
        check_flag(name, "strict", strict)
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"{name}: expected a mapping of names to tensors, got {type(state_dict).__name__}")
        missing = [key for key in own if key not in state_dict]
        unexpected = [key for key in state_dict if key not in own]
        values = {key: state_dict[key] for key in own if key in state_dict}
        for key, value in values.items():
            if not hasattr(value, "shape"):
                raise TypeError(f"{name}: expected a Tensor or an array as {key!r}, got {type(value).__name__}")
            if not isinstance(value, Tensor):
                try:
                    values[key] = creation.tensor(value)
                except (TypeError, ValueError) as error:
                    raise TypeError(f"{name}: expected a Tensor or an array of numbers as {key!r}: {error}") from None
        mis_shaped = [
            f"{key} (expected {own[key].shape}, got {value.shape})"
            for key, value in values.items()
            if value.shape != own[key].shape
        ]
        read_only = [key for key in values if not backend.is_writeable(own[key]._array)]
        problems = [("wrong shapes", mis_shaped), ("read-only memory", read_only)]
        if strict:
            problems = [("missing keys", missing), ("unexpected keys", unexpected), *problems]
        if any(listed for _, listed in problems):
            listed = "; ".join(f"{what}: {', '.join(listed)}" for what, listed in problems if listed)
            raise ValueError(f"{name}: {listed}")
        # Moved and cast first: what can still fail, for want of memory, fails before the first write.
        ready = {key: value.to(device=own[key].device, dtype=own[key].dtype) for key, value in values.items()}
        for key, value in ready.items():
            own[key].copy_(value)
        return IncompatibleKeys(missing, unexpected)

    def train(self, mode: bool = True) -> Module:
        """Sets `training`, here and in all modules below; returns the module."""
        check_flag(f"{type(self).__name__}.train", "mode", mode)
        for module in self.modules():
            object.__setattr__(module, "training", mode)
        return self

    def eval(self) -> Module:
        """`train(False)`: dropout passes everything, batch norm uses its running statistics."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        """Sets `requires_grad` of all parameters: False freezes them. Returns the module."""
        check_flag(f"{type(self).__name__}.requires_grad_", "requires_grad", requires_grad)
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clears the gradients of all parameters: sets them to None, or to zeros."""
        check_flag(f"{type(self).__name__}.zero_grad", "set_to_none", set_to_none)
        for parameter in self.parameters():
            if set_to_none or parameter.grad is None:
                parameter.grad = None
            else:
                parameter.grad.zero_()

    def apply(self, function: Callable[[Module], Any]) -> Module:
        """Calls `function` on every module below this one, then on this one."""
        if not callable(function):
            name = type(self).__name__
            raise TypeError(f"{name}.apply: expected a function of a Module, got {type(function).__name__}")
        for module in self.children():
            module.apply(function)
        function(self)
        return self

    def to(self, *targets: Any, dtype: DTypeLike = None, device: DeviceLike = None) -> Module:
        """Moves parameters and buffers to a device, and the floating-point ones to a dtype, in place:
        `to("cuda:0")`, `to(float64)`, `to("cpu", float64)`."""
        for target in targets:
            if target is None or (isinstance(target, (backend.Device, str)) and target not in _FLOATS):
                device = target
            else:
                dtype = dtypes.as_dtype(target)
        if dtype is not None and (dtype := dtypes.as_dtype(dtype)).kind != "f":
            raise TypeError(f"{type(self).__name__}.to: expected a floating-point dtype, got {dtype}")
        if device is not None:
            device = backend.device(device)
        for tensor in [*self.parameters(), *self.buffers()]:
            for holder in (tensor, tensor.grad):
                if holder is not None:
                    moved = holder.detach().to(device=device, dtype=dtype if holder.is_floating_point() else None)
                    if moved._array is not holder._array:  # for a graph that saved it, this is a change in place
                        version = Version()
                        version.count = holder._shared_version().count + 1
                        holder._array, holder._version = moved._array, version
        return self

    def cpu(self) -> Module:
        """Moves parameters and buffers to the CPU, in place."""
        return self.to("cpu")

    def gpu(self) -> Module:
        """Moves parameters and buffers to the first GPU, in place."""
        return self.to("gpu")

    def cuda(self, index: int = 0) -> Module:
        """Moves parameters and buffers to the GPU of that index, in place."""
        return self.to(f"cuda:{index}")

    def float(self) -> Module:
        """Converts the floating-point parameters and buffers to float32, in place."""
        return self.to(dtypes.float32)

    def double(self) -> Module:
        """Converts the floating-point parameters and buffers to float64, in place."""
        return self.to(dtypes.float64)

    # --- hooks --------------------------------------------------------------------------------------------

    def register_forward_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Calls `hook(module, inputs)` before each forward; what it returns, unless None, replaces the inputs."""
        return RemovableHandle(self._forward_pre_hooks, hook, "register_forward_pre_hook")

    def register_forward_hook(self, hook: Callable) -> RemovableHandle:
        """Calls `hook(module, inputs, output)` after each forward; what it returns, if not None, is the output then."""
        return RemovableHandle(self._forward_hooks, hook, "register_forward_hook")

    def register_full_backward_hook(self, hook: Callable) -> RemovableHandle:
        """Calls `hook(module, grad_input, grad_output)`, two tuples, when the gradients of the module's inputs are
        complete; what it returns, unless None, replaces them."""
        return RemovableHandle(self._backward_hooks, hook, "register_full_backward_hook")

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
