"""`tinycnn predict`: what a trained net sees in picture files."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinycnn._command import Parser, guarded, users_errors

if TYPE_CHECKING:
    from PIL.Image import Image

    from tinycnn.training.results import Weights

# Data sets of ink on paper, with the pixels that a character's longer side has; Digits have no border.
HANDWRITING = {"mnist": 20, "qmnist": 20, "emnist": 20, "kmnist": 28, "digits": 32}


@dataclass(frozen=True)
class Prediction:
    """A picture, what the net was shown of it, and the probability (C,) of each class."""

    path: Path
    picture: Image
    seen: np.ndarray  # (C, H, W), 0 to 1
    probabilities: np.ndarray

    def top(self, count: int) -> np.ndarray:
        """The most probable classes, the first one first."""
        return np.argsort(-self.probabilities, kind="stable")[:count]


def parser() -> Parser:
    """The options."""
    result = Parser(
        prog="tinycnn predict",
        description="The classes that a trained net sees in pictures.\n\n"
        "A net of handwritten characters, such as MNIST's, is shown the ink, found on the paper, scaled and\n"
        "centred as in its data set; any other net the middle of the picture, scaled to its size.",
        examples=[
            "tinycnn predict runs/lenet_mnist seven.jpg",
            "tinycnn predict weights.safetensors photos/*.jpg --top 1",
            "tinycnn predict runs/lenet_mnist seven.jpg --out seen.png",
        ],
    )
    add = result.add_argument
    add("weights", type=Path, metavar="WEIGHTS", help="a .safetensors file of a run, or the folder of a run")
    add("images", type=Path, nargs="+", metavar="IMAGE", help="PNG, JPEG, or another format of pixels")
    add("--top", type=int, default=3, metavar="N", help="classes to print; default 3")
    add("--as-is", action="store_true", help="show the net the pixels as they are; they must have its size")
    add("--device", default="cpu", help="cpu (default), gpu, cuda:N, or auto: a GPU if there is one")
    add("--out", type=Path, metavar="PNG", help="also draw each picture, what the net saw, and bars, into this file")
    return result


@guarded("tinycnn predict")
def main(arguments: Sequence[str] | None = None) -> int:
    """Predicts what the command line `arguments` names. Returns the exit status: 1 if a picture could not be used; the
    others are predicted nevertheless."""
    options = parser().parse_args(arguments)
    if options.top < 1:
        parser().error(f"--top: expected 1 or more, got {options.top}")
    with users_errors(ValueError, OSError, ImportError, RuntimeError):
        from tinycnn import backend, no_grad, tensor
        from tinycnn.commands.pictures import PictureError, open_picture
        from tinycnn.data.transforms import Normalize
        from tinycnn.data.transforms.pictures import pillow
        from tinycnn.training.report import require_matplotlib
        from tinycnn.training.results import read_weights

        pillow("tinycnn predict")
        if options.out is not None:
            require_matplotlib()
        device = backend.device(options.device)
        weights = read_weights(options.weights)
        model = weights.classifier().to(device)

    normalize, predictions = Normalize(weights.data.mean, weights.data.std), []
    for path in options.images:
        try:
            picture = open_picture(path)
            seen = prepared(picture, weights, options.as_is)
        except PictureError as error:
            print(f"tinycnn predict: error: {path}: {error}", file=sys.stderr)
            continue
        with no_grad():
            scores = model(normalize(tensor(seen[None].astype(np.float32))).to(device))
        prediction = Prediction(path, picture, seen, scores.softmax(1)[0].cpu().numpy())
        chances = (
            f"{weights.data.classes[c]} ({prediction.probabilities[c]:.1%})" for c in prediction.top(options.top)
        )
        print(f"{path}: {', '.join(chances)}", flush=True)
        predictions.append(prediction)

    if options.out is not None and predictions:
        write_picture(predictions, weights.data.classes, options.top, options.out)
        print(f"what the net saw is in {options.out}")
    return int(len(predictions) < len(options.images))


def prepared(picture: Image, weights: Weights, as_is: bool = False) -> np.ndarray:
    """(C, H, W), 0 to 1: a PIL image as the net is to be shown it. PictureError if that cannot be done."""
    from tinycnn.commands import pictures

    image_shape = weights.data.image_shape
    if as_is:
        return pictures.unchanged(picture, image_shape)
    box = HANDWRITING.get(weights.recipe["dataset"])
    if box is not None:
        return pictures.handwriting(picture, image_shape[-1], box)
    return pictures.fitted(picture, image_shape)


def write_picture(predictions: Sequence[Prediction], classes: Sequence[str], top: int, path: Path) -> None:
    """Draws a row for each prediction into a PNG file. UserError if it cannot be written."""
    import io

    from matplotlib.figure import Figure

    from tinycnn._files import write_whole
    from tinycnn.commands.pictures import thumbnail

    figure = Figure(figsize=(9, 2.4 * len(predictions) + 0.3), dpi=110, layout="constrained")
    rows = figure.subplots(len(predictions), 3, squeeze=False, width_ratios=[1, 1, 1.4])
    for (original, seen, bars), prediction in zip(rows, predictions):
        original.imshow(thumbnail(prediction.picture))
        original.set_title(prediction.path.name, fontsize=9, loc="left", parse_math=False)
        seen.imshow(prediction.seen.transpose(1, 2, 0), cmap="gray", vmin=0, vmax=1)
        seen.set_title("what the net saw", fontsize=9, loc="left")
        best = prediction.top(top)
        chances = 100 * prediction.probabilities[best]
        drawn = bars.barh(range(len(best)), chances, color="#1f6feb")
        bars.bar_label(drawn, [f"{chance:.1f} %" for chance in chances], padding=4, fontsize=9)
        bars.set_yticks(range(len(best)), [classes[c] for c in best], parse_math=False)
        bars.set_xlim(0, 120)
        bars.set_xticks([])
        bars.invert_yaxis()
        bars.spines[["top", "right", "bottom"]].set_visible(False)
        for axes in (original, seen):
            axes.set_axis_off()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    with users_errors(OSError):
        write_whole(path, buffer.getbuffer())
