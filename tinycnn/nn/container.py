"""Modules that hold modules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tinycnn.nn.module import Module


class Sequential(Module):
    """Calls its modules one after the other: `Sequential(a, b)` or, with names, `Sequential({"a": a, "b": b})`."""

    def __init__(self, *modules: Any):
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            named = list(modules[0].items())
        else:
            named = [(str(i), module) for i, module in enumerate(modules)]
        for name, module in named:
            if not isinstance(module, Module):
                raise TypeError(f"Sequential: expected a Module as {name!r}, got {type(module).__name__}")
            self.add_module(name, module)

    def forward(self, input: Any) -> Any:
        for module in self._modules.values():
            input = module(input)
        return input

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __getitem__(self, index: Any) -> Any:
        """The module at an index, or a Sequential of those in a slice."""
        if isinstance(index, slice):
            return Sequential(dict(list(self._modules.items())[index]))
        return list(self._modules.values())[index]

    def append(self, module: Module) -> Sequential:
        self.add_module(str(len(self)), module)
        return self
