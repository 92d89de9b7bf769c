"""The training loop: steps, epochs and evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from itertools import islice
from typing import Any

import tinycnn
from tinycnn.amp import GradScaler
from tinycnn.backend.threads import evenly
from tinycnn.checks import check_choice, check_count, check_flag, check_positive, shortened
from tinycnn.data import prefetch_to_device
from tinycnn.nn import Module
from tinycnn.nn.functional import cross_entropy
from tinycnn.optim import LBFGS
from tinycnn.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from tinycnn.optim.optimizer import Optimizer
from tinycnn.tensor import Tensor
from tinycnn.training import ranks
from tinycnn.training.callback import Batch, Callback, Figures
from tinycnn.training.state import CheckpointError, copied, random_states, set_random_states
from tinycnn.training.totals import Metric, Totals, correct

PRECISIONS = ("float32", "bfloat16", "float16")


class Trainer:
    """Trains a model; `callbacks` do what not every training needs.

        trainer = Trainer(model, optimizer, callbacks=[EarlyStopping("test_loss", patience=3)])
        history = trainer.fit(loader, epochs=10, test_loader=test_loader)
        print(history[-1]["test_accuracy"])

    A step whose loss is inf or nan changes no weights.

    Where `tinycnn.distributed` has a process group, each rank trains on its part of each batch of the loader, and
    gradients, figures and decisions are those of the whole batch.

    Args:
        model: a Module; its first parameter says on which device the training is.
        optimizer: any but LBFGS.
        loss_fn: of scores and targets, a mean over the batch. Default `cross_entropy`.
        scheduler: of learning rates. Default None.
        schedule: when the scheduler steps, "batch" (default) or "epoch". A ReduceLROnPlateau steps after each epoch,
            by the loss of the test part, or of the training part where there is none.
        metrics: names to functions of scores and targets that give a sum over the items, of which the mean is shown.
            Default {"accuracy": correct}.
        augment: a function of images (N, ...), run as a part of each step. Default None.
        mix: a function of images and targets that returns both, such as `v2.MixUp`, after `augment`. Default None.
        accumulate: the number of parts of a batch whose gradients are added up one after the other, for less memory.
            The gradient is that of the whole batch, unless a layer or the loss looks at the batch as a whole, as
            BatchNorm and a loss with weights do. Default 1.
        precision: "float32" (default), "bfloat16" or "float16", mixed with float32; float16 with a scaled loss.
        capture: record a step on the GPU once and replay it: see `tinycnn.cuda.capture`. Default False.
        callbacks: see `Callback`. Default none.
        average_every, outer_momentum: see `nn.parallel.DistributedDataParallel`. Default None and 0.

    Attributes:
        epoch, step: how many epochs and steps have been completed. lr: the learning rate of the last step.
        history: the figures of each completed epoch.
        evaluated: the model that is evaluated, `model` itself unless a callback has set another.
        stopping: why the training is to end after this epoch, or None; a callback may set it.
        totals: of the epoch in progress: `totals.means("")` gives its figures so far.

    Raises TypeError for what is no Module, Optimizer, Callback, ..., ValueError for other options.
    """

    def __init__(
        self, model: Module, optimizer: Optimizer, loss_fn: Callable[[Tensor, Tensor], Tensor] = cross_entropy, *,
        scheduler: LRScheduler | ReduceLROnPlateau | None = None, schedule: str = "batch",
        metrics: Mapping[str, Metric] | None = None, augment: Callable[[Tensor], Tensor] | None = None,
        mix: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None, accumulate: int = 1,
        precision: str = "float32", capture: bool = False, callbacks: Sequence[Callback] = (),
        average_every: int | None = None, outer_momentum: float = 0.0,
    ):  # fmt: skip
        wanted: list[tuple[str, Any, Any, str]] = [
            ("model", model, Module, "a Module"), ("optimizer", optimizer, Optimizer, "an Optimizer"),
            ("loss_fn", loss_fn, Callable, "a function"), ("augment", augment, Callable | None, "a function or None"),
            ("mix", mix, Callable | None, "a function or None"),
            ("scheduler", scheduler, LRScheduler | None, "an LRScheduler or None"),
            ("metrics", metrics, Mapping | None, "a dict of functions or None"),
            ("callbacks", callbacks, Sequence, "a list of Callbacks"),
        ]  # fmt: skip
        if isinstance(metrics, Mapping):
            wanted += [(f"metrics[{name!r}]", metric, Callable, "a function") for name, metric in metrics.items()]
        if isinstance(callbacks, Sequence):
            wanted += [("callbacks", callback, Callback, "a list of Callbacks") for callback in callbacks]
        for argument, value, kind, words in wanted:
            if not isinstance(value, kind):
                raise TypeError(f"Trainer: expected {argument} as {words}, got {shortened(value)}")
        if isinstance(optimizer, LBFGS):
            raise ValueError("Trainer: expected an optimizer that takes one gradient a step, got LBFGS")
        if scheduler is not None and scheduler.optimizer is not optimizer:
            raise ValueError("Trainer: expected a scheduler of the optimizer, got one of another optimizer")
        if not (parameters := [*model.parameters()]):
            raise ValueError("Trainer: expected a model with parameters, got one without")
        self.model, self.optimizer, self.loss_fn = model, optimizer, loss_fn
        self.scheduler, self.schedule = scheduler, check_choice("Trainer", "schedule", schedule, ("batch", "epoch"))
        self.metrics = {"accuracy": correct} if metrics is None else dict(metrics)
        self.augment, self.mix = augment, mix
        self.accumulate = check_positive("Trainer", "accumulate", accumulate)
        self.precision = check_choice("Trainer", "precision", precision, PRECISIONS)
        self.callbacks = sorted(callbacks, key=lambda callback: callback.order)
        self.device = parameters[0].device
        self.scaler = GradScaler(self.device, enabled=precision == "float16")
        captures = check_flag("Trainer", "capture", capture) and ranks.can_capture()
        self.run_step = tinycnn.cuda.capture(self._step) if captures else self._step
        if average_every is not None:
            check_positive("Trainer", "average_every", average_every)
        self.parallel: Any = ranks.parallel(model, average_every=average_every, outer_momentum=outer_momentum)
        self.evaluated = model
        self.epoch = self.step = 0
        self.rank_seed: int | None = None  # of all ranks but 0
        self.lr = optimizer.param_groups[0]["lr"]
        self.history: list[Figures] = []
        self.stopping: str | None = None
        self.loader: Iterable[Any] | None = None
        self.totals = Totals()
        self._position: dict[str, Any] | None = None  # that the loader is given by `fit`, which goes on there
        self._held: dict[str, Any] | None = None  # what `_drawn` was before the evaluation that is under way

    def fit(self, loader: Iterable[Any], epochs: int, test_loader: Iterable[Any] | None = None) -> list[Figures]:
        """Trains until `epochs` epochs are completed, and returns the figures of all, also of those before a resume.

        Args:
            loader: gives (images, targets), a batch at a time. Only what has `state_dict`, as a `DataLoader` has, is
                resumed within an epoch without being read from its beginning.
            epochs: of the whole training, with those before it was resumed.
            test_loader: the same, for the evaluation. Default None: no evaluation.

        Called again after an exception it goes on.

        Raises ValueError for a loader that gives nothing, CheckpointError for one that cannot go on where that of a
        loaded state was.
        """
        for _ in self.each_epoch(loader, epochs, test_loader):
            pass
        return self.history

    def each_epoch(
        self, loader: Iterable[Any], epochs: int, test_loader: Iterable[Any] | None = None
    ) -> Iterator[Figures]:
        """The same as a generator: trains an epoch each time that it is asked for the next figures."""
        check_positive("Trainer.fit", "epochs", epochs)
        for argument, given in (("loader", loader), ("test_loader", () if test_loader is None else test_loader)):
            if not isinstance(given, Iterable):
                raise TypeError(f"Trainer.fit: expected {argument} as an iterable of batches, got {shortened(given)}")
        self.loader = loader
        read = self.totals.batches if self._position is None else 0
        self.place(loader)
        self._position = None
        with ExitStack() as exits:
            exits.callback(self._hold_position)
            exits.enter_context(ranks.shared("Trainer.fit", loader))
            exits.enter_context(ranks.errors_of_rank_0_first())
            exits.enter_context(ranks.interrupts_by_rank_0())
            self.rank_seed = ranks.shared_seed(self.rank_seed)
            for callback in self.callbacks:
                exits.callback(callback.on_exit, self)
            self.call("on_train_begin")
            while self.epoch < epochs and self.stopping is None:
                yield self._epoch(loader, test_loader, read)
                read = 0
            self.call("on_train_end")

    def place(self, loader: Iterable[Any]) -> None:
        """Sets a loader to where that of a loaded state was; without one it stays where it is. `fit` does so, too.

        Raises CheckpointError for a loader that cannot go on there.
        """
        if self._position is None:
            return
        if not hasattr(loader, "load_state_dict"):
            raise CheckpointError(f"Trainer: expected a loader with load_state_dict, got {shortened(loader)}")
        try:
            loader.load_state_dict(self._position)
        except ValueError as error:
            raise CheckpointError(f"Trainer: not the loader of the training to resume: {error}") from None

    def _hold_position(self) -> None:
        """In the middle of an epoch: the next `fit` goes on from there."""
        if self.totals.batches:
            self._position = self._drawn()["loader"]
        self._held = None

    def call(self, event: str, *arguments: Any) -> None:
        """Calls the method `event` of each callback; of those that write, on rank 0 alone."""
        for callback in self.callbacks:
            if callback.order == 0 or ranks.rank() == 0:
                getattr(callback, event)(self, *arguments)

    def _epoch(self, loader: Iterable[Any], test_loader: Iterable[Any] | None, read: int) -> Figures:
        """`read`: how many batches the loader gives that have been trained on."""
        self.call("on_epoch_begin")
        ranks.begin_epoch(loader, self.epoch)
        self.model.train()
        self.totals.begin()
        # Without a name for the iterator, which would live as long as the traceback of an exception.
        for images, targets in prefetch_to_device(
            () if self.totals.complete else islice(loader, read, None), self.device
        ):
            images, targets = images.to(self.device), targets.to(self.device)
            ranks.draw_for_step(self.rank_seed, self.step)
            batch = Batch(targets=targets, **self.run_step(images, targets))
            self.step += 1
            self.totals.add(batch, self.metrics)
            self.lr = self.optimizer.param_groups[0]["lr"]
            if self.scheduler is not None and self.schedule == "batch" and not self._by_loss:
                self.scheduler.step()
            self.call("on_batch_end", batch)
        self.totals.complete = True
        ranks.average_parameters(self.parallel, self.evaluated)
        ranks.check_equal(self.model)
        self.totals.add_ranks(self.metrics, self.device)
        figures = {"epoch": self.epoch + 1, **self.totals.means("train_"), **self.totals.speed(), "lr": self.lr}
        if test_loader is not None:
            self._held = self._drawn()  # one that is interrupted is begun anew
            figures |= self.evaluate(test_loader)
            self._held = None
        if self.scheduler is not None and self._by_loss:
            self.scheduler.step(figures.get("test_loss", figures["train_loss"]))
        elif self.scheduler is not None and self.schedule == "epoch":
            self.scheduler.step()
        self.epoch += 1
        self.totals = Totals()
        self.history.append(figures)
        self.call("on_epoch_end", figures)
        return figures

    @property
    def _by_loss(self) -> bool:
        return isinstance(self.scheduler, ReduceLROnPlateau)

    def _step(self, images: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """One step, which may be captured."""
        images = images if self.augment is None or not len(images) else self.augment(images)
        images, wanted = (images, targets) if self.mix is None or not len(images) else self.mix(images, targets)
        self.optimizer.zero_grad()
        *parts, last = self._parts(len(images))
        with ranks.no_exchange(self.parallel) if parts else nullcontext():
            given = [self._backward(images, wanted, part) for part in parts]
        losses, scores = zip(*given, self._backward(images, wanted, last))
        loss = sum(losses[1:], losses[0])
        try:
            self.scaler.unscale_(self.optimizer)
            self.call("on_backward_end")
            if not self.scaler.enabled:
                self.optimizer.found_inf = (~ranks.finite_everywhere(self.parallel, loss).isfinite()).to("float32")
            self.scaler.step(self.optimizer)
        finally:  # after Ctrl-C, too, or no other step could be made
            self.optimizer.found_inf = None
            self.scaler.update()
        return {"images": images, "scores": scores[0] if len(scores) == 1 else tinycnn.cat(scores), "loss": loss}

    def _backward(self, images: Tensor, targets: Tensor, part: slice) -> tuple[Tensor, Tensor]:
        """Adds the gradients of a part of a batch; (its share of the loss, its scores), detached."""
        with self.autocast():
            scores = self.parallel(images[part])
            # A rank without images takes part, with gradients of 0.
            loss = self.loss_fn(scores, targets[part]) if len(scores) else scores.sum()
        if part != slice(None):
            loss = loss * (len(scores) / max(len(images), 1))
        scaled = self.scaler.scale(loss)
        if self.scaler.enabled:  # it looks at the gradients, which may be finite where the loss is not
            scaled = scaled * tinycnn.where(loss.detach().isfinite(), 1.0, math.nan)
        scaled.backward()
        return loss.detach(), scores.detach()

    def autocast(self) -> tinycnn.autocast:
        """The block in which a step computes scores and loss."""
        dtype = None if self.precision == "float32" else self.precision
        return tinycnn.autocast(self.device.type, dtype, enabled=dtype is not None)

    def _parts(self, N: int) -> list[slice]:
        """Of N images. All ranks have as many parts, of which some may be empty."""
        if self.accumulate == 1:
            return [slice(None)]
        parts = evenly(N, self.accumulate)
        return parts if ranks.ranks() > 1 else [part for part in parts if part.stop > part.start] or [slice(None)]

    @tinycnn.no_grad()
    def evaluate(self, loader: Iterable[Any]) -> Figures:
        """The mean loss and metrics of `evaluated` on a test part, as "test_loss", ..."""
        self.evaluated.eval()
        totals = Totals()
        with ranks.shared("Trainer.evaluate", loader):
            for images, targets in prefetch_to_device(loader, self.device):
                images, targets = images.to(self.device), targets.to(self.device)
                if len(images):  # all but some ranks of a last batch
                    scores = self.evaluated(images)
                    totals.add(Batch(images, targets, scores, self.loss_fn(scores, targets)), self.metrics)
                self.call("on_test_batch_end")
        totals.add_ranks(self.metrics, self.device)
        return totals.means("test_")

    @tinycnn.no_grad()
    def predict(self, loader: Iterable[Any]) -> Tensor:
        """The scores (N, ...) of all images, in their order, by `evaluated`."""
        self.evaluated.eval()
        return tinycnn.cat([self.evaluated(images.to(self.device)) for images, _ in loader])

    # --- saving and resuming --------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """All that decides how the training goes on. Tensors are not copied: save them before the next step."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "scaler": self.scaler.state_dict(),
            **(self._held or self._drawn()),
            "callbacks": [callback.state_dict() for callback in self._with_state],
            "kinds": self._kinds(),
            "totals": self.totals.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "rank_seed": self.rank_seed,
            "lr": self.lr,
            "history": self.history,
            "stopping": self.stopping,
        }

    @property
    def _with_state(self) -> list[Callback]:
        """The callbacks that have a state: others may come and go between the parts of a training."""
        return [each for each in self.callbacks if type(each).load_state_dict is not Callback.load_state_dict]

    def _drawn(self) -> dict[str, Any]:
        """How far the random numbers and the loader are."""
        loader: Any = self.loader
        position = loader.state_dict() if self._position is None and hasattr(loader, "state_dict") else self._position
        return {"random": random_states(self.device), "loader": position}

    def _kinds(self) -> dict[str, Any]:
        """What a state must have in common with the trainer that loads it."""
        return {
            "optimizer": type(self.optimizer).__name__,
            "scheduler": None if self.scheduler is None else type(self.scheduler).__name__,
            "precision": self.precision,
            "callbacks": [type(callback).__name__ for callback in self._with_state],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` returned; the next `fit` goes on from there, with the same bits.

        Raises ValueError or RuntimeError, and changes nothing, for the state of another training.
        """
        before = copied(self.state_dict())
        try:
            self._load(state)
        except BaseException:
            self._load(before)
            raise

    def _load(self, state: dict[str, Any]) -> None:
        name = "Trainer.load_state_dict"
        for what, kind in self._kinds().items():
            if (found := state["kinds"][what]) != kind:
                raise ValueError(f"{name}: expected the state of a training with {what} {kind}, got {shortened(found)}")
        parts = self.model, self.optimizer, self.scheduler, self.scaler, *self._with_state
        states = [state[part] for part in ("model", "optimizer", "scheduler", "scaler")] + state["callbacks"]
        for part, saved in zip(parts, states, strict=True):
            if part is not None:
                part.load_state_dict(saved)
        self.totals.load_state_dict(copied(state["totals"], self.device))
        self.epoch, self.step = (check_count(name, number, state[number]) for number in ("epoch", "step"))
        self.lr, self.history, self.stopping = state["lr"], list(state["history"]), state["stopping"]
        self.rank_seed, self._position = state["rank_seed"], state["loader"]
        set_random_states(state["random"])
