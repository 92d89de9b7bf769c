"""Mixtures of the images of a batch, and of their classes: torchvision.transforms.v2's."""

from __future__ import annotations

from typing import Any

from tinycnn import backend
from tinycnn._bfloat16 import FLOATING
from tinycnn.autograd import wrap
from tinycnn.backend import Array
from tinycnn.checks import check_number, check_positive, shortened
from tinycnn.data.transforms.pictures import Transform
from tinycnn.tensor import Tensor


class _Mixture(Transform):
    """Base class of transforms of a batch of images (N, C, H, W) and their classes: integers (N), or probabilities
    (N, K). The result is detached, and its classes are probabilities (N, K), which `cross_entropy` takes.

    Each image is mixed with the one before it, and the first with the last, all with one share, as in torchvision; the
    order of a batch is random anyway. On a GPU this is three launches, nobody waits, and every replay of a captured
    step draws anew.
    """

    def __init__(self, *, alpha: float = 1.0, num_classes: int | None = None):
        name = type(self).__name__
        if not 0 < check_number(name, "alpha", alpha) < float("inf"):
            raise ValueError(f"{name}: expected alpha above 0, got {shortened(alpha)}")
        self.alpha = float(alpha)
        self.num_classes = None if num_classes is None else check_positive(name, "num_classes", num_classes)

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """The mixed images, and the probabilities of their classes."""
        self._check(images, labels)
        target = backend.one_device(type(self).__name__, [images._array, labels._array])
        kernels = backend.kernels(images._array)
        with backend.on(target):
            mixed, share = self._mixed(images._array, kernels, backend.random_generator(target))
            if labels.ndim == 2:
                return wrap(mixed), wrap(kernels.mixed(labels._array, share))
            return wrap(mixed), wrap(kernels.mixed_classes(labels._array, share, self.num_classes))

    def _mixed(self, images: Array, kernels: Any, numbers: Any) -> tuple[Array, Array]:
        """The mixed images, and the share of each one in its mixture."""
        raise NotImplementedError(f"{type(self).__name__} must define _mixed")

    def _check(self, images: Any, labels: Any) -> None:
        name = type(self).__name__
        for argument, given in (("images", images), ("labels", labels)):
            if not isinstance(given, Tensor):
                raise TypeError(f"{name}: expected {argument} as a Tensor, got a {type(given).__name__}")
        if images.ndim != 4 or 0 in images.shape[1:]:
            raise ValueError(f"{name}: expected images (N, C, H, W), got shape {tuple(images.shape)}")
        if images.dtype.kind not in FLOATING:
            raise TypeError(f"{name}: expected images of floats, got {images.dtype}")
        N, known, shape = len(images), self.num_classes, tuple(labels.shape)
        if labels.ndim not in (1, 2) or shape[0] != N:
            raise ValueError(f"{name}: expected labels ({N},) or ({N}, classes), got shape {shape}")
        wanted, kinds = ("floats", FLOATING) if labels.ndim == 2 else ("integers", "iu")
        if labels.dtype.kind not in kinds:
            raise TypeError(f"{name}: expected labels of shape {shape} as {wanted}, got {labels.dtype}")
        if labels.ndim == 2:
            if known not in (None, shape[1]):
                raise ValueError(f"{name}: expected labels of {known} classes, got shape {shape}")
            return
        if known is None:
            raise ValueError(f"{name}: expected num_classes for labels ({N},), got None")
        if N and backend.host_reads(labels._array):
            low, high = int(labels._array.min()), int(labels._array.max())
            if low < 0 or high >= known:
                raise ValueError(f"{name}: expected labels within 0..{known - 1}, got {low}..{high}")


class MixUp(_Mixture):
    """λ · image + (1 − λ) · the image before it, and their classes likewise; λ is Beta(α, α), one for a batch.

    Args:
        alpha: α. Default 1: any λ is as likely.
        num_classes: the number of classes; needed for labels (N,). Default None.

    Call it with (images, labels): see the base class. Source: Zhang et al., "mixup: Beyond Empirical Risk
    Minimization" (2018).
    """

    def _mixed(self, images: Array, kernels: Any, numbers: Any) -> tuple[Array, Array]:
        share, _ = kernels.draw_mixture(numbers, self.alpha)
        return kernels.mixed(images, share), share


class CutMix(_Mixture):
    """A rectangle of the image before it put into each image, with 1 − λ of its area, and the classes mixed by area;
    λ is Beta(α, α), one for a batch, and so is the rectangle, which ends at the border.

    Args:
        alpha: α. Default 1: any λ is as likely.
        num_classes: the number of classes; needed for labels (N,). Default None.

    Call it with (images, labels): see the base class. Source: Yun et al., "CutMix: Regularization Strategy to Train
    Strong Classifiers with Localizable Features" (2019).
    """

    def _mixed(self, images: Array, kernels: Any, numbers: Any) -> tuple[Array, Array]:
        share, box = kernels.draw_mixture(numbers, self.alpha, tuple(images.shape[2:]))
        return kernels.pasted(images, box), share
