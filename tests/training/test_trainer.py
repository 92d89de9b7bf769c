"""The Trainer does what a plain loop does, to the bit, and what it says of it can be counted by hand."""

import math

import numpy as np
import pytest

import tinycnn
from tests.training.small import BATCHES, N, adam, data, everything, finished, loaders, net, sgd, shifted, trainer
from tinycnn import nn, optim, tensor
from tinycnn.amp import GradScaler
from tinycnn.data import DataLoader, TensorDataset
from tinycnn.data.transforms.v2 import MixUp
from tinycnn.nn.functional import cross_entropy
from tinycnn.optim.lr_scheduler import ExponentialLR, OneCycleLR, ReduceLROnPlateau
from tinycnn.training import Callback, Trainer

GPU = pytest.param("gpu", marks=pytest.mark.gpu)


def weights(model):
    return {name: value.cpu().numpy().copy() for name, value in model.state_dict().items()}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


# --- against a plain loop -----------------------------------------------------------------------------------


def plain_loop(optimizer, epochs, scheduler=None, by="batch", loss_fn=cross_entropy, augment=None, mix=None):
    """(weights, rates): a training as anyone writes it."""
    tinycnn.manual_seed(3)
    model = net()
    steps = optimizer(model.parameters())
    schedule = None if scheduler is None else scheduler(steps)
    loader, test_loader = loaders()
    rates = []
    for _ in range(epochs):
        model.train()
        for images, targets in loader:
            images = images if augment is None else augment(images)
            if mix is not None:
                images, targets = mix(images, targets)
            steps.zero_grad()
            loss_fn(model(images), targets).backward()
            steps.step()
            rates.append(steps.param_groups[0]["lr"])
            if by == "batch" and schedule is not None:
                schedule.step()
        model.eval()
        with tinycnn.no_grad():
            losses = [(loss_fn(model(images), targets) * len(images)).item() for images, targets in test_loader]
        if by == "epoch":
            schedule.step()
        elif by == "loss":
            schedule.step(sum(losses) / 10)
    return weights(model), rates


def one_cycle(optimizer):
    return OneCycleLR(optimizer, max_lr=0.1, total_steps=3 * BATCHES)


