"""Transforms of the values of pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tinycnn import backend
from tinycnn._bfloat16 import FLOATING
from tinycnn.autograd import wrap
from tinycnn.backend import Array
from tinycnn.checks import check_flag, check_not_negative, check_number, check_positive, check_share, shortened
from tinycnn.data.transforms import sampling
from tinycnn.data.transforms.convert import convert_image_dtype, pil_to_tensor, to_pil_image
from tinycnn.data.transforms.options import fill_beside, listed, pair_of, range_of
from tinycnn.data.transforms.pictures import (
    BatchTransform,
    Picture,
    RandomTransform,
    Transform,
    chance,
    channels_of,
    checked_picture,
    is_batch,
    is_pil,
    on_tensor,
    pillow,
    size_of,
    uniform,
    whole,
)
from tinycnn.tensor import Tensor

GREY = 0.2989, 0.587, 0.114  # the brightness of red, green and blue


# --- functions --------------------------------------------------------------------------------------------


def _most(x: Tensor) -> float:
    """The value of white."""
    return 1.0 if x.dtype.kind in FLOATING else float(np.iinfo(x.dtype).max)


def _blended(x: Tensor, other: Tensor | float, factor: float) -> Tensor:
    """factor · x + (1 − factor) · other, kept within black and white."""
    return (factor * x.to(_floating(x)) + (1 - factor) * other).clamp(0, _most(x)).to(x.dtype)


def _floating(x: Tensor) -> np.dtype:
    return x.dtype if x.dtype.kind in FLOATING else np.dtype(np.float32)


def _grey(x: Tensor) -> Tensor:
    """(..., 1, H, W) of (..., 3, H, W); what is grey stays."""
    if x.shape[-3] == 1:
        return x
    if x.shape[-3] != 3:
        raise ValueError(f"grayscale: expected 1 or 3 channels, got shape {tuple(x.shape)}")
    red, green, blue = (weight * x[..., c : c + 1, :, :] for c, weight in enumerate(GREY))
    return (red + green + blue).to(x.dtype)


def to_grayscale(img: Picture, num_output_channels: int = 1) -> Any:
    """The picture in shades of grey, in 1 channel (default) or 3 equal ones."""
    if num_output_channels not in (1, 3):
        raise ValueError(f"to_grayscale: expected num_output_channels as 1 or 3, got {shortened(num_output_channels)}")
    if is_pil(checked_picture("to_grayscale", img)):
        grey = img.convert("L")
        return grey if num_output_channels == 1 else pillow("to_grayscale").merge("RGB", [grey] * 3)

    def greyed(x: Tensor) -> Tensor:
        grey = _grey(x)
        return grey if num_output_channels == 1 else grey.expand(*x.shape[:-3], 3, *x.shape[-2:])

    return on_tensor("to_grayscale", img, greyed)


rgb_to_grayscale = to_grayscale


def _enhanced(name: str, img: Picture, enhancer: str, factor: float, reference: Callable[[Tensor], Any]) -> Any:
    check_not_negative(name, f"{name.removeprefix('adjust_')}_factor", factor)
    if is_pil(checked_picture(name, img)):
        return getattr(pillow(name, "ImageEnhance"), enhancer)(img).enhance(factor)
    return on_tensor(name, img, lambda x: _blended(x, reference(x), factor))


def adjust_brightness(img: Picture, brightness_factor: float) -> Any:
    """The picture times `brightness_factor`: 0 is black, 1 the picture itself."""
    return _enhanced("adjust_brightness", img, "Brightness", brightness_factor, lambda x: 0.0)


def adjust_contrast(img: Picture, contrast_factor: float) -> Any:
    """The picture's distance from its mean grey times `contrast_factor`: 0 is grey, 1 the picture itself."""

    def mean(x: Tensor) -> Tensor:
        return _grey(x).to(_floating(x)).mean((-3, -2, -1), keepdim=True)

    return _enhanced("adjust_contrast", img, "Contrast", contrast_factor, mean)


def adjust_saturation(img: Picture, saturation_factor: float) -> Any:
    """The picture's distance from its shades of grey times `saturation_factor`: 0 is grey, 1 the picture itself."""
    return _enhanced("adjust_saturation", img, "Color", saturation_factor, lambda x: _grey(x).to(_floating(x)))


