"""Picture files as what a net takes: opened with care, cut or fitted to its size, and ink found on paper."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinycnn import tensor
from tinycnn._files import kind_of
from tinycnn.data.transforms.pictures import pillow
from tinycnn.nn.functional import max_pool2d

if TYPE_CHECKING:
    from PIL.Image import Image

# Formats that Pillow decodes itself: it would hand an EPS file, a program, to Ghostscript.
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
WORKING_SIZE = 200  # pixels of the longer side, at which ink is looked for: strokes have several, noise is averaged
LEAST_CONTRAST = 0.08  # between ink and paper, of black to white; a pencil has 0.2
LEAST_RATIO = 6  # of the contrast to the noise of the paper, the median deviation; blank pages have up to 4
MARGIN = 0.4  # of paper around a character, of its longer side, for a second look
SPECK = 0.04  # of the area of the largest piece of ink: what is smaller is dirt


class PictureError(ValueError):
    """A file is no picture, or there is nothing on it; the message, of one line, does not name the file."""


def open_picture(path: Path) -> Image:
    """The PIL image in a file, turned as its EXIF entry says; the first one of an animation. PictureError if there is
    none, ImportError without Pillow."""
    image_module, ops = pillow("tinycnn predict"), pillow("tinycnn predict", "ImageOps")
    if (kind := kind_of(path)) != "file":
        raise PictureError("there is no such file" if kind == "nothing" else f"it is a {kind}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", image_module.DecompressionBombWarning)
            with image_module.open(path, formats=FORMATS) as image:
                image.load()
                return ops.exif_transpose(image)
    except image_module.UnidentifiedImageError:
        reason = "it is empty" if path.stat().st_size == 0 else f"it is none of {', '.join(FORMATS)}"
        raise PictureError(f"no picture: {reason}") from None
    except (image_module.DecompressionBombWarning, image_module.DecompressionBombError):
        raise PictureError(f"it has more than {image_module.MAX_IMAGE_PIXELS:,} pixels") from None
    except Exception as error:  # decoders meet damaged files with nearly any exception
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PictureError(f"a damaged picture: {reason}") from None


def grey(image: Image) -> np.ndarray:
    """(H, W), 0 for black to 1 for white, of a PIL image in any mode; what is transparent shows white paper."""
    if image.mode.startswith(("I", "F")):  # 16 bits and more, of which `convert` keeps the lowest 8
        values = np.asarray(image, np.float32)
        return values / (1.0 if values.max() <= 1 else 255.0 if values.max() <= 255 else 65535.0)
    return np.asarray(_converted(image, "L"), np.float32) / 255


def fitted(image: Image, image_shape: tuple[int, int, int]) -> np.ndarray:
    """(C, H, W), 0 to 1: the picture, scaled until its shorter side fits, and its centre cut out."""
    C, H, W = image_shape
    image_module, ops = pillow("tinycnn predict"), pillow("tinycnn predict", "ImageOps")
    if C == 1:
        return np.asarray(ops.fit(image_module.fromarray(grey(image)), (W, H), image_module.BICUBIC))[None].clip(0, 1)
    return _colours(ops.fit(_converted(image, "RGB"), (W, H), image_module.BICUBIC))


def unchanged(image: Image, image_shape: tuple[int, int, int]) -> np.ndarray:
    """(C, H, W), 0 to 1: the picture as it is. PictureError if it has another size."""
    C, H, W = image_shape
    if image.size != (W, H):
        raise PictureError(f"expected {W}×{H} pixels, got {image.width}×{image.height}")
    return grey(image)[None] if C == 1 else _colours(_converted(image, "RGB"))


def thumbnail(image: Image) -> np.ndarray:
    """(H, W, 3) uint8: a small copy of the picture, to be shown."""
    image_module = pillow("tinycnn predict")
    if image.mode.startswith(("I", "F")):
        image = image_module.fromarray((255 * grey(image)).astype(np.uint8))
    small = _converted(image, "RGB")
    small.thumbnail((400, 400))
    return np.asarray(small)


def _converted(image: Image, mode: str) -> Image:
    """A copy of the picture in the mode "L" or "RGB", on white paper where it is transparent."""
    image_module = pillow("tinycnn predict")
    try:
        if not image.has_transparency_data:
            return image.convert(mode)
        image = image.convert("RGBA")
    except ValueError:
        raise PictureError(f"Pillow cannot convert its colours, of mode {image.mode}") from None
    return image_module.alpha_composite(image_module.new("RGBA", image.size, "white"), image).convert(mode)


def _colours(image: Image) -> np.ndarray:
    return np.asarray(image, np.float32).transpose(2, 0, 1) / 255


# --- handwriting --------------------------------------------------------------------------------------------


def handwriting(image: Image, size: int, box: int) -> np.ndarray:
    """(1, size, size), 0 for paper to 1 for ink: a photographed character, arranged as those of MNIST.

    The ink is what differs from the light on the paper. Its bounding box is scaled to fit `box` × `box`, with its
    aspect ratio kept and smoothed edges, and laid so that its centre of mass is in the centre. MNIST's have a `box` of
    20 in a `size` of 28. Light writing on a dark ground is found as well. PictureError where no ink is found.

    Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", 1998.
    """
    image_module = pillow("tinycnn predict")
    pixels = grey(image)
    place = _bounds(_ink(_working_copy(pixels)), MARGIN)
    pixels = pixels[tuple(slice(int(a * side), int(np.ceil(b * side))) for (a, b), side in zip(place, pixels.shape))]
    ink = _ink(_working_copy(pixels))  # once more, now that it fills the picture
    (top, bottom), (left, right) = _bounds(ink)
    ink = ink[
        round(top * len(ink)) : round(bottom * len(ink)), round(left * ink.shape[1]) : round(right * ink.shape[1])
    ]
    scale = box / max(ink.shape)
    height, width = (max(1, round(scale * side)) for side in ink.shape)
    small = image_module.fromarray(ink.astype(np.float32)).resize((width, height), image_module.BOX)
    character = np.asarray(small)
    character = character / character.max()  # a thin pen leaves grey lines
    canvas = np.zeros((size, size), np.float32)
    top, left = (
        # Pixel size / 2 has the centre of mass in MNIST; the whole box stays on the picture.
        int(np.clip(round(size / 2 - _centre(character.sum(1 - axis))), 0, size - character.shape[axis]))
        for axis in (0, 1)
    )
    canvas[top : top + height, left : left + width] = character
    return canvas[None]


def _bounds(ink: np.ndarray, margin: float = 0.0) -> list[tuple[float, float]]:
    """The first and last row, and the same of the columns, with ink, as shares of the picture; on each side with a
    margin of so many of the ink's longer side."""
    places = [np.flatnonzero(ink.any(axis)) for axis in (1, 0)]
    border = margin * max(np.ptp(place) + 1 for place in places)
    return [
        (max(0.0, place[0] - border) / side, min(side, place[-1] + 1 + border) / side)
        for place, side in zip(places, ink.shape)
    ]


