"""For slow links: ranks make steps of their own, and average their parameters now and then.

Sources: Stich, "Local SGD Converges Fast and Communicates Little", 2019; with momentum: Wang et al., "SlowMo", 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinycnn.checks import check_number
from tinycnn.distributed.collectives import sendable
from tinycnn.distributed.group import Group
from tinycnn.tensor import Tensor


class Averager:
    """Averages parameters over the ranks after every `every` steps.

    With momentum m, x the parameters after the last average and x̄ their present average:
    v ← m v + (x − x̄), x ← x − v. With m = 0, x becomes x̄.

    Raises ValueError for a momentum that is not in [0, 1).
    """

    def __init__(self, group: Group, parameters: Sequence[Tensor], every: int, momentum: float):
        check_number("DistributedDataParallel", "outer_momentum", momentum)
        if not 0 <= momentum < 1:
            raise ValueError(f"DistributedDataParallel: expected outer_momentum from 0 to below 1, got {momentum}")
        self.group, self.parameters, self.every, self.momentum = group, parameters, every, momentum
        for parameter in parameters:
            parameter.register_post_accumulate_grad_hook(self._take)
        self.has_gradients = False  # of a step that is not yet counted
        self.steps = 0  # since the last average
        self.last = [p._array.copy() for p in parameters] if momentum else []
        self.velocity: list[Any] = [0.0] * len(parameters)

    def _take(self, parameter: Tensor) -> None:
        self.has_gradients = True

    def begin_forward(self) -> None:
        """The first forward pass after gradients comes after a step: averages if it is due."""
        self.steps += self.has_gradients
        self.has_gradients = False
        if self.steps == self.every:
            self.average()

    def average(self) -> None:
        """Averages now, unless no step has been made since."""
        if self.steps == 0 and not self.has_gradients:
            return
        self.steps, self.has_gradients = 0, False
        for i, parameter in enumerate(self.parameters):
            mean = sendable(parameter._array.copy())
            with self.group.failures.watching("the average of parameters"):
                self.group.engine.all_reduce(mean, "SUM")
            mean = (mean / self.group.size).reshape(parameter.shape)
            if self.momentum:
                self.velocity[i] = self.momentum * self.velocity[i] + (self.last[i] - mean)
                self.last[i] = mean = self.last[i] - self.velocity[i]
            parameter._array[...] = mean
            parameter._changed_in_place()
