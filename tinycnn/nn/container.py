"""Modules that hold modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from tinycnn.checks import check_int
from tinycnn.nn.module import Module

__all__ = ["ModuleDict", "ModuleList", "Sequential"]


class _Numbered(Module):
    """What Sequential and ModuleList share: modules in order, named by their indices."""

    def append(self, module: Module) -> Self:
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        if not isinstance(modules, Iterable):
            raise TypeError(f"{type(self).__name__}: expected Modules to add, got {type(modules).__name__}")
        for module in modules:
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Self:
        """Inserts a module before the one at `index` and renumbers all."""
        modules = list(self)
        modules.insert(self._place(index, len(modules) + 1), module)
        return self._replace(modules)

    def _replace(self, modules: list[Module]) -> Self:
        for module in modules:  # before anything changes
            if not isinstance(module, Module):
                raise TypeError(f"{type(self).__name__}: expected Modules, got {type(module).__name__}")
        self._modules.clear()
        return self.extend(modules)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __getitem__(self, index: Any) -> Any:
        """The module at an index, or those in a slice, held by the same kind of container."""
        return self._slice(index) if isinstance(index, slice) else list(self)[self._place(index, len(self))]

    def _place(self, index: Any, count: int) -> int:
        """`index`, which may count from the end, as a place from 0 to count − 1."""
        name = type(self).__name__
        check_int(name, "index", index)
        if not -count <= index < count:
            raise IndexError(f"{name}: index {index} is out of range: there are {len(self)} modules")
        return index

    def _slice(self, index: slice) -> Module:
        raise NotImplementedError

    def __setitem__(self, index: int, module: Module) -> None:
        self.add_module(list(self._modules)[index], module)

    def __delitem__(self, index: Any) -> None:
        """Removes a module, or those in a slice, and renumbers the rest."""
        modules = list(self)
        del modules[index]
        self._replace(modules)


class Sequential(_Numbered):
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

    def forward(self, input: object) -> Any:
        for module in self:
            input = module(input)
        return input

    def _slice(self, index: slice) -> Sequential:
        return Sequential(dict(list(self._modules.items())[index]))  # names stay


class ModuleList(_Numbered):
    """A list of modules, registered under their indices; it has no forward of its own."""

    def __init__(self, modules: Iterable[Module] = ()):
        super().__init__()
        self.extend(modules)

    def _slice(self, index: slice) -> ModuleList:
        return ModuleList(list(self)[index])


class ModuleDict(Module):
    """A dictionary of modules, registered under their keys; it has no forward of its own."""

    def __init__(self, modules: Mapping[str, Module] | None = None):
        super().__init__()
        self.update({} if modules is None else modules)

    def update(self, modules: Mapping[str, Module]) -> None:
        """Adds the modules of a mapping; those of the same keys are replaced."""
        if not isinstance(modules, Mapping):
            raise TypeError(f"ModuleDict: expected a mapping of names to Modules, got {type(modules).__name__}")
        for name, module in modules.items():
            self[name] = module

    def __getitem__(self, key: str) -> Module:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __contains__(self, key: str) -> bool:
        return key in self._modules

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def keys(self) -> Iterable[str]:
        """The keys, in the order in which they were added."""
        return self._modules.keys()

    def values(self) -> Iterable[Module]:
        """The modules, in the order in which they were added."""
        return self._modules.values()

    def items(self) -> Iterable[tuple[str, Module]]:
        """(key, module) pairs, in the order in which they were added."""
        return self._modules.items()
