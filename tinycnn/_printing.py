"""How tensors are printed."""

from __future__ import annotations

from typing import Any

from tinycnn.checks import check_choice, check_count, check_flag

_DEFAULT: dict[str, Any] = {"precision": 4, "threshold": 1000, "edgeitems": 3, "max_line_width": None}
_PROFILES: dict[str, dict[str, Any]] = {
    "default": _DEFAULT, "short": {**_DEFAULT, "precision": 2, "edgeitems": 2},
    "full": {**_DEFAULT, "threshold": 2**62},
}  # fmt: skip
options = {**_DEFAULT, "suppress_small": False}  # of numpy.array2string


def set_printoptions(
    precision: int | None = None, threshold: float | None = None, edgeitems: int | None = None,
    linewidth: int | None = None, profile: str | None = None, sci_mode: bool | None = None,
) -> None:  # fmt: skip
    """How tensors print, in all threads; what is None stays.

    `precision` digits; more than `threshold` elements are abridged to `edgeitems` at each end; lines of `linewidth`
    characters; `profile` "default", "short" or "full" sets these to given values first; `sci_mode=False` prints small
    numbers without an exponent.
    """
    if profile is not None:
        check_choice("set_printoptions", "profile", profile, tuple(_PROFILES))
        options.update(_PROFILES[profile])
    given = {"precision": precision, "edgeitems": edgeitems, "threshold": threshold, "linewidth": linewidth}
    for name, value in given.items():
        if value is not None:
            wanted = 2**62 if isinstance(value, float) and value == float("inf") else value
            options["max_line_width" if name == "linewidth" else name] = check_count("set_printoptions", name, wanted)
    if sci_mode is not None:
        options["suppress_small"] = not check_flag("set_printoptions", "sci_mode", sci_mode)
