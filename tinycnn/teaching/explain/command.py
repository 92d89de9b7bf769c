"""The command line of `tinycnn explain`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib import resources
from typing import Any

from tinycnn._command import Parser, guarded
from tinycnn._extras import how_to_install
from tinycnn._files import write_whole
from tinycnn.teaching.explain.worked import LIMITS, ConvGeometry, PoolGeometry, numbers, worked_conv, worked_pool

PAIRS = ("input", "kernel", "stride", "padding", "dilation")
FIGURES = (".png", ".svg", ".pdf")


def parser() -> Parser:
    """The options."""
    result = Parser(
        prog="tinycnn explain",
        description="A convolution as numbers to point at, forward and backward, on a page for any browser.",
        examples=["tinycnn explain --input 5 5 --kernel 3 --stride 2 --padding 1", "tinycnn explain --figure conv.svg"],
    )
    for name, metavar in zip(PAIRS, ("H", "KH", "S", "P", "D"), strict=True):
        default = getattr(ConvGeometry, name)
        result.add_argument(
            f"--{name}", type=int, nargs="+", default=default, metavar=metavar,
            help=f"one number for both dimensions, or two; default {' '.join(map(str, default))}",
        )  # fmt: skip
    result.add_argument("--channels", type=int, default=1, metavar="C", help="of the input; default 1")
    result.add_argument("--filters", type=int, default=1, metavar="O", help="channels of the output; default 1")
    result.add_argument("--seed", type=int, default=0, help="which small numbers; default 0")
    result.add_argument("--out", metavar="PAGE", help="the page to write; default explain.html")
    result.add_argument("--figure", metavar="FILE", help="a still picture instead, .png, .svg or .pdf; for slides")
    return result


@guarded("tinycnn explain")
def main(argv: Sequence[str] | None = None) -> int:
    """Writes the page, the figure, or both if both are named. Returns the exit status: 2 after printing an error."""
    options = parser().parse_args(argv)
    files: dict[str, bytes] = {}
    try:
        pairs = {name: _pair(name, getattr(options, name)) for name in PAIRS}
        geometry = ConvGeometry(**pairs, channels=options.channels, filters=options.filters)
        if options.seed < 0:
            raise ValueError(f"seed: expected 0 or more, got {options.seed}")
        if options.figure is not None:
            extension = os.path.splitext(options.figure)[1].lower()
            if extension not in FIGURES:
                raise ValueError(f"figure: expected a name that ends in {', '.join(FIGURES)}, got {options.figure!r}")
            files[options.figure] = _figure(geometry, options.seed, extension[1:])
        if options.out is not None or options.figure is None:
            files[options.out or "explain.html"] = page(geometry, options.seed).encode()
        for path, content in files.items():
            _make_folder(path)
            write_whole(path, content)
    except (ValueError, OSError, ImportError) as error:
        print(f"tinycnn explain: error: {error}", file=sys.stderr)
        return 2
    print("\n".join(files))
    return 0


def _make_folder(path: str) -> None:
    """The folder of a file, if it is missing."""
    folder = os.path.dirname(path)
    if folder and not os.path.isdir(folder):
        try:
            os.makedirs(folder)
        except OSError as error:
            raise OSError(f"cannot write {path}: cannot make the folder {folder}: {error.strerror}") from None


def _pair(name: str, values: Sequence[int]) -> tuple[int, int]:
    if len(values) > 2:
        raise ValueError(f"{name}: expected one number or two, got {' '.join(map(str, values))}")
    return values[0], values[-1]


def _figure(geometry: ConvGeometry, seed: int, extension: str) -> bytes:
    try:
        from tinycnn.teaching.explain.figure import draw
    except ImportError:
        raise ImportError(f"a figure needs matplotlib, which is not installed: {how_to_install('examples')}") from None
    return draw(worked_conv(geometry, seed), geometry, extension)


def page(geometry: ConvGeometry, seed: int = 0) -> str:
    """The page as HTML: template, style, formulas, script and arrays in one text."""
    pooling = PoolGeometry()
    arrays = {
        "conv": {name: array.tolist() for name, array in worked_conv(geometry, seed).items()},
        "pool": {name: array.astype(int).tolist() for name, array in worked_pool(pooling, seed).items()},
    }
    data: dict[str, Any] = {
        "limits": LIMITS,
        "geometry": {"conv": asdict(geometry), "pool": asdict(pooling)},
        "numbers": {name: array.tolist() for name, array in numbers(seed).items()},
        "arrays": arrays,
    }
    text = _resource("page.html")
    for place, content in [
        ("style", _resource("page.css")),
        ("formulas", _resource("formulas.js")),
        ("layout", _resource("layout.js")),
        ("data", f"const DATA = {json.dumps(data, separators=(',', ':'))};"),
        ("page", _resource("page.js")),
    ]:
        text = text.replace(f"/* {place} */", content)
    return text


def _resource(name: str) -> str:
    return resources.files("tinycnn.teaching.explain").joinpath(name).read_text(encoding="utf-8")
