"""Transforms of pictures, with torchvision's names, argument order and defaults. What a picture is: see `pictures`."""

from tinycnn.data.transforms import functional
from tinycnn.data.transforms.affine import RandomAffine, RandomRotation
from tinycnn.data.transforms.color import ColorJitter, Cutout, GaussianBlur, Grayscale, RandomErasing, RandomGrayscale
from tinycnn.data.transforms.compose import Compose, Lambda, RandomApply, RandomChoice, RandomOrder
from tinycnn.data.transforms.convert import ConvertImageDtype, PILToTensor, ToPILImage, ToTensor
from tinycnn.data.transforms.geometry import (
    CenterCrop,
    FiveCrop,
    Pad,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomShift,
    RandomVerticalFlip,
    Resize,
    TenCrop,
)
from tinycnn.data.transforms.normalize import Normalize
from tinycnn.data.transforms.options import InterpolationMode

__all__ = [
    "functional", "RandomAffine", "RandomRotation", "ColorJitter", "Cutout", "GaussianBlur", "Grayscale",
    "RandomErasing", "RandomGrayscale", "Compose", "Lambda", "RandomApply", "RandomChoice", "RandomOrder",
    "ConvertImageDtype", "PILToTensor", "ToPILImage", "ToTensor", "CenterCrop", "FiveCrop", "Pad", "RandomCrop",
    "RandomHorizontalFlip", "RandomResizedCrop", "RandomVerticalFlip", "Resize", "TenCrop", "Normalize", "RandomShift",
    "InterpolationMode",
]  # fmt: skip
