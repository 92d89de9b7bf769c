"""What a transform works on, said here once.

- A PIL image: Pillow does the pixel work. `ToTensor` makes a Tensor of it.
- A Tensor (..., C, H, W), or an array, NumPy's or CuPy's, which is what `ArrayDataset` gives its transform. Leading
  dimensions, if any, count pictures.

What comes out is of the kind that went in. Random transforms draw from the library's random state
(`tinycnn.manual_seed`), and for each picture of a batch by itself. torchvision draws once for all of them; but what
augments a data set must not do the same to all pictures of a step.

Gradients of Tensors flow through; but a `BatchTransform`, which transforms all pictures of a batch at once, gives what
is detached. On a GPU it draws there, in one launch, and moves the pixels in another: nobody waits, it can be part of a
captured step, and every replay draws anew. The same numbers give the same pictures on every device, but each device
draws its own. From `ToTensor` on, `PictureDataset` runs a pipeline on the pixels of a whole batch as far as its steps
have `on_batch`.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from tinycnn import backend
from tinycnn._extras import how_to_install
from tinycnn.autograd import wrap
from tinycnn.backend import Array
from tinycnn.ops.shape import stack
from tinycnn.tensor import Tensor

Picture = Any  # a PIL image, a Tensor or an array


def pillow(owner: str, module: str = "Image") -> Any:
    """A module of Pillow, loaded now. ImportError, naming `owner` and the extra, where it is not installed."""
    try:
        return importlib.import_module(f"PIL.{module}")
    except ImportError:
        raise ImportError(f"{owner}: needs Pillow, which is not installed: {how_to_install('images')}") from None


def is_pil(picture: Any) -> bool:
    """Whether this is a PIL image; recognised without importing PIL."""
    return hasattr(picture, "getbands")


def is_array(picture: Any) -> bool:
    """Whether this is an array of NumPy or CuPy."""
    return isinstance(picture, np.ndarray) or backend.is_gpu_array(picture)


def on_tensor(owner: str, picture: Picture, function: Callable[[Tensor], Tensor]) -> Any:
    """`function` of a Tensor, or of an array as a Tensor. TypeError, naming `owner`, for anything else, ValueError for
    less than three dimensions."""
    tensor = wrap(picture) if is_array(picture) else picture
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{owner}: expected a Tensor or an array (..., C, H, W), got {_named(picture)}")
    if tensor.ndim < 3:
        raise ValueError(f"{owner}: expected (..., C, H, W), got shape {tuple(tensor.shape)}")
    result = function(tensor)
    return result if tensor is picture else result._array


def _named(picture: Any) -> str:
    if is_pil(picture):
        return f"a PIL image (mode {picture.mode}); put ToTensor() before it"
    return f"a {type(picture).__name__}"


def is_batch(picture: Any) -> bool:
    """Whether this is a Tensor or an array of several pictures."""
    return (isinstance(picture, Tensor) or is_array(picture)) and picture.ndim >= 4 and len(picture) > 0


def checked_picture(owner: str, picture: Any) -> Picture:
    """`picture`. TypeError, naming `owner`, unless it is a PIL image, a Tensor or an array, ValueError for less than
    three dimensions."""
    if not is_pil(picture):
        if not isinstance(picture, Tensor) and not is_array(picture):
            name = type(picture).__name__
            raise TypeError(f"{owner}: expected a PIL image, or a Tensor or an array (..., C, H, W), got a {name}")
        if picture.ndim < 3:
            raise ValueError(f"{owner}: expected (..., C, H, W), got shape {tuple(picture.shape)}")
    return picture


def size_of(picture: Picture) -> tuple[int, int]:
    """(H, W)."""
    if is_pil(picture):
        return picture.height, picture.width
    H, W = picture.shape[-2:]
    return int(H), int(W)


def channels_of(picture: Picture) -> int:
    """C."""
    return len(picture.getbands()) if is_pil(picture) else int(picture.shape[-3])


def get_dimensions(img: Picture) -> list[int]:
    """[C, H, W]."""
    return [get_image_num_channels(img), *size_of(checked_picture("get_dimensions", img))]


def get_image_size(img: Picture) -> list[int]:
    """[W, H], in this order as in torchvision."""
    return list(size_of(checked_picture("get_image_size", img)))[::-1]


def get_image_num_channels(img: Picture) -> int:
    """C."""
    return channels_of(checked_picture("get_image_num_channels", img))


# --- draws ------------------------------------------------------------------------------------------------


def chance(p: float) -> bool:
    """True with probability `p`."""
    return bool(backend.random_generator().random() < p)


def uniform(low: float, high: float) -> float:
    """A draw from [low, high)."""
    return low + (high - low) * float(backend.random_generator().random())


def whole(low: int, high: int) -> int:
    """A draw of low, …, high, both included."""
    return int(backend.random_generator().integers(low, high + 1))


# --- base classes -----------------------------------------------------------------------------------------


class Transform:
    """Base class: a subclass defines `forward(picture)` and keeps its options under their names, which `repr` shows."""

    def __call__(self, img: Picture) -> Any:
        return self.forward(img)

    def forward(self, img: Picture) -> Any:
        """The transformed picture."""
        raise NotImplementedError(f"{type(self).__name__} must define forward")

    def __repr__(self) -> str:
        options = (name for name in inspect.signature(type(self)).parameters if hasattr(self, name))
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in options)})"


class RandomTransform(Transform):
    """Base class of those that draw: each picture of a batch (..., C, H, W) is transformed by itself."""

    def __call__(self, img: Picture) -> Any:
        if not is_batch(img):
            return self.forward(img)
        pictures = stack([part if isinstance(part, Tensor) else wrap(part) for part in map(self, img)])
        return pictures if isinstance(img, Tensor) else pictures._array


class BatchTransform(RandomTransform):
    """Base class of those that transform all pictures of a batch at once. A subclass defines `on_batch`, which a
    subclass of that one must define anew."""

    def __call__(self, img: Picture) -> Any:
        if not is_batch(img):
            return self.forward(img)
        return on_tensor(type(self).__name__, img, lambda x: wrap(self._on_batches(x._array)))

    def _on_batches(self, images: Array) -> Array:
        """`on_batch` for any number of leading dimensions."""
        result = self.on_batch(images.reshape(-1, *images.shape[-3:]) if images.ndim != 4 else images)
        return result.reshape(*images.shape[:-3], *result.shape[1:]) if images.ndim != 4 else result

    def on_batch(self, images: Array) -> Array:
        """The transformed pictures of an array (N, C, H, W), a new one of its memory order."""
        raise NotImplementedError(f"{type(self).__name__} must define on_batch")
