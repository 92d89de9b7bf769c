"""Modules that hold parameters: a list and a dictionary of them. Other values are held too, and are no parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from tinycnn.checks import check_int
from tinycnn.nn.container import pairs_of
from tinycnn.nn.module import Module
from tinycnn.nn.parameter import Parameter
from tinycnn.tensor import Tensor

__all__ = ["ParameterDict", "ParameterList"]


class _Holder(Module):
    """What both share: values by key, a Tensor among them as a Parameter; all others are plain attributes."""

    _keys: dict[str, None]  # in order

    def __init__(self) -> None:
        super().__init__()
        self._keys = {}

    def _set(self, key: str, value: Any) -> None:
        if isinstance(value, Tensor) and not isinstance(value, Parameter):
            value = Parameter(value)
        self._keys[key] = None
        setattr(self, key, value)

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        lines = []
        for key in self._keys:
            value = getattr(self, key)
            if isinstance(value, Tensor):
                sizes = "x".join(map(str, value.shape))
                value = f"{type(value).__name__} containing: [{value.dtype} of size {sizes}]"
            else:
                value = f"Object of type: {type(value).__name__}"
            lines.append(f"\n    ({key}): {value}")
        return f"{type(self).__name__}({''.join(lines)}\n)" if lines else f"{type(self).__name__}()"


class ParameterList(_Holder):
    """A list of parameters, registered under their indices."""

    def __init__(self, values: Iterable[Any] | None = None):
        super().__init__()
        self.extend([] if values is None else values)

    def append(self, value: Tensor | Any) -> Self:
        """Adds a value at the end, a Tensor as a Parameter; returns the list."""
        self._set(str(len(self)), value)
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Adds values at the end; returns the list."""
        if not isinstance(values, Iterable) or isinstance(values, (Tensor, str)):
            raise TypeError(f"ParameterList: expected parameters to add, got {type(values).__name__}")
        for value in list(values):
            self.append(value)
        return self

    def __iadd__(self, values: Iterable[Any]) -> Self:
        return self.extend(values)

    def __getitem__(self, index: int | slice) -> Any:
        """The value at an index, or those in a slice as a ParameterList."""
        return type(self)(list(self)[index]) if isinstance(index, slice) else getattr(self, self._key(index))

    def __setitem__(self, index: int, value: Any) -> None:
        self._set(self._key(index), value)

    def _key(self, index: int) -> str:
        check_int("ParameterList", "index", index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"ParameterList: index {index} is out of range: there are {len(self)} values")
        return str(index % len(self))

    def __iter__(self) -> Iterator[Any]:
        return iter([getattr(self, key) for key in self._keys])


class ParameterDict(_Holder):
    """A dictionary of parameters, registered under their keys."""

    def __init__(self, parameters: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None):
        super().__init__()
        self.update({} if parameters is None else parameters)

    def update(self, parameters: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """Adds the values of a mapping, or of (key, value) pairs; those of the same keys are replaced."""
        for key, value in pairs_of("ParameterDict", "Parameters", parameters):
            self[key] = value

    def __getitem__(self, key: str) -> Any:
        if key not in self._keys:
            raise KeyError(key)
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise TypeError(f"ParameterDict: expected a str as a key, got {type(key).__name__}")
        self._set(key, value)

    def __delitem__(self, key: str) -> None:
        self.pop(key)

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def pop(self, key: str) -> Any:
        """Removes the value of a key and returns it."""
        value = self[key]
        del self._keys[key]
        delattr(self, key)
        return value

    def clear(self) -> None:
        """Removes all values."""
        for key in list(self._keys):
            self.pop(key)

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, `default` if there is none."""
        return getattr(self, key) if key in self else default

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value of a key, which becomes `default` if there is none."""
        if key not in self:
            self[key] = default
        return self[key]

    def keys(self) -> Iterable[str]:
        """The keys, in the order in which they were added."""
        return self._keys.keys()

    def values(self) -> Iterable[Any]:
        """The values, in the order in which they were added."""
        return [getattr(self, key) for key in self._keys]

    def items(self) -> Iterable[tuple[str, Any]]:
        """(key, value) pairs, in the order in which they were added."""
        return [(key, getattr(self, key)) for key in self._keys]
