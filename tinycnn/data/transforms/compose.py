"""Pipelines of transforms, and choices between them.

From `ToTensor` on a pipeline is run on the 8-bit pixels of a batch, as far as its steps have `on_batch`: with the same
bits as picture by picture but for what they draw, in a hundredth of the time. So are MNIST and CIFAR10 loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinycnn import backend
from tinycnn.backend import Array
from tinycnn.checks import check_share, shortened
from tinycnn.data.transforms.pictures import Picture, RandomTransform, Transform, chance


class Compose:
    """Applies `transforms` one after the other. TypeError for one that cannot be called or returns None."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]):
        if not isinstance(transforms, (list, tuple)):
            raise TypeError(f"Compose: expected a list of transforms, got {shortened(transforms)}")
        for transform in transforms:
            if not callable(transform):
                raise TypeError(f"Compose: expected transforms that can be called, got {shortened(transform)}")
        self.transforms = list(transforms)

    def __call__(self, img: Picture) -> Any:
        for transform in self.transforms:
            img = transform(img)
            if img is None:
                raise TypeError(f"Compose: expected {shortened(transform)} to return images, got None")
        return img

    def __repr__(self) -> str:
        return f"Compose({self.transforms!r})"


def steps_of(transform: Any) -> list[Any]:
    """The steps of a pipeline, those of pipelines within it included."""
    if type(transform) is not Compose:
        return [transform]
    return [step for part in transform.transforms for step in steps_of(part)]


class Split(NamedTuple):
    """The steps of a pipeline: `before` on PIL images, `batch` on a batch of their 8-bit pixels (N, C, H, W), and
    `after`, on one picture each again. The first of `batch` makes a Tensor of a PIL image; without one all are
    `before`."""

    before: list[Any]
    batch: list[Any]
    after: list[Any]


def split_steps(transform: Any) -> Split:
    """The steps of a pipeline, by what they can be run on."""
    steps = steps_of(transform)
    # A subclass may do something else: what it does to one picture is asked of it for each. What expands a picture
    # gives each a size of its own.
    able = ["on_batch" in vars(type(step)) and not getattr(step, "expand", False) for step in steps]
    readers = [able[i] and hasattr(step, "reads_pixels") for i, step in enumerate(steps)]
    start = readers.index(True) if True in readers else len(steps)
    end = start + 1
    while end < len(steps) and able[end] and not readers[end]:
        end += 1
    return Split(steps[:start], steps[start:end], steps[end:])


def run_on_batch(steps: Iterable[Any], images: Array) -> Array:
    """What these steps make of a batch (N, C, H, W), which they may overwrite."""
    for step in steps:
        images = step.on_batch(images)
    return images


class Lambda(Transform):
    """A function as a transform. TypeError for what cannot be called."""

    def __init__(self, lambd: Callable[[Any], Any]):
        if not callable(lambd):
            raise TypeError(f"Lambda: expected a function, got {shortened(lambd)}")
        self.lambd = lambd

    def __call__(self, img: Picture) -> Any:
        return self.lambd(img)

    def __repr__(self) -> str:
        return "Lambda()"


class RandomApply(RandomTransform):
    """`transforms`, one after the other, with probability `p`. Default 0.5."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]], p: float = 0.5):
        self.transforms, self.p = list(transforms), check_share("RandomApply", "p", p)

    def forward(self, img: Picture) -> Any:
        """The picture, transformed or not."""
        if chance(self.p):
            for transform in self.transforms:
                img = transform(img)
        return img


class RandomOrder(RandomTransform):
    """`transforms`, one after the other in random order."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]):
        self.transforms = list(transforms)

    def forward(self, img: Picture) -> Any:
        """The transformed picture."""
        for i in backend.random_generator().permutation(len(self.transforms)).tolist():
            img = self.transforms[i](img)
        return img


class RandomChoice(RandomTransform):
    """One of `transforms`, each as likely, or with the probabilities `p`, which are weights. Default None."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]], p: Sequence[float] | None = None):
        self.transforms, self.p = list(transforms), None if p is None else list(p)
        if p is not None and len(p) != len(self.transforms):
            raise ValueError(f"RandomChoice: expected p as {len(self.transforms)} numbers, got {shortened(p)}")

    def forward(self, img: Picture) -> Any:
        """The transformed picture."""
        shares = None if self.p is None else np.array(self.p) / sum(self.p)
        return self.transforms[int(backend.random_generator().choice(len(self.transforms), p=shares))](img)
