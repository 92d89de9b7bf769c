"""The events of a training, at which callbacks are called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinycnn.tensor import Tensor

if TYPE_CHECKING:
    from tinycnn.training.trainer import Trainer

Figures = dict[str, Any]  # of an epoch, by name


@dataclass(frozen=True)
class Batch:
    """What a step was made of and what it gave. The next captured step overwrites these tensors."""

    images: Tensor  # (N, ...) as the model got them
    targets: Tensor  # (N, ...) as the loader gave them
    scores: Tensor  # (N, ...)
    loss: Tensor  # ()


class Callback:
    """Base class: a subclass defines the events that it is interested in.

    `order` sorts the callbacks of a trainer: 0 for those that change the training or its figures, 1 for those that
    write the figures down, 2 for those that save the state that the others are in. Of several ranks (see
    `tinycnn.distributed`), only rank 0 calls those of orders 1 and 2.
    """

    order = 0

    def on_train_begin(self, trainer: Trainer) -> None:
        """Before the first epoch, also of a training that is resumed."""

    def on_epoch_begin(self, trainer: Trainer) -> None:
        """Before the first batch of an epoch, or of what is left of one."""

    def on_backward_end(self, trainer: Trainer) -> None:
        """The gradients are there. It belongs to the step: if that is captured, it is called at the capture alone."""

    def on_batch_end(self, trainer: Trainer, batch: Batch) -> None:
        """After a step, `trainer.step` of them all in all."""

    def on_test_batch_end(self, trainer: Trainer) -> None:
        """After a batch of the evaluation."""

    def on_epoch_end(self, trainer: Trainer, figures: Figures) -> None:
        """After the evaluation. What is added to `figures` is written down with them."""

    def on_train_end(self, trainer: Trainer) -> None:
        """After the last epoch."""

    def on_exit(self, trainer: Trainer) -> None:
        """Last of all, and after an exception, too; in the reverse order of the callbacks."""

    def state_dict(self) -> dict[str, Any]:
        """What has to be saved for a training to go on: numbers, strings, Tensors, and dicts and lists of them."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` returned."""
