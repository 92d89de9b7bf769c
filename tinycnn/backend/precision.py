"""In which precision products of float32 matrices are computed: exactly, unless TF32 is chosen."""

from __future__ import annotations

from tinycnn.checks import check_choice

EXACT, TF32 = "float32", "tf32"
WIDE = "wide"  # of operands of 16 bits, the result in float32
_MATMUL = {"highest": EXACT, "high": TF32}


class chosen:
    """`product`: what `set_float32_matmul_precision` has chosen, for all threads. Operators read it without a call."""

    product = EXACT


def set_float32_matmul_precision(precision: str) -> None:
    """Chooses how float32 matrix products are computed; the names are torch's.

    "highest" (the default): in float32. "high": a GPU with tensor cores may round the operands to TF32, which has 10
    bits of mantissa and is several times as fast. ValueError for any other name.
    """
    check_choice("set_float32_matmul_precision", "precision", precision, tuple(_MATMUL))
    chosen.product = _MATMUL[precision]


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` has chosen: "highest" or "high"."""
    return next(name for name, precision in _MATMUL.items() if precision == chosen.product)
