"""How changes in place are written in ONNX, where values do not change: the tensor gets the name of another value."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinycnn import backend
from tinycnn.autograd import is_view
from tinycnn.interop.onnx_record import Run, Sizes, Unexportable, change_of
from tinycnn.ops import in_place, index, shape
from tinycnn.tensor import Tensor

_FAR = 2**62  # as the end of a slice: beyond every end


@change_of(in_place.assign)
def _assign(run: Run, name: str, x: Tensor, value: Any, index: tuple) -> Callable | None:
    of_inputs = run.varies(x) or run.varies(value)
    if not of_inputs and not run.knows(x):  # a constant that is being made
        return None
    if len(index) > 1 or (index and any(hasattr(part, "dtype") for part in index[0])):
        raise Unexportable(f"{name}: a change by an index of arrays cannot be exported")
    parts = index[0] if index else (...,)
    if isinstance(value, Tensor) and _are_one(value._array, x._array[parts]):  # the end of x[i] += y
        return None
    array, after = x._array, _with_part(run, x._array, value, parts)
    names = [(weakref.ref(array), after)]
    while viewed := run.viewed(array):  # what x is a view of has changed too
        base, operator = viewed
        try:
            after = _seen_from_base(run, base, after, operator)
        except Unexportable:  # it has no name any more
            break
        names.append((weakref.ref(base), after))
        array = base

    def finish(result: Any) -> None:
        for array, name in names:
            if (known := array()) is not None:
                run.name(known, name, of_inputs)

    return finish


@change_of(in_place.put)
def _put(run: Run, name: str, x: Tensor, values: Tensor) -> Callable | None:
    return _assign(run, name, x, values, ())


def _are_one(a: Any, b: Any) -> bool:
    """Whether two arrays are the same elements of memory."""
    return backend.address(a) == backend.address(b) and (a.shape, a.strides) == (b.shape, b.strides)


def _seen_from_base(run: Run, base: Any, value: str, operator: Any) -> str:
    """The value of an array of which a view has become `value`."""
    if isinstance(operator, shape.Permute):
        return run.op("Transpose", value, perm=np.argsort(operator.dims).tolist())
    if isinstance(operator, shape.Reshape):
        return run.op("Reshape", value, Sizes(base.shape))
    if isinstance(operator, index.GetItem):
        at = operator.index if isinstance(operator.index, tuple) else (operator.index,)
        return _with_part(run, base, value, at)
    raise Unexportable(f"a change in place of what {operator.name} gave cannot be exported")


def _with_part(run: Run, x: Any, value: Any, index: Sequence[Any]) -> str:
    """The value of the array x with `value` in the part that the index names."""
    parts = [part for part in index if part is not None]
    at = next((i for i, part in enumerate(parts) if part is ...), len(parts))
    parts[at : at + 1] = [slice(None)] * (x.ndim - len([part for part in parts if part is not ...]))
    ranges = [range(n)[part] if isinstance(part, slice) else range(n)[part:][:1] for n, part in zip(x.shape, parts)]
    if any(part is None for part in index) or any(places.step != 1 for places in ranges):
        raise Unexportable("a change by an index with a step or a new dimension cannot be exported")
    kept = [len(places) for places, part in zip(ranges, parts) if isinstance(part, slice)]
    new = value if isinstance(value, str) else run.cast(
        np.asarray(value) if isinstance(value, (list, tuple)) else value, x.dtype)  # fmt: skip
    if not isinstance(value, str) and tuple(getattr(value, "shape", ())) != tuple(kept):
        new = run.op("Expand", new, Sizes(kept))
    if taken := [dim for dim, part in enumerate(parts) if not isinstance(part, slice)]:
        new = run.op("Unsqueeze", new, taken)
    limited = [(dim, places) for dim, places in enumerate(ranges) if parts[dim] != slice(None)]
    if limited:
        return _pieced(run, run.name_of(x), new, limited)
    name = new if isinstance(new, str) else run.name_of(new)
    return name if isinstance(name, str) else run.op("Identity", name)


def _pieced(run: Run, whole: Any, new: Any, limited: Sequence[tuple[int, range]]) -> Any:
    """What lies before the places along the first dimension that is limited, the new part, and what lies after."""
    if not limited:
        return new
    (dim, places), *others = limited
    within = run.op("Slice", whole, [places.start], [places.stop], [dim]) if others else None
    before = [run.op("Slice", whole, [0], [places.start], [dim])] if places.start else []
    after = run.op("Slice", whole, [places.stop], [_FAR], [dim])
    return run.op("Concat", *before, _pieced(run, within, new, others), after, axis=dim)


@change_of(Tensor._share_copy)
def _share_copy(run: Run, self: Tensor, copy: Tensor, function: Any) -> Callable | None:
    """A tensor may move to other memory, of which the copy is then a view."""
    if not run.knows(self):
        return None
    name, of_inputs = run.name_of(self), run.varies(self)

    def finish(result: Any) -> None:
        run.name(self, name, of_inputs)
        if is_view(copy._array, self._array):
            run.note_view(copy, self, function)

    return finish
