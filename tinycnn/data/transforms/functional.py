"""Functions of a picture, with torchvision's names, argument order and defaults. What a picture is: see `pictures`."""

from tinycnn.data.transforms.affine import affine, rotate
from tinycnn.data.transforms.color import (
    adjust_brightness,
    adjust_contrast,
    adjust_gamma,
    adjust_hue,
    adjust_saturation,
    erase,
    gaussian_blur,
    invert,
    rgb_to_grayscale,
    to_grayscale,
)
from tinycnn.data.transforms.convert import convert_image_dtype, pil_to_tensor, to_pil_image, to_tensor
from tinycnn.data.transforms.geometry import (
    center_crop,
    crop,
    five_crop,
    hflip,
    pad,
    resize,
    resized_crop,
    ten_crop,
    vflip,
)
from tinycnn.data.transforms.normalize import normalize
from tinycnn.data.transforms.options import InterpolationMode
from tinycnn.data.transforms.pictures import get_dimensions, get_image_num_channels, get_image_size

__all__ = [
    "affine", "rotate", "adjust_brightness", "adjust_contrast", "adjust_gamma", "adjust_hue", "adjust_saturation",
    "erase", "gaussian_blur", "invert", "rgb_to_grayscale", "to_grayscale", "convert_image_dtype", "pil_to_tensor",
    "to_pil_image", "to_tensor", "center_crop", "crop", "five_crop", "hflip", "pad", "resize", "resized_crop",
    "ten_crop", "vflip", "normalize", "InterpolationMode", "get_dimensions", "get_image_num_channels", "get_image_size",
]  # fmt: skip
