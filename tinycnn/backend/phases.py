"""The input positions of a sliding window by their residues modulo its stride, for the CPU's im2col and col2im.

With a stride, the positions that a tap of the window meets have gaps between them, and NumPy copies and adds such runs
of few elements slowly. But taps of one residue meet the same positions, which are brought together once.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from functools import lru_cache
from typing import Any, NamedTuple


class Phase(NamedTuple):
    """The input positions of one residue, and the taps that meet them."""

    inputs: tuple  # index of these positions
    has_gaps: bool  # between them
    # Taps, and the index of those of these positions that each lies on; one that lies on all comes first.
    meetings: tuple[tuple[Any, tuple], ...]
    begins_with_all: bool


@lru_cache(maxsize=4096)
def phases(window: Any) -> list[Phase]:
    """Those of an `ops.windows.Window`, in the order of residues."""
    meetings: dict[tuple[int, ...], list[tuple[Any, tuple]]] = defaultdict(list)
    for tap in window.taps:
        shifts = [k * d - p for k, d, (p, _) in zip(tap.position, window.dilation, window.padding, strict=True)]
        starts = [inputs.start // stride for inputs, stride in zip(tap.inputs[1:], window.stride, strict=True)]
        met = [slice(start, start + o.stop - o.start) for start, o in zip(starts, tap.outputs[1:], strict=True)]
        residue = tuple(shift % stride for shift, stride in zip(shifts, window.stride, strict=True))
        meetings[residue].append((tap, (..., *met)))
    found: list[Phase] = []
    for residue in itertools.product(*map(range, window.stride)):
        inputs = [slice(r, None, stride) for r, stride in zip(residue, window.stride, strict=True)]
        counts = [len(range(size)[each]) for size, each in zip(window.input_size, inputs, strict=True)]
        everything = (..., *[slice(0, count) for count in counts])
        of_phase = sorted(meetings[residue], key=lambda meeting: meeting[1] != everything)
        begins_with_all = bool(of_phase) and of_phase[0][1] == everything
        found.append(Phase((..., *inputs), max(window.stride, default=1) > 1, tuple(of_phase), begins_with_all))
    return found
