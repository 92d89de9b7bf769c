"""Hooks of a Module: functions that are called before and after its forward and its backward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinycnn._handle import RemovableHandle
from tinycnn.checks import check_flag
from tinycnn.nn.backward_hooks import BackwardReport


class Hooked:
    """The part of `Module` that keeps hooks, and calls a module that has some."""

    _forward_pre_hooks: dict[int, Any]
    _forward_hooks: dict[int, Callable]
    _backward_pre_hooks: dict[int, Callable]
    _backward_hooks: dict[int, Callable]
    _with_kwargs: set[int]  # keys of the hooks that are given keyword arguments, too
    _always_called: set[int]  # keys of the forward hooks that are called after an error, too

    def register_forward_pre_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Calls `hook(module, inputs)` before each forward; what it returns, unless None, replaces the inputs.

        Args:
            prepend: call it before the hooks that are there, not after them.
            with_kwargs: call `hook(module, inputs, kwargs)`, which returns both, or None.
        """
        name = "register_forward_pre_hook"
        return self._register(name, self._forward_pre_hooks, hook, prepend, with_kwargs)

    def register_forward_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Calls `hook(module, inputs, output)` after each forward; what it returns, if not None, is the output then.

        Args:
            prepend: call it before the hooks that are there, not after them.
            with_kwargs: call `hook(module, inputs, kwargs, output)`.
            always_call: call it after an error as well, with None as output.
        """
        handle = self._register("register_forward_hook", self._forward_hooks, hook, prepend, with_kwargs)
        if check_flag("register_forward_hook", "always_call", always_call):
            self._always_called.add(handle.key)
        return handle

    def register_full_backward_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Calls `hook(module, grad_output)`, a tuple, before the gradients of the module's inputs are computed; what it
        returns, unless None, replaces them. `prepend`: before the hooks that are there, not after them."""
        return self._register("register_full_backward_pre_hook", self._backward_pre_hooks, hook, prepend)

    def register_full_backward_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Calls `hook(module, grad_input, grad_output)`, two tuples, when the gradients of the module's inputs are
        complete; what it returns, unless None, replaces them. `prepend`: before the hooks that are there, not after
        them."""
        return self._register("register_full_backward_hook", self._backward_hooks, hook, prepend)

    def register_backward_hook(self, hook: Callable) -> RemovableHandle:
        """torch's of old: `register_full_backward_hook`."""
        return self._register("register_backward_hook", self._backward_hooks, hook, False)

    def _register(
        self, name: str, hooks: dict[int, Callable], hook: Callable, prepend: bool, with_kwargs: bool = False
    ) -> RemovableHandle:
        check_flag(name, "prepend", prepend)
        check_flag(name, "with_kwargs", with_kwargs)
        handle = RemovableHandle(hooks, hook, name)
        if with_kwargs:
            self._with_kwargs.add(handle.key)
        if prepend:
            others = {key: hooks.pop(key) for key in list(hooks) if key != handle.key}
            hooks.update(others)
        return handle

    def _call_hooked(self: Any, inputs: tuple, options: dict[str, Any]) -> Any:
        """What calling the module gives, with its hooks."""
        called: set[int] = set()
        try:
            for key, hook in list(self._forward_pre_hooks.items()):  # a hook may remove itself
                inputs, options = self._before(key, hook, inputs, options)
            watched = self._backward_hooks or self._backward_pre_hooks
            report = BackwardReport(self, inputs) if watched else None
            try:
                output = self.forward(*(report.inputs if report else inputs), **options)
            except (TypeError, ValueError, RuntimeError, IndexError) as error:
                self._name_in(error)
                raise
            for key, hook in list(self._forward_hooks.items()):
                called.add(key)
                replaced = self._after(key, hook, inputs, options, output)
                if replaced is not None:
                    output = replaced
            return report.watch_output(output) if report else output
        except Exception:
            for key, hook in list(self._forward_hooks.items()):
                if key in self._always_called and key not in called:
                    self._after(key, hook, inputs, options, None)
            raise

    def _before(self, key: int, hook: Callable, inputs: tuple, options: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        if key in self._with_kwargs:
            replaced = hook(self, inputs, options)
            if replaced is None:
                return inputs, options
            if not isinstance(replaced, tuple) or len(replaced) != 2:
                raise RuntimeError(
                    f"{type(self).__name__}: a forward pre-hook with kwargs must return None or a tuple of inputs and "
                    f"kwargs, got {type(replaced).__name__}"
                )
            return replaced
        replaced = hook(self, inputs)
        if replaced is not None:
            inputs = replaced if isinstance(replaced, tuple) else (replaced,)
        return inputs, options

    def _after(self, key: int, hook: Callable, inputs: tuple, options: dict[str, Any], output: Any) -> Any:
        return hook(self, inputs, options, output) if key in self._with_kwargs else hook(self, inputs, output)