def adjust_hue(img: Picture, hue_factor: float) -> Any:
    """The picture's colours turned by `hue_factor` of the circle, from −0.5 to 0.5; 0 is the picture itself.

    No gradient flows through.
    """
    if not -0.5 <= check_number("adjust_hue", "hue_factor", hue_factor) <= 0.5:
        raise ValueError(f"adjust_hue: expected hue_factor from -0.5 to 0.5, got {hue_factor}")
    if channels_of(checked_picture("adjust_hue", img)) == 1:
        return img
    if is_pil(img):
        hue, saturation, value = img.convert("HSV").split()
        turned = (np.asarray(hue).astype(np.int64) + int(hue_factor * 255)).astype(np.uint8)
        Image = pillow("adjust_hue")
        return Image.merge("HSV", (Image.fromarray(turned), saturation, value)).convert(img.mode)

    def turned_tensor(x: Tensor) -> Tensor:
        rgb = convert_image_dtype(x.detach(), _floating(x)).cpu()._array
        return convert_image_dtype(wrap(_with_hue(rgb, hue_factor)).to(x.device), x.dtype)

    return on_tensor("adjust_hue", img, turned_tensor)


def _with_hue(rgb: np.ndarray, turn: float) -> np.ndarray:
    """Pixels (..., 3, H, W) within [0, 1], their hue turned."""
    r, g, b = np.moveaxis(rgb, -3, 0)
    high, low = rgb.max(axis=-3), rgb.min(axis=-3)
    spread = np.where(high == low, 1, high - low)
    third = np.where(high == r, (g - b) / spread, np.where(high == g, 2 + (b - r) / spread, 4 + (r - g) / spread))
    hue = np.where(high == low, 0, third) / 6 + turn
    # Channel n is the brightest in a third of the circle and the darkest in the opposite one.
    channels = []
    for n in (5, 3, 1):
        k = (n + hue * 6) % 6
        channels.append(high - (high - low) * np.clip(np.minimum(k, 4 - k), 0, 1))
    return np.stack(channels, axis=-3).astype(rgb.dtype)


def adjust_gamma(img: Picture, gamma: float, gain: float = 1) -> Any:
    """gain · pixelᵞ of pixels within [0, 1]; γ above 1 makes shadows darker."""
    check_not_negative("adjust_gamma", "gamma", gamma)
    if is_pil(checked_picture("adjust_gamma", img)):
        table = [int((255 + 1 - 1e-3) * gain * pow(level / 255, gamma)) for level in range(256)]
        mode = img.mode
        return img.convert("RGB").point(table * 3).convert(mode) if mode != "L" else img.point(table)

    def curved(x: Tensor) -> Tensor:
        y = convert_image_dtype(x, _floating(x))
        return convert_image_dtype((gain * y**gamma).clamp(0, 1), x.dtype)

    return on_tensor("adjust_gamma", img, curved)


def invert(img: Picture) -> Any:
    """Black and white exchanged."""
    if is_pil(checked_picture("invert", img)):
        return pillow("invert", "ImageOps").invert(img)
    return on_tensor("invert", img, lambda x: (_most(x) - x.to(_floating(x))).to(x.dtype))


def gaussian_blur(
    img: Picture, kernel_size: int | Sequence[int], sigma: float | Sequence[float] | None = None
) -> Any:  # fmt: skip
    """The picture blurred by a Gaussian window of `kernel_size`, odd, an int or (width, height).

    Args:
        sigma: the standard deviation in pixels, a number or (x, y). Default None: 0.3·((kernel_size − 1)/2 − 1) + 0.8.
    """
    if is_pil(checked_picture("gaussian_blur", img)):
        return to_pil_image(gaussian_blur(pil_to_tensor(img), kernel_size, sigma), img.mode)
    width, height = pair_of("gaussian_blur", "kernel_size", kernel_size)
    sigmas = [0.3 * ((k - 1) * 0.5 - 1) + 0.8 for k in (width, height)] if sigma is None else sigma
    x_sigma, y_sigma = (listed(sigmas) * 2)[:2]
    for k, s in ((width, x_sigma), (height, y_sigma)):
        if k % 2 == 0 or s <= 0:
            raise ValueError(f"gaussian_blur: expected kernel_size odd and sigma above 0, got {k} and {s:g}")
    return on_tensor("gaussian_blur", img, lambda x: sampling.blurred(x, (height, width), (y_sigma, x_sigma)))


def erase(img: Picture, i: int, j: int, h: int, w: int, v: ArrayLike | Tensor, inplace: bool = False) -> Any:
    """The Tensor or array with `v` in the part of (h, w) whose first pixel is (i, j)."""

    def erased(x: Tensor) -> Tensor:
        result = x if inplace else x.clone()
        result[..., i : i + h, j : j + w] = v if isinstance(v, Tensor) else wrap(np.asarray(v, x.dtype))
        return result

    return on_tensor("erase", img, erased)


