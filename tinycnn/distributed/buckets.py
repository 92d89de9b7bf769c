"""The gradients of all ranks, averaged: buckets whose gradients are views of one array, which is sent as it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tinycnn import autograd, backend
from tinycnn.autograd import wrap
from tinycnn.distributed.collectives import sendable
from tinycnn.distributed.group import Group
from tinycnn.tensor import Tensor


class Bucket:
    """Gradients of some parameters, of one dtype and device.

    The array holds, one after the other, the gradients; for each parameter whether this rank has a gradient of it; and
    the number of samples. All are summed over the ranks by one message.
    """

    def __init__(self, engine: Any, parameters: Sequence[Tensor]):
        self.engine, self.parameters = engine, parameters
        sizes = [parameter.numel() for parameter in parameters]
        self.length = sum(sizes)
        first = parameters[0]._array
        with backend.on(backend.device_of(first)) as xp:
            self.array = xp.zeros(self.length + len(parameters) + 1, first.dtype)
        self.views, start = [], 0
        for parameter, size in zip(parameters, sizes, strict=True):
            self.views.append(wrap(self.array[start : start + size].reshape(parameter.shape)))
            start += size
        self.used = [False] * len(parameters)  # since the last reduction
        self.ready = 0  # gradients of the `backward` that is under way, if it reduces
        self.sent: Any = None  # of 16 bits, float32
        self.request: Any = None

    def take(self, index: int) -> None:
        """Makes the gradient of a parameter the view of the array."""
        parameter, view = self.parameters[index], self.views[index]
        gradient = parameter._grad
        if gradient is not view and gradient is not None:
            view._array[...] = gradient._array
            parameter._grad = view
        self.used[index] = True

    @property
    def is_complete(self) -> bool:
        """Whether the `backward` that is under way has nothing to add."""
        return self.ready == len(self.parameters)

    def start(self, samples: int) -> None:
        """Begins the all-reduce of the gradients, each rank's weighted by its number of samples."""
        for parameter, view, used in zip(self.parameters, self.views, self.used, strict=True):
            if not used and parameter._grad is not view:
                view._array[...] = 0
        self.sent = sendable(self.array)
        if samples:
            self.sent[: self.length] *= samples
        else:  # of no samples, the mean loss is nan
            self.sent[: self.length] = 0
        if backend.host_reads(self.sent):  # a GPU's flags would stay there: see `finish`
            self.sent[self.length : -1] = self.used
        self.sent[-1] = samples
        self.request = self.engine.start_all_reduce(self.sent, "SUM")

    def finish(self) -> None:
        """Waits for the sums, and makes them the means of which each parameter's gradient is one."""
        self.request.Wait()
        self.sent[: self.length] /= self.sent[-1]
        if self.sent is not self.array:
            self.array[...] = self.sent
        # A GPU's flags stay there: to read them, the host would wait.
        used = self.sent[self.length : -1] if backend.host_reads(self.sent) else self.used
        for parameter, view, is_used in zip(self.parameters, self.views, used, strict=True):
            if is_used:
                parameter._grad = view
            view._changed_in_place()
        self.reset()

    def reset(self) -> None:
        """Before the next reduction."""
        self.used, self.ready = [False] * len(self.parameters), 0
        self.sent = self.request = None


class Reducer:
    """Averages the gradients of parameters over the ranks at the end of each `backward` of an output of their model.

    The all-reduce of a bucket begins when its gradients are complete. Buckets begin in their order, which is the same
    on all ranks; what a rank has no gradient of is sent at the end.

    Args:
        parameters: those that require gradients.
        bucket_bytes: the least size of a bucket, if there are several.
        at_end: called after each reduction.
    """

    def __init__(
        self, group: Group, parameters: Sequence[Tensor], bucket_bytes: float, at_end: Callable[[], None]
    ):  # fmt: skip
        self.group, self.at_end = group, at_end
        engine = group.engine.channel()  # messages of several models may begin in another order on each rank
        # The gradients of the last layers are complete first.
        self.buckets = [Bucket(engine, part) for part in _parts([*reversed(parameters)], bucket_bytes)]
        self.places = {
            id(parameter): (bucket, i) for bucket in self.buckets for i, parameter in enumerate(bucket.parameters)
        }
        for parameter in parameters:
            parameter.register_post_accumulate_grad_hook(self._take)
        self.samples = 0  # of the gradients that this rank has added up before this `backward`
        self.counted: dict[object, int] = {}  # samples by the forward pass whose output has a gradient
        self.reduces = True  # after the `backward` of the last forward pass
        self.walking = False  # during a `backward` that gives these parameters gradients
        self.started = 0  # buckets

    def expect(self, output: Any, samples: int, reduces: bool) -> None:
        """A forward pass of so many samples has been made, which count if a `backward` comes to its output."""
        if self.walking:
            self._recover()
        self.reduces = reduces
        self.counted.clear()  # by `grad`
        forward = object()
        tensors = [*tensors_in(output)]
        if not tensors:  # in an object that nobody looks into
            self.counted[forward] = samples
        for y in tensors:
            if y.requires_grad:
                y.register_hook(lambda _: self.counted.update({forward: samples}))

    def _recover(self) -> None:
        """After a `backward` that ended with an exception."""
        if any(bucket.request is not None for bucket in self.buckets):
            raise RuntimeError(
                "DistributedDataParallel: a backward ended with an exception after gradients were sent: the ranks "
                "cannot go on"
            )
        for bucket in self.buckets:
            bucket.reset()
        self.samples, self.started, self.walking = 0, 0, False

    def _take(self, parameter: Tensor) -> None:
        if not self.counted:  # no output of this model's: of another one that shares the parameter
            return
        bucket, index = self.places[id(parameter)]
        bucket.take(index)
        if not self.walking:
            self.walking = True
            autograd.queue_callback(self._finish)
        if not self.reduces:
            return
        bucket.ready += 1
        while self.started < len(self.buckets) and self.buckets[self.started].is_complete:
            self._start()

    def _start(self) -> None:
        self.buckets[self.started].start(self.samples + sum(self.counted.values()))
        self.started += 1

    def _finish(self) -> None:
        if self.reduces:
            while self.started < len(self.buckets):
                self._start()
            with self.group.failures.watching("the all-reduce of gradients"):
                for bucket in self.buckets:
                    bucket.finish()
            self.at_end()
            self.samples = 0
        else:
            self.samples += sum(self.counted.values())
        self.counted.clear()
        self.started, self.walking = 0, False


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The Tensors in nested lists, tuples and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple, dict)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from tensors_in(each)


def _parts(parameters: Sequence[Tensor], bucket_bytes: float) -> list[list[Tensor]]:
    """Runs of parameters of one dtype and device, of at least so many bytes but for the last."""
    parts: list[list[Tensor]] = []
    kind, size = None, math.inf
    for parameter in parameters:
        own = parameter.dtype, parameter.device
        if own != kind or size >= bucket_bytes:
            parts.append([])
            kind, size = own, 0
        parts[-1].append(parameter)
        size += parameter._array.nbytes
    return parts
