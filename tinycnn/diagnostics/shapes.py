"""The output size of convolutions and poolings, as a function and as a command:

    tinycnn shapes conv --input 28 28 --kernel 5 --padding 2 --channels 1 6
    tinycnn shapes conv-transpose --input 14 14 --kernel 2 --stride 2 --channels 16 8
    tinycnn shapes pool --input 28 28 --kernel 3 --stride 2 --ceil-mode
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from math import prod
from typing import Any

from tinycnn._command import Parser, guarded
from tinycnn.diagnostics.summary import size_of
from tinycnn.nn.arguments import check_fits, padding_pairs, sizes
from tinycnn.ops.windows import Window

PADDINGS = ("valid", "narrow", "same", "full", "wide")


def output_size(
    input_size: int | Sequence[int], kernel_size: int | Sequence[int], stride: int | Sequence[int] = 1,
    padding: int | str | Sequence[int] = 0, dilation: int | Sequence[int] = 1, *, ceil_mode: bool = False,
    transposed: bool = False, output_padding: int | Sequence[int] = 0,
) -> Any:  # fmt: skip
    """The spatial output size of a convolution or pooling: an int for an int `input_size`, else a tuple.

    In each dimension ⌊(input + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1.

    Args:
        input_size: an int, or one for each dimension; the other sizes are one int for all dimensions, or one for each.
        kernel_size, stride, dilation: as for the layers. Default 1 for `stride` and `dilation`.
        padding: elements on both sides, default 0; or "valid" or "narrow" for none, "same" to keep the size (with
            stride 1), "full" or "wide" for every position in which the kernel overlaps the input.
        ceil_mode: round up, as pooling can, unless the last window would start beyond the input and the padding before
            it. Default False.
        transposed: a transposed convolution instead, (input − 1)·stride + dilation·(kernel − 1) + 1 − 2·padding +
            output_padding: the smallest size that the convolution maps to `input_size`, plus `output_padding`.
        output_padding: for transposed convolutions, less than the stride or the dilation. Default 0.

    Raises ValueError or TypeError for sizes that do not fit.
    """
    size = (input_size,) if isinstance(input_size, int) else tuple(input_size)
    window = _window(size, kernel_size, stride, padding, dilation, ceil_mode, transposed, output_padding)
    result = window.input_size if transposed else window.output_size
    return result[0] if isinstance(input_size, int) else result


def _window(
    input_size: tuple[int, ...], kernel_size: Any, stride: Any, padding: Any, dilation: Any,
    ceil_mode: bool = False, transposed: bool = False, output_padding: Any = 0,
) -> Window:  # fmt: skip
    """The checked window; for a transposed convolution, that of the convolution in the other direction."""
    name, dims = "output_size", len(input_size)
    size = sizes(input_size, dims, name, "input_size")
    kernel = sizes(kernel_size, dims, name, "kernel_size")
    step = sizes(stride, dims, name, "stride")
    dilate = sizes(dilation, dims, name, "dilation")
    if isinstance(padding, str):
        if padding not in PADDINGS:
            raise ValueError(f"{name}: expected padding as ints or one of {', '.join(PADDINGS)}, got {padding!r}")
        full = tuple(d * (k - 1) for k, d in zip(kernel, dilate, strict=True))
        padding = {"narrow": "valid", "wide": full, "full": full}.get(padding, padding)
    pads = padding_pairs(padding, kernel, step, dilate, name)
    if not transposed:
        window = Window(size, kernel, step, pads, dilate, ceil_mode)
        check_fits(window, name)
        return window
    extra = sizes(output_padding, dims, name, "output_padding", least=0)
    if any(e >= max(s, d) for e, s, d in zip(extra, step, dilate, strict=True)):
        raise ValueError(
            f"{name}: expected output_padding smaller than stride {step} or dilation {dilate}, got {output_padding}"
        )
    extent = Window(size, kernel, step, pads, dilate).extent
    result = tuple(
        (n - 1) * s + span - before - after + e
        for n, s, span, (before, after), e in zip(size, step, extent, pads, extra, strict=True)
    )
    if min(result) < 1:
        raise ValueError(f"{name}: input {size}, kernel {kernel} and padding {padding} give an output of {result}")
    return Window(result, kernel, step, pads, dilate)


# --- the command ------------------------------------------------------------------------------------------


def _padding(text: str) -> int | str:
    return int(text) if text.lstrip("+-").isdigit() else text


def parser() -> Parser:
    """The options of `tinycnn shapes`."""
    result = Parser(
        prog="tinycnn shapes",
        description="The output size of a layer, and what it costs.",
        examples=[
            "tinycnn shapes conv --input 28 28 --kernel 5 --padding 2 --channels 1 6",
            "tinycnn shapes conv-transpose --input 14 14 --kernel 2 --stride 2 --channels 16 8",
            "tinycnn shapes pool --input 28 28 --kernel 3 --stride 2 --ceil-mode",
        ],
    )
    layers = result.add_subparsers(dest="layer", required=True, metavar="LAYER", help="conv, conv-transpose or pool")
    for layer, text in [
        ("conv", "a convolution"),
        ("conv-transpose", "a transposed convolution"),
        ("pool", "max or average pooling"),
    ]:
        sub = layers.add_parser(layer, help=text, description=f"The output size of {text}, and what it costs.")
        ints: Any = {"type": int, "nargs": "+"}
        words = "; or valid (narrow), same, full (wide)" if layer == "conv" else ""
        stride = "that of --kernel" if layer == "pool" else "1"
        sub.add_argument("--input", required=True, **ints, metavar="SIZE", help="1 to 3 sizes, for as many dimensions")
        sub.add_argument("--kernel", required=True, **ints, metavar="K", help="one for all dimensions, or one each")
        sub.add_argument("--stride", **ints, metavar="S", help=f"default {stride}")
        sub.add_argument("--padding", type=_padding, nargs="+", default=[0], metavar="P", help=f"default 0{words}")
        sub.add_argument("--dilation", **ints, default=[1], metavar="D", help="default 1")
        if layer == "pool":
            sub.add_argument("--channels", type=int, default=1, metavar="C", help="default 1")
            sub.add_argument("--ceil-mode", action="store_true", help="round up instead of down")
            continue
        if layer == "conv-transpose":
            sub.add_argument("--output-padding", **ints, default=[0], metavar="P", help="default 0")
        sub.add_argument("--channels", type=int, nargs=2, default=1, metavar=("C", "O"), help="in, out; default 1 1")
        sub.add_argument("--groups", type=int, default=1, metavar="G", help="default 1")
        sub.add_argument("--no-bias", action="store_true", help="without a bias")
    return result


def _describe(options: argparse.Namespace) -> str:
    transposed, pools = options.layer == "conv-transpose", options.layer == "pool"
    size, dims = tuple(options.input), len(options.input)
    padding = options.padding[0] if len(options.padding) == 1 else tuple(options.padding)
    if any(isinstance(p, str) for p in options.padding) and (pools or transposed or len(options.padding) > 1):
        raise ValueError(f"padding: expected ints, got {' '.join(map(str, options.padding))}")
    window = _window(
        size, options.kernel, options.stride or (options.kernel if pools else 1), padding, options.dilation,
        pools and options.ceil_mode, transposed, options.output_padding if transposed else 0,
    )  # fmt: skip
    if pools and any(2 * before > k for (before, _), k in zip(window.padding, window.kernel_size, strict=True)):
        raise ValueError(f"padding: expected at most half the kernel size {window.kernel_size}, got {padding}")
    result = window.input_size if transposed else window.output_size
    C, O = sizes(options.channels, 2, options.layer, "channels")
    outputs = O * prod(result)
    rows = [
        ("input", f"(N, {', '.join(map(str, (C, *size)))})", f"{C * prod(size):,} numbers per sample"),
        ("output", f"(N, {', '.join(map(str, (O, *result)))})",
         f"{outputs:,} numbers per sample: {size_of(4 * outputs)} in float32"),
    ]  # fmt: skip
    if not pools:
        (groups,) = sizes(options.groups, 1, options.layer, "groups")
        if C % groups or O % groups:
            raise ValueError(f"groups: {groups} does not divide both numbers of channels, {C} and {O}")
        weights, biases = C * O // groups * prod(window.kernel_size), 0 if options.no_bias else O
        # Each weight is used once per position of the output; in a transposed convolution, of the input.
        work = weights * prod(size if transposed else result)
        rows.append(("parameters", f"{weights + biases:,}", f"weights {weights:,}, biases {biases:,}"))
        rows.append(("multiply-adds", f"{work:,}", "per sample, including those with padding"))
    widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
    lines = [f"{name:<{widths[0]}}  {value:<{widths[1]}}  {note}" for name, value, note in rows]
    extra = sizes(options.output_padding, dims, "conv-transpose", "output_padding", least=0) if transposed else None
    axes = "L" if dims == 1 else "DHW"[3 - dims :]
    return "\n".join([*lines, "", *(f"{axes[i]}: {_formula(window, i, extra)}" for i in range(dims))])


def _formula(window: Window, i: int, output_padding: tuple[int, ...] | None) -> str:
    """The formula for dimension `i`, with numbers."""
    K, S, D, (before, after) = window.kernel_size[i], window.stride[i], window.dilation[i], window.padding[i]
    size, result = window.input_size[i], window.output_size[i]
    if output_padding is not None:  # the window is that of the convolution in the other direction
        return f"({result} − 1)·{S} + {D}·({K} − 1) + 1 − {before} − {after} + {output_padding[i]} = {size}"
    quotient = f"({size} + {before} + {after} − {D}·({K} − 1) − 1) / {S}"
    if not window.ceil_mode:
        return f"⌊{quotient}⌋ + 1 = {result}"
    rounded_up = -((window.extent[i] - window.padded_size[i]) // S) + 1
    dropped = " − 1, as the last window would start beyond the input," if result < rounded_up else ""
    return f"⌈{quotient}⌉ + 1{dropped} = {result}"


@guarded("tinycnn shapes")
def main(arguments: Sequence[str] | None = None) -> int:
    """Prints sizes and costs for the command line `arguments`. Returns the exit status: 2 for sizes that do not fit."""
    options = parser().parse_args(arguments)
    try:
        if not 1 <= len(options.input) <= 3:
            raise ValueError(f"input: expected 1 to 3 sizes, got {len(options.input)}")
        print(_describe(options))
    except (ValueError, TypeError) as error:
        print(f"tinycnn shapes: error: {str(error).removeprefix('output_size: ')}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