# --- transforms -------------------------------------------------------------------------------------------


class Grayscale(Transform):
    """The picture in shades of grey, in 1 channel (default) or 3 equal ones."""

    def __init__(self, num_output_channels: int = 1):
        self.num_output_channels = num_output_channels

    def forward(self, img: Picture) -> Any:
        """The grey picture."""
        return to_grayscale(img, self.num_output_channels)


class RandomGrayscale(RandomTransform):
    """Shades of grey with probability `p`, in as many channels. Default 0.1."""

    def __init__(self, p: float = 0.1):
        self.p = check_share("RandomGrayscale", "p", p)

    def forward(self, img: Picture) -> Any:
        """The picture, grey or not."""
        return to_grayscale(img, channels_of(checked_picture("RandomGrayscale", img))) if chance(self.p) else img


class ColorJitter(RandomTransform):
    """Brightness, contrast, saturation and hue changed at random, in random order.

    Args:
        brightness, contrast, saturation: the factor, (low, high), or a number v for (max(0, 1 − v), 1 + v). Default 0.
        hue: the turn, (low, high) within [−0.5, 0.5], or a number for ± that number. Default 0.
    """

    def __init__(
        self, brightness: float | Sequence[float] = 0, contrast: float | Sequence[float] = 0,
        saturation: float | Sequence[float] = 0, hue: float | Sequence[float] = 0,
    ):  # fmt: skip
        self.brightness = self._factors("brightness", brightness)
        self.contrast = self._factors("contrast", contrast)
        self.saturation = self._factors("saturation", saturation)
        turns = range_of("ColorJitter", "hue", hue)
        if max(map(abs, turns)) > 0.5:
            raise ValueError(f"ColorJitter: expected hue within -0.5 and 0.5, got {shortened(hue)}")
        self.hue = None if turns == (0, 0) else turns

    @staticmethod
    def _factors(name: str, value: Any) -> tuple[float, float] | None:
        """None for those that change nothing."""
        low, high = range_of("ColorJitter", name, value)
        if np.ndim(value) == 0:
            low, high = max(0.0, 1 + low), 1 + high
        if low < 0:
            raise ValueError(f"ColorJitter: expected {name} of at least 0, got {shortened(value)}")
        return None if low == high == 1 else (low, high)

    @staticmethod
    def get_params(
        brightness: Sequence[float] | None, contrast: Sequence[float] | None, saturation: Sequence[float] | None,
        hue: Sequence[float] | None,
    ) -> tuple[Tensor, float | None, float | None, float | None, float | None]:  # fmt: skip
        """(order, brightness, contrast, saturation, hue), drawn."""
        order = wrap(backend.random_generator().permutation(4))
        b, c, s, h = (None if r is None else uniform(*r) for r in (brightness, contrast, saturation, hue))
        return order, b, c, s, h

    def forward(self, img: Picture) -> Any:
        """The changed picture."""
        order, *factors = self.get_params(self.brightness, self.contrast, self.saturation, self.hue)
        adjustments = adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue
        for i in order.tolist():
            if factors[i] is not None:
                img = adjustments[i](img, factors[i])
        return img


class GaussianBlur(RandomTransform):
    """The picture blurred by a Gaussian window of `kernel_size`, odd, an int or (width, height).

    Args:
        sigma: the standard deviation in pixels, a number or (low, high) to draw from. Default (0.1, 2).
    """

    def __init__(self, kernel_size: int | Sequence[int], sigma: float | Sequence[float] = (0.1, 2.0)):
        self.kernel_size = pair_of("GaussianBlur", "kernel_size", kernel_size)
        low, high = (listed(sigma) * 2)[:2]
        self.sigma = range_of("GaussianBlur", "sigma", (low, high), symmetric=False)

    @staticmethod
    def get_params(sigma_min: float, sigma_max: float) -> float:
        """A standard deviation, drawn."""
        return uniform(sigma_min, sigma_max)

    def forward(self, img: Picture) -> Any:
        """The blurred picture."""
        return gaussian_blur(img, self.kernel_size, self.get_params(*self.sigma))


