"""Module, the base class of layers and nets, and Parameter."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

from tinycnn import backend
from tinycnn.checks import check_flag
from tinycnn.nn.hooks import Hooked
from tinycnn.nn.parameter import Buffer
from tinycnn.nn.parameter import Parameter as Parameter
from tinycnn.nn.state import Stateful
from tinycnn.nn.state import _IncompatibleKeys as _IncompatibleKeys
from tinycnn.tensor import Tensor

__all__ = ["Module"]


_DICTS = (
    "_parameters", "_buffers", "_modules", "_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks",
    "_backward_hooks", "_state_dict_pre_hooks", "_state_dict_hooks", "_load_state_dict_pre_hooks",
)  # fmt: skip


class Module(Hooked, Stateful):
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
        for name in _DICTS:
            object.__setattr__(self, name, {})
        for name in ("_non_persistent", "_with_kwargs", "_always_called"):
            object.__setattr__(self, name, set())
        object.__setattr__(self, "training", True)

    def forward(self, *inputs: Any) -> Any:
        """The output for these inputs: what a subclass defines, and what calling the module runs."""
        raise NotImplementedError(f"{type(self).__name__}: a Module defines forward(self, ...)")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        if self._forward_pre_hooks or self._forward_hooks or self._backward_hooks or self._backward_pre_hooks:
            return self._call_hooked(inputs, options)
        try:
            return self.forward(*inputs, **options)
        except (TypeError, ValueError, RuntimeError, IndexError) as error:
            self._name_in(error)
            raise

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
            for needing, words in ((Parameter, "parameters"), (Module, "module"), (Buffer, "buffer")):
                if isinstance(value, needing):
                    raise AttributeError(f"cannot assign {words} before Module.__init__() call")
            object.__setattr__(self, name, value)
            return
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
        elif isinstance(value, Buffer):
            self.__dict__.pop(name, None)
            self.register_buffer(name, value, value.persistent)
        else:
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        for kind in ("_parameters", "_buffers", "_modules"):
            found = self.__dict__.get(kind, {})
            if name in found:
                value = found[name]
                if "cupy" in sys.modules and value is not None and (recorded := backend.recorded()) is not None:
                    recorded.relies_on(found, name, value)
                return value
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

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it, each once or, without `remove_duplicate`, under all its names, with dotted
        names that begin with `prefix`. Those in `memo` are left out, and those found are added to it."""
        seen = set() if memo is None else memo
        if self not in seen:
            if remove_duplicate:
                seen.add(self)
            yield prefix, self
            for name, module in self._modules.items():
                if module is not None:
                    below = f"{prefix}.{name}" if prefix else name
                    yield from module.named_modules(seen, below, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, each once, of this module and, if `recurse`, of all below it."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters with dotted names, each once (a shared one under its first name) or, without
        `remove_duplicate`, under all its names."""
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers, each once, of this module and, if `recurse`, of all below it."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers with dotted names; see `named_parameters`."""
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def _named(self, kind: str, prefix: str, recurse: bool, once: bool) -> Iterator[tuple[str, Any]]:
        seen = set()
        holders = self.named_modules(prefix=prefix, remove_duplicate=once) if recurse else [(prefix, self)]
        for module_name, module in holders:
            for name, tensor in getattr(module, kind).items():
                if tensor is not None and not (once and id(tensor) in seen):
                    seen.add(id(tensor))
                    yield (f"{module_name}.{name}" if module_name else name), tensor

    def get_submodule(self, target: str) -> Module:
        """The module of a dotted name; this one of "". AttributeError if there is none."""
        module = self
        for name in self._path(target) if target != "" else []:
            module = module._get("_modules", name)
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter of a dotted name. AttributeError if there is none."""
        *path, name = self._path(target)
        return self.get_submodule(".".join(path))._get("_parameters", name)

    def get_buffer(self, target: str) -> Tensor:
        """The buffer of a dotted name. AttributeError if there is none."""
        *path, name = self._path(target)
        return self.get_submodule(".".join(path))._get("_buffers", name)

    def _path(self, target: str) -> list[str]:
        if not isinstance(target, str):
            raise TypeError(f"{type(self).__name__}: expected a dotted name as target, got {type(target).__name__}")
        return target.split(".")

    def _get(self, kind: str, name: str) -> Any:
        found = getattr(self, kind).get(name)
        if found is None:
            raise AttributeError(f"{type(self).__name__}: no {kind[1:-1]} has the name {name!r}")
        return found

    # --- modes ------------------------------------------------------------------------------------------

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

    def compile(self, *options: Any, **more: Any) -> None:
        """Nothing: torch's way to make a module faster, where it can."""

    def share_memory(self) -> Module:
        """The module itself: there are no other processes to share with."""
        return self

    # --- printing -----------------------------------------------------------------------------------------

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What `repr` shows between the parentheses."""
        return ""

    def __repr__(self) -> str:
        lines = [self.extra_repr()] if self.extra_repr() else []
        children = [f"({name}): {module!r}".replace("\n", "\n  ") for name, module in self._modules.items()]
        if not children:
            return f"{self._get_name()}({', '.join(lines)})"
        return f"{self._get_name()}(\n  " + "\n  ".join(lines + children) + "\n)"
