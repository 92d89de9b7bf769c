"""Lazy layers: how many inputs they have, the first input tells; then they are the usual layers."""

from __future__ import annotations

from typing import Any

from tinycnn.backend import DeviceLike
from tinycnn.dtypes import DTypeLike
from tinycnn.nn import conv, linear, norm
from tinycnn.nn.arguments import Size, check_input, size
from tinycnn.nn.module import Module
from tinycnn.nn.parameter import Uninitialized, UninitializedBuffer, UninitializedParameter
from tinycnn.tensor import Tensor

__all__ = [
    "LazyBatchNorm1d", "LazyBatchNorm2d", "LazyBatchNorm3d", "LazyConv1d", "LazyConv2d", "LazyConv3d",
    "LazyConvTranspose1d", "LazyConvTranspose2d", "LazyConvTranspose3d", "LazyInstanceNorm1d", "LazyInstanceNorm2d",
    "LazyInstanceNorm3d", "LazyLinear",
]  # fmt: skip


class _Lazy(Module):
    """A layer whose parameters have no shape before its first forward, in which it becomes `cls_to_become`.

    A state_dict that is loaded before gives them their shapes, too. A subclass tells how many inputs an input has, and
    the shapes that follow.
    """

    cls_to_become: type[Module]

    def _inputs(self, input: Tensor) -> int:
        """How many inputs, such as channels, the layer has for this input."""
        raise NotImplementedError

    def _set_inputs(self, count: int) -> dict[str, tuple[int, ...]]:
        """Makes the attributes those of a layer of `count` inputs; the shapes of its parameters and buffers."""
        raise NotImplementedError

    def _forget(self) -> None:
        """Takes the shapes away from parameters and buffers."""
        for name, tensor in self._parameters.items():
            if tensor is not None:
                self._parameters[name] = UninitializedParameter(True, tensor.device, tensor.dtype)
        for name, tensor in self._buffers.items():
            if tensor is not None and tensor.ndim:
                self._buffers[name] = UninitializedBuffer(False, tensor.device, tensor.dtype)

    def reset_parameters(self) -> None:
        """Does nothing: there are no elements before the first forward."""

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or a buffer has no shape yet."""
        return any(isinstance(x, Uninitialized) for x in [*self._parameters.values(), *self._buffers.values()])

    def initialize_parameters(self, input: Tensor) -> None:
        """Gives parameters and buffers the shapes for this input, and draws them as the usual layer does."""
        is_new = self.has_uninitialized_params()
        shapes = self._set_inputs(self._inputs(input))
        self.__class__ = self.cls_to_become  # type: ignore[assignment]
        for name, shape in shapes.items():
            if isinstance(tensor := getattr(self, name), Uninitialized):
                tensor.materialize(shape)
        if is_new:
            self.reset_parameters()

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        self.initialize_parameters(*inputs[:1])
        return self(*inputs, **options)


# --- fully connected ----------------------------------------------------------------------------------------


class LazyLinear(_Lazy, linear.Linear):
    """A Linear whose in_features the first input tells; see `Linear`."""

    cls_to_become = linear.Linear

    def __init__(self, out_features: int, bias: bool = True, device: DeviceLike = None, dtype: DTypeLike = None):
        super().__init__(0, out_features, bias, device, dtype)
        self._forget()

    def _inputs(self, input: Tensor) -> int:
        if not isinstance(input, Tensor) or input.ndim == 0:
            got = input.shape if isinstance(input, Tensor) else type(input).__name__
            raise ValueError(f"LazyLinear: expected input (*, in_features), got {got}")
        return input.shape[-1]

    def _set_inputs(self, count: int) -> dict[str, tuple[int, ...]]:
        self.in_features, self._name = count, f"Linear(in_features={count})"
        return {"weight": (self.out_features, count), "bias": (self.out_features,)}


# --- convolution --------------------------------------------------------------------------------------------


class _LazyConvBase(_Lazy, conv._ConvBase):
    """What both kinds share: the constructor has made a layer of as few inputs as there can be."""

    def _forget(self) -> None:
        self.in_channels = 0
        super()._forget()

    def _inputs(self, input: Tensor) -> int:
        name = type(self).__name__
        check_input(name, input, self.dims)
        if input.ndim not in (self.dims + 1, self.dims + 2):
            raise ValueError(f"{name}: expected {self.dims + 2} dimensions, or one less without N, got {input.shape}")
        channels = input.shape[-self.dims - 1]
        if channels == 0 or channels % self.groups:
            raise ValueError(f"{name}: groups={self.groups} does not divide in_channels={channels}")
        return channels

    def _set_inputs(self, count: int) -> dict[str, tuple[int, ...]]:
        self.in_channels, self._name = count, f"{self.cls_to_become.__name__}(in_channels={count})"
        return {"weight": self._weight_shape(), "bias": (self.out_channels,)}


class _LazyConvNd(_LazyConvBase, conv._ConvNd):
    def __init__(
        self, out_channels: int, kernel_size: Size, stride: Size = 1, padding: Size | str = 0, dilation: Size = 1,
        groups: int = 1, bias: bool = True, padding_mode: str = "zeros", device: DeviceLike = None,
        dtype: DTypeLike = None,
    ):  # fmt: skip
        options = (stride, padding, dilation, groups, bias, padding_mode, device, dtype)
        super().__init__(size(groups, type(self).__name__, "groups"), out_channels, kernel_size, *options)
        self._forget()


class LazyConv1d(_LazyConvNd):
    """A Conv1d whose in_channels the first input tells; see `Conv2d`."""

    cls_to_become, dims = conv.Conv1d, 1


class LazyConv2d(_LazyConvNd):
    """A Conv2d whose in_channels the first input tells; see `Conv2d`."""

    cls_to_become, dims = conv.Conv2d, 2


class LazyConv3d(_LazyConvNd):
    """A Conv3d whose in_channels the first input tells; see `Conv2d`."""

    cls_to_become, dims = conv.Conv3d, 3


class _LazyConvTransposeNd(_LazyConvBase, conv._ConvTransposeNd):
    def __init__(
        self, out_channels: int, kernel_size: Size, stride: Size = 1, padding: Size = 0, output_padding: Size = 0,
        groups: int = 1, bias: bool = True, dilation: Size = 1, padding_mode: str = "zeros",
        device: DeviceLike = None, dtype: DTypeLike = None,
    ):  # fmt: skip
        options = (stride, padding, output_padding, groups, bias, dilation, padding_mode, device, dtype)
        super().__init__(size(groups, type(self).__name__, "groups"), out_channels, kernel_size, *options)
        self._forget()


class LazyConvTranspose1d(_LazyConvTransposeNd):
    """A ConvTranspose1d whose in_channels the first input tells; see `ConvTranspose2d`."""

    cls_to_become, dims = conv.ConvTranspose1d, 1


class LazyConvTranspose2d(_LazyConvTransposeNd):
    """A ConvTranspose2d whose in_channels the first input tells; see `ConvTranspose2d`."""

    cls_to_become, dims = conv.ConvTranspose2d, 2


class LazyConvTranspose3d(_LazyConvTransposeNd):
    """A ConvTranspose3d whose in_channels the first input tells; see `ConvTranspose2d`."""

    cls_to_become, dims = conv.ConvTranspose3d, 3


# --- normalisation --------------------------------------------------------------------------------------------


class _LazyNorm(_Lazy, norm._RunningNorm):
    def __init__(
        self, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True, track_running_stats: bool = True,
        device: DeviceLike = None, dtype: DTypeLike = None, *, bias: bool = True,
    ):  # fmt: skip
        super().__init__(1, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        self._forget()

    def _forget(self) -> None:
        self.num_features = 0
        super()._forget()

    def _inputs(self, input: Tensor) -> int:
        if not isinstance(input, Tensor) or input.ndim not in self.ndims:
            got = input.shape if isinstance(input, Tensor) else type(input).__name__
            raise ValueError(f"{type(self).__name__}: expected input {self.expected}, got {got}")
        return input.shape[0 if self._is_sample(input) else 1]

    def _set_inputs(self, count: int) -> dict[str, tuple[int, ...]]:
        self.num_features = size(count, type(self).__name__, "num_features")
        return dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (count,))


class LazyBatchNorm1d(_LazyNorm, norm.BatchNorm1d):
    """A BatchNorm1d whose num_features the first input tells; see `BatchNorm2d`."""

    cls_to_become = norm.BatchNorm1d


class LazyBatchNorm2d(_LazyNorm, norm.BatchNorm2d):
    """A BatchNorm2d whose num_features the first input tells; see `BatchNorm2d`."""

    cls_to_become = norm.BatchNorm2d


class LazyBatchNorm3d(_LazyNorm, norm.BatchNorm3d):
    """A BatchNorm3d whose num_features the first input tells; see `BatchNorm2d`."""

    cls_to_become = norm.BatchNorm3d


class LazyInstanceNorm1d(_LazyNorm, norm.InstanceNorm1d):
    """An InstanceNorm1d whose num_features the first input tells; see `InstanceNorm2d`."""

    cls_to_become = norm.InstanceNorm1d


class LazyInstanceNorm2d(_LazyNorm, norm.InstanceNorm2d):
    """An InstanceNorm2d whose num_features the first input tells; see `InstanceNorm2d`."""

    cls_to_become = norm.InstanceNorm2d


class LazyInstanceNorm3d(_LazyNorm, norm.InstanceNorm3d):
    """An InstanceNorm3d whose num_features the first input tells; see `InstanceNorm2d`."""

    cls_to_become = norm.InstanceNorm3d