class RandomErasing(BatchTransform):
    """A random rectangle of a Tensor or an array overwritten with probability `p`.

    Args:
        p: the probability. Default 0.5.
        scale: the rectangle's share of the picture's area, (low, high). Default (0.02, 0.33).
        ratio: its height to width, (low, high), drawn on a logarithmic scale. Default (0.3, 3.3).
        value: a number, one per channel, or "random" for normally distributed ones. Default 0.
        inplace: overwrite a Tensor. Default False.
    """

    def __init__(
        self, p: float = 0.5, scale: Sequence[float] = (0.02, 0.33), ratio: Sequence[float] = (0.3, 3.3),
        value: float | Sequence[float] | str = 0, inplace: bool = False,
    ):  # fmt: skip
        self.p = check_share("RandomErasing", "p", p)
        self.scale = range_of("RandomErasing", "scale", scale, symmetric=False)
        if not 0 <= self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"RandomErasing: expected scale from 0 to 1, got {shortened(scale)}")
        self.ratio = range_of("RandomErasing", "ratio", ratio, symmetric=False)
        if self.ratio[0] <= 0:
            raise ValueError(f"RandomErasing: expected ratio above 0, got {shortened(ratio)}")
        if isinstance(value, str) and value != "random":
            raise ValueError(f"RandomErasing: expected value as numbers or 'random', got {value!r}")
        self.value, self.inplace = value, check_flag("RandomErasing", "inplace", inplace)

    def __call__(self, img: Picture) -> Any:
        result = super().__call__(img)
        if self.inplace and is_batch(img):
            img[...] = result
            return img
        return result

    def get_params(self, img: Picture) -> tuple[int, int, int, int] | None:
        """(top, left, height, width) of a rectangle, drawn; None where ten draws do not fit."""
        H, W = size_of(img)
        for _ in range(10):
            area, aspect = H * W * uniform(*self.scale), math.exp(uniform(*map(math.log, self.ratio)))
            height, width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if height < H and width < W:
                return whole(0, H - height), whole(0, W - width), height, width
        return None

    def forward(self, img: Picture) -> Any:
        """The picture, with a rectangle or without."""
        if not chance(self.p) or (part := self.get_params(img)) is None:
            return img
        if isinstance(self.value, str):
            value = backend.random_generator().standard_normal((channels_of(img), *part[2:]))
        else:
            value = np.reshape(self.value, (-1, 1, 1))
        return erase(img, *part, value, self.inplace)

    def on_batch(self, images: Array) -> Array:
        """Images (N, C, H, W), each with a rectangle of its own or without; new ones."""
        target, kernels = backend.device_of(images), backend.kernels(images)
        numbers, size = backend.random_generator(target), size_of(images)
        with backend.on(target):
            if isinstance(self.value, str):
                kind = np.float64 if images.dtype == np.float64 else np.float32
                value = numbers.standard_normal(images.shape, kind).astype(images.dtype, copy=False)
            else:
                value = fill_beside("RandomErasing", self.value, images, "value").reshape(-1, 1, 1)
            log_ratio = math.log(self.ratio[0]), math.log(self.ratio[1])
            boxes = kernels.draw_boxes(numbers, len(images), size, self.p, self.scale, log_ratio)
            return kernels.erased(images, boxes, value)


class Cutout(BatchTransform):
    """A square of `size` pixels of a Tensor or an array overwritten. Its middle is any pixel, so it may hang over the
    edge, where it is cut off.

    Args:
        size: height and width of the square, at least 1.
        fill: a number, or one per channel. Default 0: of images that were normalised the mean.

    Source: DeVries, Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout" (2017).
    """

    def __init__(self, size: int, fill: float | Sequence[float] = 0):
        self.size, self.fill = check_positive("Cutout", "size", size), fill

    def get_params(self, img: Picture) -> tuple[int, int, int, int]:
        """(top, left, height, width) of the square within the picture, drawn."""
        H, W = size_of(img)
        top, left = whole(0, H - 1) - self.size // 2, whole(0, W - 1) - self.size // 2
        (i, j), (bottom, right) = (max(top, 0), max(left, 0)), (min(top + self.size, H), min(left + self.size, W))
        return i, j, bottom - i, right - j

    def forward(self, img: Picture) -> Any:
        """The picture with a square overwritten."""
        return erase(checked_picture("Cutout", img), *self.get_params(img), np.reshape(self.fill, (-1, 1, 1)))

    def on_batch(self, images: Array) -> Array:
        """Images (N, C, H, W), each with a square of its own; new ones."""
        target, kernels, (H, W) = backend.device_of(images), backend.kernels(images), size_of(images)
        edge = min(self.size, 2 * max(H, W))  # one of twice the size covers all of it, wherever it is
        value = fill_beside("Cutout", self.fill, images).reshape(-1, 1, 1)
        with backend.on(target):
            boxes = kernels.draw_squares(backend.random_generator(target), len(images), (H, W), edge)
            return kernels.erased(images, boxes, value)