def _centre(masses: np.ndarray) -> float:
    return float((masses * np.arange(len(masses))).sum() / masses.sum())


def _working_copy(pixels: np.ndarray) -> np.ndarray:
    """The picture scaled so that its longer side has WORKING_SIZE pixels, and slightly blurred against noise."""
    image_module, filters = pillow("tinycnn predict"), pillow("tinycnn predict", "ImageFilter")
    height, width = (max(1, round(side * WORKING_SIZE / max(pixels.shape))) for side in pixels.shape)
    image = image_module.fromarray((pixels * 255).round().astype(np.uint8)).resize(
        (width, height), image_module.BICUBIC
    )
    return np.asarray(image.filter(filters.GaussianBlur(1)), np.float32) / 255


def _ink(pixels: np.ndarray) -> np.ndarray:
    """(H, W), whether there is ink. PictureError where there is none."""
    difference = pixels - _light(pixels)
    if (difference**3).sum() < 0:  # ink covers little and differs much: the skewness tells on which side it is
        difference = -difference
    ink = difference > _threshold(difference)
    if ink.all() or not ink.any() or not _stands_out(difference[ink], difference[~ink]):
        raise PictureError("no writing found: the page looks blank")
    return _without_dirt(ink)


def _stands_out(ink: np.ndarray, paper: np.ndarray) -> bool:
    contrast = ink.mean() - paper.mean()
    noise = np.median(np.abs(paper - np.median(paper)))
    return bool(contrast >= max(LEAST_CONTRAST, LEAST_RATIO * noise))


def _light(pixels: np.ndarray) -> np.ndarray:
    """The light on the paper: a polynomial of degree 2, fitted to the pixels but for those that stand out from it."""
    some = pixels[::4, ::4]
    terms, values = _terms(*some.shape), some.reshape(-1).astype(np.float64)
    paper = np.abs(values - np.median(values)) <= 0.3
    for _ in range(8):
        coefficients = np.linalg.lstsq(terms[paper], values[paper], rcond=None)[0]
        residual = np.abs(values - terms @ coefficients)
        paper = residual <= max(2.5 * np.median(residual), 0.01)
    return (_terms(*pixels.shape) @ coefficients).reshape(pixels.shape)


def _terms(H: int, W: int) -> np.ndarray:
    """(H·W, 6), the terms of a polynomial of degree 2 at the places of pixels."""
    y, x = np.meshgrid(np.linspace(-1, 1, H), np.linspace(-1, 1, W), indexing="ij")
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1).reshape(-1, 6)


def _threshold(values: np.ndarray) -> float:
    """Otsu's: it divides the values into two classes so that the variance between their means is largest.

    Source: N. Otsu, "A threshold selection method from gray-level histograms", 1979.
    """
    counts, edges = np.histogram(values, 256)
    centres = (edges[:-1] + edges[1:]) / 2
    below, sums = np.cumsum(counts)[:-1], np.cumsum(counts * centres)[:-1]
    above = counts.sum() - below
    means = sums / np.maximum(below, 1), ((counts * centres).sum() - sums) / np.maximum(above, 1)
    return float(edges[1:-1][np.argmax(below * above * (means[1] - means[0]) ** 2)])


def _without_dirt(ink: np.ndarray) -> np.ndarray:
    """The ink without specks, and without what reaches the border, such as the table beside the paper."""
    pieces = _pieces(ink)
    numbers, areas = np.unique(pieces[pieces > 0], return_counts=True)
    border = np.unique(np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]]))
    inside = ~np.isin(numbers, border)
    if inside.any() and areas[inside].max() > SPECK * areas.max():
        numbers, areas = numbers[inside], areas[inside]
    return np.isin(pieces, numbers[areas >= SPECK * areas.max()])


def _pieces(ink: np.ndarray) -> np.ndarray:
    """(H, W): 0 without ink, else a number for each connected piece: the highest of its pixels'."""
    numbers = tensor(np.arange(1, ink.size + 1, dtype=np.float32).reshape(1, 1, *ink.shape) * ink)
    mask, before = tensor(ink), None
    while before is None or (numbers != before).any():
        before = numbers
        for _ in range(16):
            numbers = max_pool2d(numbers, 3, 1, 1) * mask
    return numbers.numpy()[0, 0].astype(int)