SMOOTHED = nn.CrossEntropyLoss(label_smoothing=0.2)
WAYS = {
    "SGD": (sgd, {}, {}),
    "Adam": (adam, {}, {}),
    "each batch another rate": (sgd, {"scheduler": one_cycle}, {}),
    "each epoch another rate": (
        adam,
        {"scheduler": lambda optimizer: ExponentialLR(optimizer, 0.5)},
        {"schedule": "epoch"},
    ),
    "plateau": (
        sgd,
        {"scheduler": lambda optimizer: ReduceLROnPlateau(optimizer, factor=0.5, patience=0, threshold=0.9)},
        {},
    ),
    "label smoothing": (adam, {"loss_fn": SMOOTHED}, {}),
    "augment": (sgd, {"augment": shifted}, {}),
    "mix": (sgd, {"mix": MixUp(alpha=0.4, num_classes=4)}, {}),
    "augment and mix": (adam, {"augment": shifted, "mix": MixUp(num_classes=4), "loss_fn": SMOOTHED}, {}),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_weights_are_those_of_a_plain_loop(way):
    optimizer, shared, own = WAYS[way]
    by = own.get("schedule", "loss" if way == "plateau" else "batch")
    expected, rates = plain_loop(optimizer, 3, by=by, **shared)
    seen = []

    class Rates(Callback):
        def on_batch_end(self, trainer, batch):
            seen.append(trainer.lr)

    trained = finished(trainer(optimizer=optimizer, callbacks=[Rates()], **shared, **own))
    assert_same(weights(trained.model), expected)
    assert seen == rates
    assert [figures["lr"] for figures in trained.history] == rates[BATCHES - 1 :: BATCHES]
    if "scheduler" in shared:
        assert len(set(rates)) > 1


@pytest.mark.torch
def test_fifty_steps_of_lenet_are_those_of_torch():
    import torch

    from tinycnn.models import LeNet5

    tinycnn.manual_seed(0)
    model = LeNet5().to("float64")
    twin = torch.nn.Sequential(*map(twin_of, [*model.features, *model.classifier]))
    twin.load_state_dict({n: torch.tensor(p.numpy()) for n, p in zip(twin.state_dict(), model.state_dict().values())})
    generator = np.random.default_rng(0)
    images = generator.standard_normal((400, 1, 28, 28))
    targets = generator.integers(0, 10, 400)
    batches = [(images[i : i + 16], targets[i : i + 16]) for i in range(0, 400, 16)]

    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    trained = Trainer(model, optimizer, scheduler=OneCycleLR(optimizer, 0.1, total_steps=50))
    history = [*trained.each_epoch([(tensor(x), tensor(y)) for x, y in batches], epochs=2)]

    steps = torch.optim.SGD(twin.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(steps, 0.1, total_steps=50)
    losses = []
    for x, y in batches * 2:
        steps.zero_grad()
        loss = torch.nn.functional.cross_entropy(twin(torch.tensor(x)), torch.tensor(y))
        loss.backward()
        steps.step()
        schedule.step()
        losses.append(loss.item())
    assert [f["train_loss"] for f in history] == pytest.approx([np.mean(losses[:25]), np.mean(losses[25:])], rel=1e-6)
    for own, other in zip(model.parameters(), twin.parameters(), strict=True):
        np.testing.assert_allclose(own.detach().numpy(), other.detach().numpy(), rtol=1e-6, atol=1e-9)


def twin_of(layer):
    import torch

    kind = getattr(torch.nn, type(layer).__name__)
    match type(layer).__name__:
        case "Conv2d":
            padding = layer.padding
            return kind(layer.in_channels, layer.out_channels, layer.kernel_size, padding=padding, dtype=torch.float64)
        case "Linear":
            return kind(layer.in_features, layer.out_features, dtype=torch.float64)
        case "MaxPool2d" | "AvgPool2d":
            return kind(2)
    return kind()


# --- parts of a batch ---------------------------------------------------------------------------------------


def without_batchnorm():
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.Tanh(), nn.Linear(8, 4)).to("float64")


@pytest.mark.parametrize("accumulate", [1, 2, 3, 7, 20, 100])
def test_parts_add_up_to_the_gradient_of_the_whole_batch(accumulate):
    images, targets = data().tensors
    images = images.to("float64")
    grads, scores, losses = [], [], []

    class Gradients(Callback):
        def on_backward_end(self, trainer):
            grads.append([p.grad.numpy().copy() for p in trainer.model.parameters()])

        def on_batch_end(self, trainer, batch):
            scores.append(batch.scores.numpy().copy())
            losses.append(batch.loss.item())

    for parts in (1, accumulate):
        of_parts = trainer(model=without_batchnorm, accumulate=parts, callbacks=[Gradients()])
        (figures,) = of_parts.each_epoch([(images, targets)], 1)
        assert figures["train_accuracy"] == (scores[-1].argmax(1) == targets.numpy()).mean()
    for whole, added in zip(*grads, strict=True):
        np.testing.assert_allclose(added, whole, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(scores[1], scores[0], rtol=1e-12)
    assert losses[1] == pytest.approx(losses[0], rel=1e-12)


def test_parts_of_mixed_images():
    images, targets = data().tensors
    models = []
    for parts in (1, 3):
        mixed = trainer(
            model=without_batchnorm, accumulate=parts, mix=MixUp(num_classes=4), optimizer=sgd, loss_fn=SMOOTHED
        )
        for _ in mixed.each_epoch([(images.to("float64"), targets)] * 3, 1):
            pass
        models.append(weights(mixed.model))
    for name, value in models[0].items():
        np.testing.assert_allclose(models[1][name], value, rtol=1e-9, atol=1e-12)


# --- mixed precision, captured steps ------------------------------------------------------------------------


def mixed_loop(device, precision, steps):
    """(weights, scales) of a plain loop in mixed precision."""
    tinycnn.manual_seed(3)
    model = net().to(device)
    optimizer = sgd(model.parameters())
    scaler = GradScaler(device, enabled=precision == "float16")
    loader, _ = loaders()
    scales = []
    for _ in range(steps // BATCHES):
        model.train()
        for images, targets in loader:
            optimizer.zero_grad()
            with tinycnn.autocast(model[0].weight.device.type, precision):
                loss = cross_entropy(model(images.to(device)), targets.to(device))
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            scales.append(scaler.get_scale())
    return weights(model), scales


def without_test():
    return loaders()[0], None


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("device", ["cpu", GPU])
def test_mixed_precision_is_that_of_a_plain_loop(device, precision):
    expected, scales = mixed_loop(device, precision, 2 * BATCHES)
    trained = finished(trainer(device, optimizer=sgd, precision=precision), 2, without_test)
    assert_same(weights(trained.model), expected)
    assert trained.scaler.get_scale() == scales[-1]


@pytest.mark.gpu
@pytest.mark.parametrize(
    "options",
    [{}, {"precision": "bfloat16"}, {"precision": "float16"}, {"augment": shifted, "accumulate": 2},
     {"optimizer": sgd, "scheduler": one_cycle, "mix": MixUp(num_classes=4)}],
    ids=["plain", "bfloat16", "float16", "shifted", "mixed"],
)  # fmt: skip
def test_captured_or_not_the_bits_are_the_same(options):
    found = []
    for capture in (False, True):
        trained = finished(trainer("gpu", capture=capture, **options))
        found.append(everything(trained))
        assert not capture or trained.run_step.captured
    assert found[0] == found[1]


# --- what cannot be finite ----------------------------------------------------------------------------------


def log_of_a_negative(scores, targets):
    """nan, with finite gradients."""
    return (scores * 0.01 - 1).log().mean()


def too_large(scores, targets):
    return (scores + 1e3).exp().mean()


@pytest.mark.parametrize("loss_fn", [log_of_a_negative, too_large])
@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize(
    "device, capture", [("cpu", False), pytest.param("gpu", False, marks=pytest.mark.gpu),
                        pytest.param("gpu", True, marks=pytest.mark.gpu)]
)  # fmt: skip
def test_a_loss_that_is_not_finite_changes_no_weights(device, capture, precision, accumulate, loss_fn):
    images, targets = data().tensors
    options = {"accumulate": accumulate, "precision": precision, "capture": capture, "loss_fn": loss_fn}
    diverged = trainer(device, optimizer=adam, model=lambda: nn.Sequential(nn.Flatten(), nn.Linear(36, 4)), **options)
    before = weights(diverged.model)
    (figures,) = diverged.each_epoch([(images, targets)] * 4, 1)
    assert not math.isfinite(figures["train_loss"])
    assert_same(weights(diverged.model), before)
    assert not capture or diverged.run_step.captured


def test_after_a_nan_the_training_goes_on():
    batches = [(images, targets) for images, targets in loaders()[0]]
    poisoned = [batches[0], (batches[1][0] * math.nan, batches[1][1]), *batches[2:]]
    model = lambda: nn.Sequential(nn.Flatten(), nn.Linear(36, 4))  # noqa: E731
    with_nan, without = (trainer(model=model, optimizer=sgd) for _ in range(2))
    assert math.isnan(next(with_nan.each_epoch(poisoned, 1))["train_loss"])
    next(without.each_epoch([batches[0], *batches[2:]], 1))
    assert_same(weights(with_nan.model), weights(without.model))
    assert with_nan.step == without.step + 1


# --- figures ------------------------------------------------------------------------------------------------


def test_figures_are_what_is_counted_by_hand():
    counts = []

    class Count(Callback):
        def on_batch_end(self, trainer, batch):
            guessed = batch.scores.numpy().argmax(1)
            counts.append((batch.loss.item() * len(guessed), (guessed == batch.targets.numpy()).sum(), len(guessed)))

    trained = trainer(callbacks=[Count()])
    loader, test_loader = loaders()
    for epoch, figures in enumerate(trained.each_epoch(loader, 2, test_loader), start=1):
        losses, right, items = (sum(each) for each in zip(*counts[-BATCHES:]))
        assert items == N
        assert figures["train_loss"] == pytest.approx(losses / N, rel=1e-6)
        assert (figures["epoch"], figures["train_accuracy"]) == (epoch, right / N)
        images, targets = test_loader.dataset.tensors
        with tinycnn.no_grad():
            scores = trained.model.eval()(images)
        assert figures["test_accuracy"] == (scores.numpy().argmax(1) == targets.numpy()).mean()
        assert figures["test_loss"] == pytest.approx(cross_entropy(scores, targets).item(), rel=1e-5)
        assert figures["images_per_second"] == pytest.approx(N / figures["seconds"])
    assert trained.history[-1] is figures
    np.testing.assert_allclose(trained.predict(test_loader).numpy(), scores.numpy(), rtol=1e-5, atol=1e-6)
    assert [*figures] == ["epoch", "train_loss", "train_accuracy", "seconds", "images_per_second", "lr", "test_loss",
                          "test_accuracy"]  # fmt: skip


def test_metrics_of_scores_of_each_pixel():
    """As of a segmentation: scores (N, K, H, W), targets (N, H, W)."""

    def pixels(scores, targets):
        return (scores.argmax(1) == targets).to("float32").mean((1, 2)).sum()

    images, _ = data().tensors
    targets = (images[:, 0] > 0).to("int64")
    masks = DataLoader(TensorDataset(images, targets), 6)
    seen = []

    class Scores(Callback):
        def on_batch_end(self, trainer, batch):
            seen.append(batch.scores.numpy())

    options = {"metrics": {"pixels": pixels}, "accumulate": 2, "callbacks": [Scores()]}
    segmenting = trainer(model=lambda: nn.Conv2d(1, 2, 3, padding=1), **options)
    (figures,) = segmenting.each_epoch(masks, 1, masks)
    assert "train_accuracy" not in figures
    found = np.concatenate(seen)
    assert found.shape == (N, 2, 6, 6)
    assert figures["train_pixels"] == pytest.approx((found.argmax(1) == targets.numpy()).mean(), rel=1e-6)
    assert segmenting.predict(masks).shape == (N, 2, 6, 6)
    assert 0 < figures["test_pixels"] <= 1


def test_without_metrics_and_without_a_test_part():
    (figures,) = trainer(metrics={}).each_epoch(loaders()[0], 1)
    assert [*figures] == ["epoch", "train_loss", "seconds", "images_per_second", "lr"]


def test_a_loader_that_gives_nothing():
    with pytest.raises(ValueError, match="^Trainer: expected a loader that gives batches, got an empty one$"):
        next(trainer().each_epoch([], 1))
    with pytest.raises(ValueError, match="^Trainer: expected a loader that gives batches, got an empty one$"):
        next(trainer().each_epoch(loaders()[0], 1, []))


# --- events -------------------------------------------------------------------------------------------------

EVENTS = ("on_train_begin", "on_epoch_begin", "on_backward_end", "on_batch_end", "on_test_batch_end", "on_epoch_end",
          "on_train_end", "on_exit")  # fmt: skip


class Notes(Callback):
    """Notes the events, and fails at the first one of name `at`."""

    def __init__(self, notes, name="", at=None, order=0):
        self.notes, self.name, self.at, self.order = notes, name, at, order

    def note(self, event, trainer, *_):
        self.notes.append((self.name, event) if self.name else event)
        if event == self.at:
            raise RuntimeError(event)


for event in EVENTS:
    setattr(Notes, event, lambda self, *given, event=event: self.note(event, *given))


def test_events_come_in_their_order_and_once_each():
    notes = []
    loader, test_loader = loaders()
    fit = trainer(callbacks=[Notes(notes)]).each_epoch(loader, 2, test_loader)
    assert notes == []
    epoch = ["on_epoch_begin", *["on_backward_end", "on_batch_end"] * BATCHES, *["on_test_batch_end"] * 3,
             "on_epoch_end"]  # fmt: skip
    next(fit)
    assert notes == ["on_train_begin", *epoch]
    for _ in fit:
        pass
    assert notes == ["on_train_begin", *epoch, *epoch, "on_train_end", "on_exit"]


def test_callbacks_are_called_by_their_order():
    notes = []
    callbacks = [Notes(notes, "last", order=2), Notes(notes, "a"), Notes(notes, "middle", order=1), Notes(notes, "b")]
    finished(trainer(callbacks=callbacks), 1)
    for event in EVENTS:
        names = [name for name, found in notes if found == event][:4]
        assert names == (["last", "middle", "b", "a"] if event == "on_exit" else ["a", "b", "middle", "last"])


@pytest.mark.parametrize("at", EVENTS)
def test_on_exit_comes_after_an_exception_for_all_callbacks(at):
    notes = []
    failing = trainer(callbacks=[Notes(notes, "first"), Notes(notes, "second", at), Notes(notes, "third")])
    with pytest.raises(RuntimeError, match=f"^{at}$"):
        finished(failing, 1)
    assert sorted(name for name, event in notes if event == "on_exit") == ["first", "second", "third"]
    assert all(event == "on_exit" for _, event in notes[-3:])


def test_a_training_that_is_abandoned_half_way():
    whole = everything(finished(trainer(callbacks=[Notes([])]), 4))
    notes = []
    abandoned = trainer(callbacks=[Notes(notes)])
    loader, test_loader = loaders()
    for figures in abandoned.each_epoch(loader, 5, test_loader):
        if figures["epoch"] == 2:
            break
    assert notes.count("on_exit") == 1
    assert notes[-2:] == ["on_epoch_end", "on_exit"]
    assert "on_train_end" not in notes
    # It goes on where it was left.
    assert [figures["epoch"] for figures in abandoned.each_epoch(loader, 4, test_loader)] == [3, 4]
    assert everything(abandoned) == whole


@pytest.mark.parametrize("stops", [1, 3, 4])
@pytest.mark.parametrize("event", ["on_batch_end", "on_test_batch_end"])
def test_after_an_exception_the_same_trainer_goes_on(event, stops):
    """As in a notebook, after Ctrl-C: no batch is trained on twice, and none is left out."""

    class Once(Callback):
        def __init__(self):
            self.left = stops if event == "on_batch_end" else BATCHES

        def on_batch_end(self, trainer, batch):
            self.left -= 1
            if event == "on_batch_end" and self.left == 0:
                raise KeyboardInterrupt

        def on_test_batch_end(self, trainer):
            if event == "on_test_batch_end" and self.left == 0:
                self.left = -1
                raise KeyboardInterrupt

    whole = finished(trainer(), 2)
    interrupted = trainer(callbacks=[Once()])
    loader, test_loader = loaders()
    with pytest.raises(KeyboardInterrupt):
        next(interrupted.each_epoch(loader, 2, test_loader))
    first, _ = interrupted.each_epoch(loader, 2, test_loader)
    assert interrupted.step == 2 * BATCHES
    assert first["train_loss"] == whole.history[0]["train_loss"]
    if event == "on_batch_end":
        assert_same(weights(interrupted.model), weights(whole.model))


def test_a_stop_ends_the_training_after_the_epoch():
    class Stop(Callback):
        def on_batch_end(self, trainer, batch):
            trainer.stopping = "enough"

    stopped = finished(trainer(callbacks=[Stop()]))
    assert (stopped.epoch, stopped.step, stopped.stopping) == (1, BATCHES, "enough")


# --- wrong arguments ----------------------------------------------------------------------------------------


def wrong(**options):
    made = net()
    return lambda: Trainer(**{"model": made, "optimizer": adam(made.parameters()), **options})


def other_scheduler():
    return ExponentialLR(adam(net().parameters()), 0.5)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (wrong(model=3), TypeError, "model as a Module, got 3"),
        (wrong(model=nn.ReLU()), ValueError, "a model with parameters, got one without"),
        (wrong(optimizer=None), TypeError, "optimizer as an Optimizer, got None"),
        (wrong(optimizer=optim.LBFGS(net().parameters())), ValueError, "an optimizer that takes one gradient"),
        (wrong(loss_fn=None), TypeError, "loss_fn as a function, got None"),
        (wrong(scheduler="cosine"), TypeError, "scheduler as an LRScheduler or None, got 'cosine'"),
        (wrong(scheduler=other_scheduler()), ValueError, "a scheduler of the optimizer, got one of another"),
        (wrong(schedule="step"), ValueError, "schedule as 'batch' or 'epoch', got 'step'"),
        (wrong(metrics=["accuracy"]), TypeError, "metrics as a dict of functions or None, got"),
        (wrong(metrics={"a": 3}), TypeError, r"metrics\['a'\] as a function, got 3"),
        (wrong(augment=3), TypeError, "augment as a function or None, got 3"),
        (wrong(mix=3), TypeError, "mix as a function or None, got 3"),
        (wrong(accumulate=0), ValueError, "accumulate of at least 1, got 0"),
        (wrong(accumulate=2.0), TypeError, "accumulate as an int, got 2.0"),
        (wrong(precision="float64"), ValueError, "precision as 'float32', 'bfloat16' or 'float16', got 'float64'"),
        (wrong(capture=1), TypeError, "capture as True or False, got 1"),
        (wrong(callbacks=3), TypeError, "callbacks as a list of Callbacks, got 3"),
        (wrong(callbacks=[Callback]), TypeError, "callbacks as a list of Callbacks, got <class"),
        (lambda: next(trainer().each_epoch([], 0)), ValueError, "epochs of at least 1, got 0"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused_in_one_line(call, error, message):
    with pytest.raises(error, match=message) as raised:
        call()
    assert str(raised.value).startswith(("Trainer: expected ", "Trainer.fit: expected "))
    assert "\n" not in str(raised.value)


def test_fit_trains_without_being_iterated_and_returns_the_whole_history():
    loader, test_loader = loaders()
    fitted, looped = trainer(), trainer()
    assert [figures["epoch"] for figures in fitted.fit(loader, 1, test_loader)] == [1]
    assert [figures["epoch"] for figures in fitted.fit(loader, 2, test_loader)] == [1, 2]
    assert fitted.step == 2 * len(loader)
    assert [*looped.each_epoch(loader, 2)] == looped.history
