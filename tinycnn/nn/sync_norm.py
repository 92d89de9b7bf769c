"""Batch normalisation whose statistics are those of the batches of all ranks together."""

from __future__ import annotations

from typing import Any

from tinycnn.autocast_mode import autocasts
from tinycnn.autograd import Function, Gradients, wrap
from tinycnn.backend import Array, DeviceLike
from tinycnn.creation import tensor, zeros_like
from tinycnn.dtypes import DTypeLike
from tinycnn.nn.module import Module
from tinycnn.nn.norm import _affine, _BatchNorm, _update_running
from tinycnn.ops.arithmetic import widened
from tinycnn.ops.shape import cat
from tinycnn.tensor import Tensor

__all__ = ["SyncBatchNorm"]


class SumOverRanks(Function):
    """The sum over the ranks of an array of one shape.

    Backward: each rank's loss is the mean over its `samples`, and the loss of all is the mean over all samples. The
    gradient of a rank's loss is therefore weighted by its samples in the sum, and what comes back by their inverse, for
    `DistributedDataParallel` weights the gradients of parameters by them once more.
    """

    in_float32 = True

    def __init__(self, samples: int):
        self.samples = samples

    def forward(self, x: Array) -> Array:
        from tinycnn.distributed.collectives import sum_over_ranks

        summed = wrap(x.copy())
        sum_over_ranks("SyncBatchNorm", summed)
        return summed._array

    def backward(self, grad_output: Tensor) -> Gradients:
        # Without samples, the gradient of the mean loss is nan.
        weighted = grad_output * self.samples if self.samples else zeros_like(grad_output)
        return SumOverRanks(self.samples)(weighted) / max(self.samples, 1)


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation of (N, C, *) by the mean and variance over the samples of all ranks.

    Without a process group, with one rank, and after `eval()`, it is BatchNorm. Two messages of 2C numbers, or fewer,
    are exchanged in the forward pass, and two in the backward pass. Arguments as in `BatchNorm2d`; `process_group` is
    taken as in torch, and all ranks take part.
    """

    ndims = (2, 3, 4, 5)
    expected = "(N, C, *)"

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
        track_running_stats: bool = True, process_group: Any = None, device: DeviceLike = None,
        dtype: DTypeLike = None, *, bias: bool = True,
    ):  # fmt: skip
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        self.process_group = process_group

    def forward(self, input: Tensor) -> Tensor:
        from tinycnn.distributed import group

        by_batch = self.training or self.running_mean is None
        if not by_batch or group.size_or_1() == 1:
            return super().forward(input)
        self._check_input(input)
        return self._synchronized(input)

    @autocasts
    def _synchronized(self, input: Tensor) -> Tensor:
        x = widened(input)
        N, C, *_ = x.shape
        dims = (0, *range(2, x.ndim))
        per_channel = (1, C, *[1] * (x.ndim - 2))
        count = tensor([x.numel() // C], dtype=x.dtype, device=x.device)
        sums = SumOverRanks(N)(cat([x.sum(dims), count]))
        total = sums[C:].detach()
        if total.item() <= 1:
            raise ValueError(f"SyncBatchNorm: expected more than 1 value per channel on all ranks, got {input.shape}")
        mean = sums[:C] / total
        centred = x - mean.reshape(per_channel)
        variance = SumOverRanks(N)((centred * centred).sum(dims)) / total
        y = centred * ((variance + self.eps) ** -0.5).reshape(per_channel)
        if self.training and self.running_mean is not None:
            unbiased = variance._array * (total / (total - 1))._array
            _update_running(self.running_mean, self.running_var, mean._array, unbiased, self._momentum())
            self.num_batches_tracked += 1
        return _affine(y.to(input.dtype), self.weight, self.bias)

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: Any = None) -> Module:
        """`module` with each BatchNorm in it, or itself, replaced by a SyncBatchNorm with the same state.

        Args:
            module: it is changed, unless it is a BatchNorm.
            process_group: taken as in torch; all ranks take part.
        """
        if isinstance(module, _BatchNorm) and not isinstance(module, SyncBatchNorm):
            converted = cls(
                module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats,
                process_group, bias=module.bias is not None,
            )  # fmt: skip
            for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
                setattr(converted, name, getattr(module, name))
            converted.training = module.training
            return converted
        for name, child in module._modules.items():
            if child is not None:
                module.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return module
