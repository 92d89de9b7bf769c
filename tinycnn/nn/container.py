"""Modules that hold modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, Self

from tinycnn.checks import check_count, check_int
from tinycnn.nn.module import Module

__all__ = ["ModuleDict", "ModuleList", "Sequential"]


class _Numbered(Module):
    """What Sequential and ModuleList share: modules in order, named by their indices."""

    def append(self, module: Module) -> Self:
        """Adds a module at the end; returns the container."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Adds modules at the end; returns the container."""
        for module in self._others(modules):
            self.append(module)
        return self

    def pop(self, index: int | slice) -> Any:
        """Removes the module at an index, or those in a slice, and returns it."""
        module = self[index]
        del self[index]
        return module

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
        self.add_module(list(self._modules)[self._place(index, len(self))], module)

    def __add__(self, others: Iterable[Module]) -> Self:
        """A container of the same kind with the modules of both."""
        return type(self)._of([*self, *self._others(others)])

    def __iadd__(self, others: Iterable[Module]) -> Self:
        return self.extend(self._others(others))

    def _others(self, others: Any) -> list[Module]:
        if not isinstance(others, Iterable):
            raise TypeError(f"{type(self).__name__}: expected Modules to add, got {type(others).__name__}")
        return list(others)

    @classmethod
    def _of(cls, modules: list[Module]) -> Self:
        raise NotImplementedError

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
        return type(self)(dict(list(self._modules.items())[index]))  # names stay

    @classmethod
    def _of(cls, modules: list[Module]) -> Self:
        return cls(*modules)

    def __mul__(self, count: int) -> Self:
        """The modules `count` times, one after the other: they are shared, not copied."""
        return self._of([*self] * check_count(type(self).__name__, "count", count))

    def __rmul__(self, count: int) -> Self:
        return self * count

    def __imul__(self, count: int) -> Self:
        return self.extend([*self] * (check_count(type(self).__name__, "count", count) - 1))


class ModuleList(_Numbered):
    """A list of modules, registered under their indices; it has no forward of its own."""

    def __init__(self, modules: Iterable[Module] | None = None):
        super().__init__()
        self.extend([] if modules is None else modules)

    def _slice(self, index: slice) -> ModuleList:
        return self._of(list(self)[index])

    @classmethod
    def _of(cls, modules: list[Module]) -> Self:
        return cls(modules)

    def __repr__(self) -> str:
        """As of other modules, but neighbours that print alike are printed once."""
        lines, first = [], 0
        for text, same in groupby(map(repr, self)):
            count = len(list(same))
            name = f"({first})" if count == 1 else f"({first}-{first + count - 1})"
            lines.append(f"{name}: {'' if count == 1 else f'{count} x '}{text}".replace("\n", "\n  "))
            first += count
        return f"{type(self).__name__}(" + "".join(f"\n  {line}" for line in lines) + ("\n)" if lines else ")")


class ModuleDict(Module):
    """A dictionary of modules, registered under their keys; it has no forward of its own."""

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None):
        super().__init__()
        self.update({} if modules is None else modules)

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Adds the modules of a mapping, or of (key, module) pairs; those of the same keys are replaced."""
        for name, module in pairs_of("ModuleDict", "Modules", modules):
            self[name] = module

    def pop(self, key: str) -> Module:
        """Removes the module of a key and returns it."""
        return self._modules.pop(key)

    def clear(self) -> None:
        """Removes all modules."""
        self._modules.clear()

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


def pairs_of(name: str, kind: str, given: Any) -> list[tuple[str, Any]]:
    """The (key, value) pairs of a mapping, or of an iterable of pairs."""
    pairs = list(given.items() if hasattr(given, "items") else given) if isinstance(given, Iterable) else None
    if isinstance(given, str) or pairs is None or not all(isinstance(p, (tuple, list)) and len(p) == 2 for p in pairs):
        raise TypeError(f"{name}: expected a mapping of names to {kind}, got {type(given).__name__}")
    return [tuple(pair) for pair in pairs]
