"""Edges in a photograph: kernels that nobody trained, in a Conv2d, and what they answer to.

    python examples/edge_detection.py
    python examples/edge_detection.py holiday.jpg --out edges.png

Without a path it takes the photograph that comes with scikit-learn.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

import numpy as np
from program import Parser, UserError, positive, require, run, show, side_by_side, table

import tinycnn
from tinycnn import nn, tensor
from tinycnn._files import kind_of, write_whole

# What each kernel answers to: its sum is its answer to a flat area.
EDGES = {
    "Laplacian": [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],  # 8 times a pixel less its 8 neighbours
    "Sobel x": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],  # right less left: upright edges
    "Sobel y": [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],  # below less above: level edges
}
SHARPEN = [[0, -1, 0], [-1, 5, -1], [0, -1, 0]]  # a pixel, plus what it differs from its 4 neighbours

LUMA = 0.299, 0.587, 0.114  # how bright red, green and blue look (ITU-R BT.601)


@tinycnn.no_grad()
def with_kernels(layer: nn.Conv2d, kernels: list) -> nn.Conv2d:
    """`layer` with these kernels (KH, KW) as the weights of its output channels."""
    layer.weight.copy_(tensor(np.array(kernels, np.float32)[:, None]))
    return layer


def edge_layer() -> nn.Conv2d:
    """(N, 1, H, W) to (N, 3, H, W): a channel for each kernel of EDGES.

    The border repeats ("replicate"): with zeros around it, the frame of the picture would be the strongest edge.
    """
    layer = nn.Conv2d(1, len(EDGES), 3, padding=1, padding_mode="replicate", bias=False)
    return with_kernels(layer, list(EDGES.values()))


def sharpen_layer() -> nn.Conv2d:
    """(N, 3, H, W) to (N, 3, H, W): as many groups as channels, so that red meets red alone, and so on."""
    return with_kernels(nn.Conv2d(3, 3, 3, padding=1, padding_mode="replicate", groups=3, bias=False), [SHARPEN] * 3)


@tinycnn.no_grad()
def feature_maps(photo: np.ndarray) -> dict[str, np.ndarray]:
    """Of a photograph (H, W, 3) from 0 to 1: maps (H, W), and "sharpen" (H, W, 3)."""
    colours = tensor(photo.transpose(2, 0, 1)[None].astype(np.float32))  # (1, 3, H, W)
    grey = (colours * tensor(np.float32(LUMA).reshape(3, 1, 1))).sum(1, keepdim=True)
    maps = dict(zip(EDGES, edge_layer()(grey)[0].numpy(), strict=True))
    maps["Sobel magnitude"] = np.hypot(maps["Sobel x"], maps["Sobel y"])
    maps["sharpen"] = sharpen_layer()(colours)[0].numpy().transpose(1, 2, 0)
    return maps


def read_photo(path: Path | None, longest: int) -> np.ndarray:
    """(H, W, 3) from 0 to 1; reduced, if need be, so that no side is longer than `longest`."""
    image = require("PIL.Image", "Pillow")
    if path is None:
        picture = image.fromarray(require("sklearn.datasets", "scikit-learn").load_sample_image("china.jpg"))
    elif (kind := kind_of(path)) not in ("file", "nothing"):
        raise UserError(f"{path}: it is a {kind}")
    else:
        try:
            picture = image.open(path).convert("RGB")
        except image.UnidentifiedImageError:
            raise UserError(f"{path}: not an image") from None
        except (OSError, ValueError, image.DecompressionBombError) as error:
            raise UserError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    picture.thumbnail((longest, longest))
    return np.asarray(picture) / 255


def draw(photo: np.ndarray, maps: dict[str, np.ndarray], path: Path) -> None:
    """The photograph and its feature maps side by side, as a PNG file."""
    figure_module = require("matplotlib.figure", "matplotlib")
    H, W, _ = photo.shape
    height = 10 * min(max(H / W, 0.2), 3) + 0.7  # of a banner, or a tall strip, too
    figure = figure_module.Figure(figsize=(15, height), dpi=110, layout="constrained")
    figure.get_layout_engine().set(wspace=0.03, hspace=0.03)
    panels = [
        ("photograph", photo, None),
        ("Laplacian: all edges, white beside black", maps["Laplacian"], "signed"),
        ("sharpened: the photograph with its edges added", maps["sharpen"].clip(0, 1), None),
        ("Sobel x: upright edges; white: brighter to the right", maps["Sobel x"], "signed"),
        ("Sobel y: level edges; white: brighter below", maps["Sobel y"], "signed"),
        ("Sobel magnitude √(x² + y²): the darker, the steeper", maps["Sobel magnitude"], "strength"),
    ]
    for axes, (title, picture, kind) in zip(figure.subplots(2, 3).flat, panels):
        axes.set_title(title, loc="left", fontsize=12)
        axes.set_axis_off()
        # The few strongest edges are cut off, or they alone would be seen.
        limit = 1 if kind is None else max(float(np.percentile(np.abs(picture), 96)), 1e-6)
        style = {"signed": {"cmap": "gray", "vmin": -limit, "vmax": limit},
                 "strength": {"cmap": "gray_r", "vmin": 0, "vmax": limit}}  # fmt: skip
        axes.imshow(picture, interpolation="antialiased", **style.get(kind, {}))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    try:
        write_whole(path, buffer.getbuffer())
    except OSError as error:
        raise UserError(f"--out: {error}") from None


def detect(options: argparse.Namespace) -> None:
    photo = read_photo(options.photo, options.size)
    maps = feature_maps(photo)
    draw(photo, maps, options.out)

    H, W, _ = photo.shape
    print(f"{options.photo or 'china.jpg of scikit-learn'}: {W} × {H} pixels, brightness 0 to 1")
    print()
    kernels = {**EDGES, "sharpen": SHARPEN}
    print(side_by_side(list(kernels), [show(kernel) for kernel in kernels.values()]))
    print()
    rows = []
    for name, values in maps.items():
        kernel_sum = np.sum(kernels[name]) if name in kernels else "–"
        size = np.abs(values)
        extremes = f"{values.min():.2f}", f"{values.max():.2f}"
        rows.append([name, kernel_sum, *extremes, f"{np.median(size):.3f}", f"{np.percentile(size, 99):.3f}"])
    print(table(["feature map", "kernel's sum", "least", "largest", "median |value|", "99% below"], rows))
    print()
    print(
        "Kernels whose sum is 0 are silent where the picture is flat: half of it stays near 0, and edges stand out.\n"
        f"Sharpening, of sum 1, keeps flat areas as they are. The picture is {options.out}"
    )


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(prog="edge_detection.py", description="Edges in a photograph, by kernels in a Conv2d.")
    parser.add_argument("photo", nargs="?", type=Path, metavar="IMAGE", help="default: a sample of scikit-learn's")
    parser.add_argument(
        "--out", type=Path, default=Path("edge_detection.png"), metavar="PNG", help="default: edge_detection.png"
    )
    parser.add_argument(
        "--size", type=positive, default=1000, metavar="N", help="reduce so that no side is longer; default 1000 pixels"
    )
    return run(detect, parser.parse_args(arguments), parser.prog)


if __name__ == "__main__":
    sys.exit(main())
