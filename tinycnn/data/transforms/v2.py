"""torchvision.transforms.v2: the same transforms, those that replace `ToTensor`, and mixtures of images."""

from tinycnn.data import transforms
from tinycnn.data.transforms import *  # noqa: F403
from tinycnn.data.transforms.convert import ToDtype, ToImage
from tinycnn.data.transforms.mixtures import CutMix, MixUp

__all__ = [*transforms.__all__, "CutMix", "MixUp", "ToDtype", "ToImage"]
