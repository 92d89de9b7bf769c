"""torchvision's paths of `tinycnn.data.transforms`, where `transforms.transforms` is the same module."""

import sys

from tinycnn._former_paths import moved
from tinycnn.data import transforms
from tinycnn.data.transforms import v2 as v2  # loaded, so that there is one copy of it

moved(__name__, "tinycnn.data.transforms")
vars(transforms)["transforms"] = sys.modules[f"{__name__}.transforms"] = transforms
