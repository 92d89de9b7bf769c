"""What a Module's parameters and buffers hold, and where: state_dict, loading, dtypes and devices."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from tinycnn import backend, creation, dtypes
from tinycnn._bfloat16 import FLOATING
from tinycnn._handle import RemovableHandle
from tinycnn.autograd import Version, no_grad
from tinycnn.backend import DeviceLike
from tinycnn.checks import check_flag
from tinycnn.dtypes import DTypeLike
from tinycnn.nn.parameter import Parameter, Uninitialized
from tinycnn.tensor import Tensor

if TYPE_CHECKING:
    from tinycnn.nn.module import Module

_FLOATS = ("bfloat16", "float16", "float32", "float64")


class StateDictError(RuntimeError, ValueError):
    """A state_dict that does not fit: a RuntimeError as in torch, and a ValueError."""


class _IncompatibleKeys(NamedTuple):
    """What `load_state_dict(strict=False)` could not match."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not (self.missing_keys or self.unexpected_keys):
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


class Stateful:
    """The part of `Module` that saves, loads, converts and moves its tensors."""

    if TYPE_CHECKING:
        _parameters: dict[str, Any]
        _buffers: dict[str, Any]
        _modules: dict[str, Any]
        _non_persistent: set[str]
        _state_dict_pre_hooks: dict[int, Callable]
        _state_dict_hooks: dict[int, Callable]
        _load_state_dict_pre_hooks: dict[int, Callable]

        def named_modules(
            self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
        ) -> Iterator[tuple[str, Module]]: ...
        def parameters(self, recurse: bool = True) -> Iterator[Parameter]: ...
        def buffers(self, recurse: bool = True) -> Iterator[Tensor]: ...
        def get_submodule(self, target: str) -> Module: ...

    _version = 1  # of what is saved: `load_state_dict` may be given the state of an older one

    # --- saving and loading -------------------------------------------------------------------------------

    def state_dict(
        self, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Tensor]:
        """Parameters and persistent buffers by dotted name, as in torch; detached unless `keep_vars`, sharing memory.

        They are added to `destination`, which is returned; default: a new OrderedDict.
        """
        state: Any = OrderedDict() if destination is None else destination
        if destination is None:
            state._metadata = OrderedDict()
        metadata = {"version": self._version}
        if hasattr(state, "_metadata"):
            state._metadata[prefix[:-1]] = metadata
        for hook in list(self._state_dict_pre_hooks.values()):
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(state, prefix, keep_vars)
        for name, module in self._modules.items():  # a module with two names has its state under both
            if module is not None:
                module.state_dict(destination=state, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        for hook in list(self._state_dict_hooks.values()):
            if hook(self, state, prefix, metadata) is not None:
                raise RuntimeError(f"{type(self).__name__}: a state_dict post-hook must return None")
        return state

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        """Adds what this module itself holds: a method to override."""
        destination.update(self._own_state(prefix, keep_vars))

    def _own_state(self, prefix: str, keep_vars: bool = False) -> dict[str, Tensor]:
        return {
            prefix + name: tensor if keep_vars else tensor.detach()
            for name, tensor in [*self._parameters.items(), *self._buffers.items()]
            if tensor is not None and name not in self._non_persistent
        }

    def register_state_dict_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Calls `hook(module, prefix, keep_vars)` before `state_dict` collects this module's tensors."""
        return RemovableHandle(self._state_dict_pre_hooks, hook, "register_state_dict_pre_hook")

    def register_state_dict_post_hook(self, hook: Callable) -> RemovableHandle:
        """Calls `hook(module, state_dict, prefix, metadata)` when `state_dict` has collected the tensors of this module
        and of all below it: it may change the dict, and returns None."""
        return RemovableHandle(self._state_dict_hooks, hook, "register_state_dict_post_hook")

    def register_load_state_dict_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Calls `hook(module, state_dict, prefix, metadata, strict, missing_keys, unexpected_keys, error_msgs)` before
        `load_state_dict` looks for this module's tensors: it may change the dict, a copy."""
        return RemovableHandle(self._load_state_dict_pre_hooks, hook, "register_load_state_dict_pre_hook")

    def _register_load_state_dict_pre_hook(self, hook: Callable, with_module: bool = False) -> RemovableHandle:
        """torch's of old: the hook is not given the module, unless `with_module`."""
        given = hook if with_module else lambda module, *arguments: hook(*arguments)
        return RemovableHandle(self._load_state_dict_pre_hooks, given, "_register_load_state_dict_pre_hook")

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any], strict: bool,
        missing_keys: list[str], unexpected_keys: list[str], error_msgs: list[str],
    ) -> None:  # fmt: skip
        """Calls the hooks, and notes which tensors of this module itself are missing: a method to override, in order to
        change the dict. The tensors are loaded when all modules have been asked."""
        for hook in list(self._load_state_dict_pre_hooks.values()):
            hook(self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        missing_keys += [key for key in self._own_state(prefix) if key not in state_dict]

    @no_grad()
    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> _IncompatibleKeys:
        """Copies values (Tensors or arrays) into the parameters and buffers of the same names.

        Args:
            strict: refuse missing and unexpected keys.
            assign: put the given tensors in the place of the module's own, with their dtypes and devices.

        Returns (missing keys, unexpected keys). StateDictError, a RuntimeError and a ValueError, with nothing changed,
        where shapes differ, where memory is read-only or, if `strict`, where keys differ; the message lists all of
        them.
        """
        name = f"{type(self).__name__}.load_state_dict"
        check_flag(name, "strict", strict)
        check_flag(name, "assign", assign)
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"{name}: expected a mapping of names to tensors, got {type(state_dict).__name__}")
        metadata, state_dict = getattr(state_dict, "_metadata", {}), dict(state_dict)
        own: dict[str, Tensor] = {}
        missing: list[str] = []
        unexpected: list[str] = []
        errors: list[str] = []
        for path, module in self.named_modules(remove_duplicate=False):
            prefix = path and f"{path}."
            own.update(module._own_state(prefix))
            of_module = metadata.get(path, {})
            module._load_from_state_dict(state_dict, prefix, of_module, strict, missing, unexpected, errors)
        unexpected += [key for key in state_dict if key not in own]
        values = {key: _tensor_of(name, key, state_dict[key]) for key in own if key in state_dict}
        fixed = {key: value for key, value in values.items() if not isinstance(own[key], Uninitialized)}
        mis_shaped = [
            f"{key} (expected {own[key].shape}, got {value.shape})"
            for key, value in fixed.items()
            if value.shape != own[key].shape
        ]
        read_only = [] if assign else [key for key in fixed if not backend.is_writeable(own[key]._array)]
        problems = [("wrong shapes", mis_shaped), ("read-only memory", read_only), ("errors", errors)]
        if strict:
            problems = [("missing keys", missing), ("unexpected keys", unexpected), *problems]
        if any(listed for _, listed in problems):
            listed = "; ".join(f"{what}: {', '.join(listed)}" for what, listed in problems if listed)
            raise StateDictError(f"{name}: {listed}")
        if assign:
            for key, value in values.items():
                self._assign(key, value)
            return _IncompatibleKeys(missing, unexpected)
        # Moved and cast first: what can still fail, for want of memory, fails before the first write.
        ready = {key: value.to(device=own[key].device, dtype=own[key].dtype) for key, value in values.items()}
        for key, value in ready.items():
            tensor = own[key]
            if isinstance(tensor, Uninitialized):
                tensor.materialize(value.shape)
            tensor.copy_(value)
        return _IncompatibleKeys(missing, unexpected)

    def _assign(self, key: str, value: Tensor) -> None:
        """Puts a tensor in the place of the one that `key` names."""
        path, _, name = key.rpartition(".")
        holder = self.get_submodule(path)
        if name in holder._parameters:
            holder._parameters[name] = Parameter(value, holder._parameters[name].requires_grad)
        else:
            holder._buffers[name] = value

    # --- dtypes and devices ---------------------------------------------------------------------------------

    def to(
        self, *targets: Any, dtype: DTypeLike = None, device: DeviceLike = None, non_blocking: bool = False,
        memory_format: Any = None,
    ) -> Self:  # fmt: skip
        """Moves parameters and buffers to a device, and the floating-point ones to a dtype, in place:
        `to("cuda:0")`, `to(float64)`, `to("cpu", float64)`, `to(tensor)`.

        `non_blocking` and `memory_format` change nothing: they are torch's.
        """
        for target in targets:
            if isinstance(target, bool):  # non_blocking
                continue
            if isinstance(target, Tensor):
                device, dtype = target.device, target.dtype
            elif target is None or (isinstance(target, (backend.Device, str)) and target not in _FLOATS):
                device = target
            else:
                dtype = dtypes.as_dtype(target)
        if dtype is not None and (dtype := dtypes.as_dtype(dtype)).kind not in FLOATING:
            raise TypeError(f"{type(self).__name__}.to: expected a floating-point dtype, got {dtype}")
        if device is not None:
            device = backend.device(device)
        for tensor in [*self.parameters(), *self.buffers()]:
            for holder in (tensor, tensor.grad):
                if holder is None:
                    continue
                moved = holder.detach().to(device=device, dtype=dtype if holder.is_floating_point() else None)
                if not isinstance(moved, Uninitialized) and moved._array is not holder._array:
                    version = Version()  # for a graph that saved it, this is a change in place
                    version.count = holder._shared_version().count + 1
                    holder._array, holder._changes = moved._array, version
        return self

    def cpu(self) -> Self:
        """Moves parameters and buffers to the CPU, in place."""
        return self.to("cpu")

    def gpu(self) -> Self:
        """Moves parameters and buffers to the first GPU, in place."""
        return self.to("gpu")

    def cuda(self, device: int | DeviceLike = None) -> Self:
        """Moves parameters and buffers to a GPU, given by its index or its name, in place. Default: the first."""
        return self.to("gpu" if device is None else f"cuda:{device}" if isinstance(device, int) else device)

    def half(self) -> Self:
        """Converts the floating-point parameters and buffers to float16, in place."""
        return self.to(dtypes.float16)

    def float(self) -> Self:
        """Converts the floating-point parameters and buffers to float32, in place."""
        return self.to(dtypes.float32)

    def double(self) -> Self:
        """Converts the floating-point parameters and buffers to float64, in place."""
        return self.to(dtypes.float64)

    def bfloat16(self) -> Self:
        """Converts the floating-point parameters and buffers to bfloat16, in place."""
        return self.to("bfloat16")

    def type(self, dst_type: DTypeLike) -> Self:
        """Converts the floating-point parameters and buffers to a floating-point dtype, in place."""
        return self.to(dtypes.as_dtype(dst_type))


def _tensor_of(name: str, key: str, value: Any) -> Tensor:
    """A value of a state_dict as a Tensor."""
    if isinstance(value, Uninitialized):
        raise StateDictError(f"{name}: {key} has no shape yet: call the net that it comes from once")
    if isinstance(value, Tensor):
        return value
    if not hasattr(value, "shape"):
        raise TypeError(f"{name}: expected a Tensor or an array as {key!r}, got {type(value).__name__}")
    try:
        return creation.tensor(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name}: expected a Tensor or an array of numbers as {key!r}: {error}") from None
