"""Wrappers by which a model is trained on several devices or by several processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tinycnn.autograd import is_grad_enabled
from tinycnn.checks import check_count, check_flag, check_not_negative, check_positive
from tinycnn.nn.module import Module

__all__ = ["DataParallel", "DistributedDataParallel"]


class DataParallel(Module):
    """Wraps `module`, which runs on the device where it lies; keys of the state have the prefix "module.", as in torch.

    Args:
        module: the model.
        device_ids, output_device, dim: taken as in torch; a batch is not divided.
    """

    def __init__(self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0):
        super().__init__()
        if not isinstance(module, Module):
            raise TypeError(f"DataParallel: expected module as a Module, got {type(module).__name__}")
        self.module = module
        self.device_ids = device_ids

    def forward(self, *inputs: Any, **options: Any) -> Any:
        return self.module(*inputs, **options)


class DistributedDataParallel(Module):
    """Wraps `module`, which every rank trains on its part of a batch: `backward` gives the whole batch's gradient.

    All ranks begin with the parameters and buffers of rank 0. The loss is to be a mean over a rank's samples, of which
    there may be a different number on each rank: gradients are averaged over all samples. A rank without samples passes
    an empty batch, and calls `backward` of the sum of its output. Keys of the state have the prefix "module.", as in
    torch.

    Args:
        module: the model, with a parameter that requires a gradient. The same on all ranks.
        device_ids, output_device: taken as in torch; the module stays on its device.
        dim: which dimension of the first Tensor in the inputs counts the samples. Default 0.
        broadcast_buffers: give all ranks the buffers of rank 0 after each `backward` in training mode, such as
            BatchNorm's. Default True.
        bucket_cap_mb: of gradients that are sent as one message, in MiB. Default None: 10.
        find_unused_parameters: has no effect: a parameter without a gradient on some ranks counts as 0 there, and
            without one on all keeps None.
        gradient_as_bucket_view: has no effect: gradients are views of the array that is sent, which the next
            `backward` overwrites; `clone()` keeps one.
        average_every: for slow links: steps that each rank makes by itself before parameters are averaged, instead of
            gradients in each step. Default None. See `average_parameters`.
        outer_momentum: of the averages, with average_every: see `tinycnn.distributed.averaging`. Default 0.

    Raises TypeError for what is no Module, ValueError for other options, a module whose parameters differ among ranks
    in name, shape or dtype, or without a process group.
    """

    def __init__(
        self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0,
        broadcast_buffers: bool = True, *, bucket_cap_mb: float | None = None, find_unused_parameters: bool = False,
        gradient_as_bucket_view: bool = False, average_every: int | None = None, outer_momentum: float = 0.0,
    ):  # fmt: skip
        from tinycnn.distributed import averaging, buckets, group, parameters

        name = "DistributedDataParallel"
        super().__init__()
        if not isinstance(module, Module):
            raise TypeError(f"{name}: expected module as a Module, got {type(module).__name__}")
        self._group = group.current(name)
        trained = [p for p in module.parameters() if p.requires_grad]
        if not trained:
            raise ValueError(f"{name}: expected a module with a parameter that requires a gradient")
        self.module, self.dim, self.device_ids = module, dim, device_ids
        self.broadcast_buffers = check_flag(name, "broadcast_buffers", broadcast_buffers)
        self.average_every = average_every
        self._trained = {id(p): p.dtype for p in trained} if self._group.size > 1 else {}
        self._reduces = True  # outside of `no_sync`
        self._reducer = self._averager = None
        check_count(name, "dim", dim)
        bucket_mb = 10 if bucket_cap_mb is None else check_not_negative(name, "bucket_cap_mb", bucket_cap_mb)
        if outer_momentum and average_every is None:
            raise ValueError(f"{name}: expected outer_momentum with average_every, got {outer_momentum} alone")
        parameters.check_structure(name, module)
        parameters.broadcast_all(self._group, [*module.parameters(), *module.buffers()])
        if average_every is not None:
            every = check_positive(name, "average_every", average_every)
            self._averager = averaging.Averager(self._group, trained, every, outer_momentum)
        elif self._group.size > 1:  # one rank is as none, bit for bit
            self._reducer = buckets.Reducer(self._group, trained, bucket_mb * 2**20, self._share_buffers)

    def forward(self, *inputs: Any, **options: Any) -> Any:
        trains = is_grad_enabled()
        if trains and self._trained:
            self._check_trained()
        if trains and self._averager is not None and self._reduces:
            self._averager.begin_forward()
        output = self.module(*inputs, **options)
        if trains and self._reducer is not None:
            self._reducer.expect(output, self._samples([inputs, options]), self._reduces)
        return output

    def _check_trained(self) -> None:
        """ValueError if other parameters are trained than at the start, or numbers of another dtype."""
        for name, p in self.module.named_parameters():
            if p.requires_grad and id(p) not in self._trained:
                raise ValueError(f"DistributedDataParallel: {name} is trained now: wrap the model after that")
            if p.requires_grad and self._trained[id(p)] != p.dtype:
                raise ValueError(f"DistributedDataParallel: {name} is {p.dtype} now: wrap the model after `to`")

    def _samples(self, inputs: Any) -> int:
        """How many samples a rank has; 1 if no input tells."""
        from tinycnn.distributed.buckets import tensors_in

        return next((x.shape[self.dim] for x in tensors_in(inputs) if x.ndim > self.dim), 1)

    def _share_buffers(self) -> None:
        from tinycnn.distributed import parameters

        if self.training and self.broadcast_buffers:
            parameters.broadcast_all(self._group, [*self.module.buffers()])

    def __getstate__(self) -> dict[str, Any]:
        """Of a copy, or for pickle: it belongs to no process group, and calls its module alone."""
        return {**self.__dict__, "_group": None, "_reducer": None, "_averager": None, "_trained": {}}

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Within the block, forward and backward passes add to the gradients of this rank alone. Those of the first
        `backward` of a forward pass after the block are averaged with them: gradients of a batch in several parts."""
        outer, self._reduces = self._reduces, False
        try:
            yield
        finally:
            self._reduces = outer

    def average_parameters(self) -> None:
        """With average_every: averages the parameters now, before an evaluation or the end. All ranks call it. Without,
        they are equal, and nothing is done."""
        from tinycnn.distributed import parameters

        if self._averager is not None:
            self._averager.average()
            parameters.broadcast_all(self._group, [*self.module.buffers()])
