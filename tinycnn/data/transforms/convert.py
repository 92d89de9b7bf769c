"""Transforms from one kind of picture to another one."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinycnn._bfloat16 import FLOATING
from tinycnn.autograd import wrap
from tinycnn.backend import Array
from tinycnn.checks import check_flag
from tinycnn.data.transforms.pictures import Picture, Transform, is_array, is_pil, on_tensor, pillow
from tinycnn.dtypes import DTypeLike, as_dtype, get_default_dtype
from tinycnn.tensor import Tensor


def to_tensor(pic: Picture) -> Tensor:
    """A PIL image or an array (H, W) or (H, W, C) as a Tensor (C, H, W): 8 bits become floats of the default dtype in
    [0, 1], other dtypes stay. TypeError for anything else."""
    pixels = _channels_first("to_tensor", pic)
    if pixels.dtype == bool and is_pil(pic):
        pixels = pixels * np.uint8(255)
    return wrap(scaled(pixels) if pixels.dtype == np.uint8 else np.array(pixels, order="C"))


def scaled(pixels: Any) -> Any:
    """Pixels of 8 bits as floats of the default dtype in [0, 1], in C order."""
    result = pixels.astype(get_default_dtype(), order="C")
    result /= 255  # in place: of a whole data set it may be hundreds of MB
    return result


def pil_to_tensor(pic: Picture) -> Tensor:
    """A PIL image as a Tensor (C, H, W) of its own dtype, unscaled. TypeError for anything else."""
    if not is_pil(pic):
        raise TypeError(f"pil_to_tensor: expected a PIL image, got a {type(pic).__name__}")
    return wrap(np.array(_channels_first("pil_to_tensor", pic), order="C"))


def array_to_tensor(array: np.ndarray) -> Tensor:
    """An array (H, W) or (H, W, C) as a Tensor (C, H, W), unscaled."""
    return wrap(np.array(_channels_first("ToImage", array), order="C"))


def _channels_first(owner: str, pic: Picture) -> np.ndarray:
    if not is_pil(pic) and not isinstance(pic, np.ndarray):
        raise TypeError(f"{owner}: expected a PIL image or an array (H, W, C), got a {type(pic).__name__}")
    pixels = np.asarray(pic)
    if pixels.ndim not in (2, 3):
        raise ValueError(f"{owner}: expected an array (H, W) or (H, W, C), got shape {pixels.shape}")
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


_MODES = {  # by channels and dtype: the first is the default
    (1, "uint8"): ["L"], (1, "int16"): ["I;16"], (1, "uint16"): ["I;16"], (1, "int32"): ["I"], (1, "float32"): ["F"],
    (2, "uint8"): ["LA"], (3, "uint8"): ["RGB", "YCbCr", "HSV"], (4, "uint8"): ["RGBA", "CMYK", "RGBX"],
}  # fmt: skip


def to_pil_image(pic: Picture, mode: str | None = None) -> Any:
    """A Tensor (C, H, W) or (H, W), or an array (H, W, C) or (H, W), as a PIL image.

    Tensors of floats are scaled by 255 and cut to 8 bits, unless mode is "F". ValueError for shapes, dtypes and modes
    that have no such image, TypeError for anything else.
    """
    owner = "to_pil_image"
    if isinstance(pic, Tensor):
        pixels = pic.detach().cpu()._array
        if pixels.dtype.kind in FLOATING and mode != "F":
            pixels = (pixels * 255).astype(np.uint8)
        pixels = pixels[None] if pixels.ndim == 2 else pixels
        pixels = pixels.transpose(1, 2, 0) if pixels.ndim == 3 else pixels
    elif isinstance(pic, np.ndarray):
        pixels = pic[:, :, None] if pic.ndim == 2 else pic
    else:
        raise TypeError(f"{owner}: expected a Tensor or an array, got a {type(pic).__name__}")
    if pixels.ndim != 3:
        raise ValueError(f"{owner}: expected two or three dimensions, got shape {tuple(pic.shape)}")
    modes = _MODES.get((pixels.shape[2], str(pixels.dtype)), [])
    if not modes or (mode is not None and mode not in modes):
        of = f"{pixels.shape[2]} channels of {pixels.dtype}"
        raise ValueError(f"{owner}: expected {' or '.join(modes) or 'an image mode that exists'} for {of}, got {mode}")
    H, W, C = pixels.shape
    Image = pillow(owner)
    pixels = np.ascontiguousarray(pixels[:, :, 0] if C == 1 else pixels)
    return Image.frombytes(mode or modes[0], (W, H), pixels.tobytes())


def convert_image_dtype(image: Picture, dtype: DTypeLike = None) -> Any:
    """A Tensor or an array in another dtype (default: the default dtype), its range scaled: integers from 0 to their
    largest, floats from 0 to 1."""
    target = as_dtype(dtype)

    def converted(x: Tensor) -> Tensor:
        source = x.dtype
        if source == target:
            return x
        if source.kind in FLOATING and target.kind in FLOATING:
            return x.to(target)
        if source.kind in FLOATING:
            return (x * (np.iinfo(target).max + 1 - 1e-3)).to(target)
        most = int(np.iinfo(source).max)
        if target.kind in FLOATING:
            return x.to(target) / most
        ratio = (most + 1) / (int(np.iinfo(target).max) + 1)
        return (x // int(ratio)).to(target) if ratio > 1 else x.to(target) * int(1 / ratio)

    return on_tensor("convert_image_dtype", image, converted)


class ToTensor(Transform):
    """A PIL image or an array (H, W) or (H, W, C) as a Tensor (C, H, W): 8 bits become floats of the default dtype in
    [0, 1], other dtypes stay. TypeError for anything else."""

    reads_pixels = True

    def forward(self, img: Picture) -> Tensor:
        """The Tensor."""
        return to_tensor(img)

    def on_batch(self, images: Array) -> Array:
        """The same of a batch of 8-bit pixels (N, C, H, W)."""
        return scaled(images)


class PILToTensor(Transform):
    """A PIL image as a Tensor (C, H, W) of its own dtype, unscaled. TypeError for anything else."""

    reads_pixels = True

    def forward(self, img: Picture) -> Tensor:
        """The Tensor."""
        return pil_to_tensor(img)

    def on_batch(self, images: Array) -> Array:
        """The same of a batch of 8-bit pixels (N, C, H, W)."""
        return np.ascontiguousarray(images)


class ToPILImage(Transform):
    """A Tensor (C, H, W) or an array (H, W, C) as a PIL image: see `functional.to_pil_image`.

    Args:
        mode: the image's mode. Default None: by channels and dtype.
    """

    def __init__(self, mode: str | None = None):
        self.mode = mode

    def forward(self, img: Picture) -> Any:
        """The PIL image."""
        return to_pil_image(img, self.mode)


class ConvertImageDtype(Transform):
    """A Tensor or an array in another dtype, its range scaled: integers from 0 to their largest, floats from 0 to 1."""

    def __init__(self, dtype: DTypeLike):
        self.dtype = as_dtype(dtype)

    def forward(self, img: Picture) -> Any:
        """The converted picture."""
        return convert_image_dtype(img, self.dtype)

    def on_batch(self, images: Array) -> Array:
        """The same of a batch."""
        return self.forward(images)


class ToImage(PILToTensor):
    """A PIL image, or an array (H, W) or (H, W, C), as a Tensor (C, H, W), unscaled; a Tensor stays. Of `v2`."""

    def forward(self, img: Picture) -> Tensor:
        """The Tensor."""
        if isinstance(img, Tensor):
            return img
        return pil_to_tensor(img) if not is_array(img) else array_to_tensor(img)

    on_batch = PILToTensor.on_batch


class ToDtype(ConvertImageDtype):
    """A Tensor or an array in another dtype. Of `v2`.

    Args:
        scale: scale the range as `ConvertImageDtype` does. Default False: the values stay.
    """

    def __init__(self, dtype: DTypeLike, scale: bool = False):
        super().__init__(dtype)
        self.scale = check_flag("ToDtype", "scale", scale)

    def forward(self, img: Picture) -> Any:
        """The converted picture."""
        return super().forward(img) if self.scale else on_tensor("ToDtype", img, lambda x: x.to(self.dtype))

    on_batch = ConvertImageDtype.on_batch
