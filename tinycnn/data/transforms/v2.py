"""torchvision.transforms.v2: the same transforms, and those that replace `ToTensor`."""

from tinycnn.data import transforms
from tinycnn.data.transforms import *  # noqa: F403
from tinycnn.data.transforms.convert import ToDtype, ToImage

__all__ = [*transforms.__all__, "ToDtype", "ToImage"]
