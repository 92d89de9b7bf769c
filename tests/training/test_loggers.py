"""Where figures go: each file is read back by the format's own reader. And the range test of learning rates."""

import json
import math
import re
import sys

import numpy as np
import pytest

import tinycnn
from tests.crash import watch
from tests.training.small import BATCHES, adam, bits, data, everything, finished, loaders, net, sgd, shifted, trainer
from tests.training.test_callbacks import Each
from tinycnn import nn
from tinycnn._extras import how_to_install
from tinycnn.data import DataLoader, Digits
from tinycnn.models import LeNet5
from tinycnn.optim.lr_scheduler import OneCycleLR
from tinycnn.training import (
    EMA,
    Callback,
    Checkpoints,
    GradientNorms,
    JsonLines,
    PrintFigures,
    TensorBoard,
    Trainer,
    find_lr,
    resume,
)
from tinycnn.training.state import copied

# --- lines --------------------------------------------------------------------------------------------------


def test_a_line_for_each_epoch(capsys):
    finished(trainer(callbacks=[PrintFigures("Small", 3)]), 1)
    finished(trainer(callbacks=[PrintFigures()]), 1, lambda: (loaders()[0], None))
    first, second = capsys.readouterr().out.splitlines()
    number = r"\d\.\d{4}"
    expected = (
        rf"Small epoch 1/3: train loss {number}, accuracy \d+\.\d\d%; test loss {number}, accuracy \d+\.\d\d%; lr "
    )
    assert re.match(expected, first)
    assert second.startswith("epoch 1: train loss ")
    assert "test" not in second


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_inf_and_nan_become_null(tmp_path):
    class Diverged(Callback):
        def on_epoch_end(self, trainer, figures):
            figures |= {"worst": math.inf, "norms": {"conv": math.nan, "linear": 1.5}}

    finished(trainer(callbacks=[Diverged(), JsonLines(tmp_path / "metrics.jsonl")]), 1)
    (line,) = lines(tmp_path / "metrics.jsonl")
    assert (line["worst"], line["norms"]) == (None, {"conv": None, "linear": 1.5})


def test_json_lines_are_the_header_and_the_history(tmp_path):
    path = tmp_path / "metrics.jsonl"
    seen = []
    look = Each(lambda trainer: seen.append(lines(path)), "on_batch_end")
    trained = trainer(callbacks=[GradientNorms(1), look, JsonLines(path, {"seed": 3})])
    finished(trained, 2)
    assert lines(path) == [{"seed": 3}, *trained.history]
    assert "gradient_norms" in lines(path)[1]
    # It is there, and whole, at every moment.
    assert seen == [[{"seed": 3}]] * BATCHES + [[{"seed": 3}, trained.history[0]]] * BATCHES


def test_a_resumed_training_writes_the_lines_before_it_too(tmp_path):
    def make():
        return trainer(callbacks=[JsonLines(tmp_path / "metrics.jsonl"), Checkpoints(tmp_path / "run")])

    finished(make(), 2)
    resumed = make()
    resume(resumed, tmp_path / "run" / "step_4")
    loader, test_loader = loaders()
    fit = resumed.each_epoch(loader, 3, test_loader)
    next(fit)
    assert [figures["epoch"] for figures in lines(tmp_path / "metrics.jsonl")] == [1, 2]
    assert len([*fit]) == 1
    assert lines(tmp_path / "metrics.jsonl") == resumed.history
    assert len(resumed.history) == 3


def test_json_lines_remove_what_a_killed_process_was_just_writing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    long = f"{'m' * 50}.jsonl"  # the temporary file has the beginning of it
    for name in ("[1].jsonl", "1.jsonl", long[:40]):
        (tmp_path / f"{name}.0123456789ab.part").touch()
    finished(trainer(callbacks=[JsonLines("[1].jsonl"), JsonLines(long)]), 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.jsonl.0123456789ab.part", "[1].jsonl", long]


def test_json_lines_that_cannot_be_written_are_a_warning(tmp_path, monkeypatch):
    path = tmp_path / "metrics.jsonl"

    def fail(name):
        raise OSError(28, "No space left on device")

    def spoil(trainer):
        if trainer.step == 5:
            watched = watch(monkeypatch)
            watched.at, watched.instead = 3, fail

    with pytest.warns(RuntimeWarning, match=f"^cannot write {path}: No space left on device$"):
        trained = finished(trainer(callbacks=[Each(spoil), JsonLines(path)]), 2)
    assert (trained.step, lines(path)) == (2 * BATCHES, trained.history[:1])
    with pytest.raises(OSError, match="^cannot write .*: "):  # at once where it never can
        finished(trainer(callbacks=[JsonLines(tmp_path / "none" / "metrics.jsonl")]), 1)


# --- TensorBoard --------------------------------------------------------------------------------------------


def curves(folder):
    """Steps and values by name, as TensorBoard shows them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def float32(value):
    return float(np.float32(value))


def test_tensorboard_reads_what_is_written(tmp_path):
    losses = []

    class Losses(Callback):
        def on_batch_end(self, trainer, batch):
            losses.append((batch.loss.item(), trainer.lr))

    one_cycle = lambda optimizer: OneCycleLR(optimizer, 0.05, total_steps=12)  # noqa: E731
    callbacks = [Losses(), GradientNorms(1), TensorBoard(tmp_path, every=2)]
    history = finished(trainer(callbacks=callbacks, scheduler=one_cycle), 3).history
    found = curves(tmp_path)
    chosen = range(2, 13, 2)
    assert found.pop("step/loss") == [(step, float32(losses[step - 1][0])) for step in chosen]
    assert found.pop("step/lr") == [(step, float32(losses[step - 1][1])) for step in chosen]
    for layer in ("0", "1", "6"):
        expected = [(4 * f["epoch"], float32(f["gradient_norms"][layer])) for f in history]
        assert found.pop(f"gradient_norms/{layer}") == expected
    assert set(found) == set(history[0]) - {"epoch", "gradient_norms"}
    for name, curve in found.items():
        assert curve == [(4 * figures["epoch"], float32(figures[name])) for figures in history]


def test_a_resumed_training_hides_the_future_that_it_does_not_continue(tmp_path):
    def make(rate):
        steps = lambda parameters: tinycnn.optim.SGD(parameters, lr=rate)  # noqa: E731
        callbacks = [TensorBoard(tmp_path / "board", every=1), Checkpoints(tmp_path / "run", every=1, keep=99)]
        return trainer(callbacks=callbacks, optimizer=steps)

    first = finished(make(0.1), 3)
    resumed = make(0.1)
    resume(resumed, tmp_path / "run" / "step_6")
    resumed.optimizer.param_groups[0]["lr"] = 0.05
    finished(resumed, 2)
    found = curves(tmp_path / "board")
    assert [step for step, _ in found["step/loss"]] == [*range(1, 9)]
    assert found["step/lr"] == [(s, float32(0.1 if s <= 6 else 0.05)) for s in range(1, 9)]
    assert found["test_loss"] == [(4, float32(first.history[0]["test_loss"])),
                                  (8, float32(resumed.history[1]["test_loss"]))]  # fmt: skip


def test_the_writer_is_closed_after_an_exception(tmp_path):
    def fail(trainer):
        if trainer.step == 3:
            raise RuntimeError("a bug")

    board = TensorBoard(tmp_path, every=1)
    with pytest.raises(RuntimeError, match="a bug"):
        finished(trainer(callbacks=[Each(fail, order=1), board]), 1)
    assert len(curves(tmp_path)["step/loss"]) == 2


def test_without_tensorboardx_it_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError) as raised:
        TensorBoard(tmp_path)
    hint = how_to_install("tensorboard")
    assert str(raised.value) == f"TensorBoard: needs tensorboardX, which is not installed: {hint}"


# --- the range test -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["cpu", pytest.param("gpu", marks=pytest.mark.gpu)])
@pytest.mark.parametrize(
    "options",
    [{}, {"augment": shifted, "callbacks": [EMA(0.9), GradientNorms(1)]}, {"precision": "float16"},
     {"optimizer": sgd, "accumulate": 2}, {"capture": True}],
    ids=["adam", "with callbacks", "float16", "sgd in parts", "captured"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:capture. the step runs eagerly")
def test_everything_is_restored(device, options):
    for before_training in (True, False):
        tested = trainer(device, **options)
        loader, test_loader = loaders()
        if not before_training:
            next(tested.each_epoch(loader, 3, test_loader))
        before, position = everything(tested), loader.state_dict()
        find_lr(tested, loader, low=1e-4, high=10.0, steps=9)
        assert everything(tested) == before
        assert bits(loader.state_dict()) == bits(position)
        left = [*tested.each_epoch(loader, 3, test_loader)]
        # As if nothing had been.
        other = finished(trainer(device, **options))
        assert [f["train_loss"] for f in tested.history] == [f["train_loss"] for f in other.history]
        assert len(left) == 3 - (not before_training)


def test_after_a_loaded_state_too():
    saved = finished(trainer(), 1).state_dict()
    tested = trainer(seed=77)
    tested.load_state_dict(saved)
    before = bits(copied(tested.state_dict()))
    find_lr(tested, loaders()[0], steps=5, low=1e-3)
    assert bits(tested.state_dict()) == before


def test_after_a_failure_it_is_restored_too():
    calls = []

    def failing(images):
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("a bug")
        return images

    tested = trainer(augment=failing)
    loader, _ = loaders()
    before = bits(copied(tested.state_dict()))
    with pytest.raises(RuntimeError, match="a bug"):
        find_lr(tested, loader)
    assert bits(tested.state_dict()) == before


def test_the_rates_grow_by_one_factor_and_the_loss_is_smoothed():
    losses, rates = [], []

    class Notes(Callback):
        def on_backward_end(self, trainer):
            rates.append(trainer.optimizer.param_groups[0]["lr"])

    def noted(scores, targets):
        loss = nn.functional.cross_entropy(scores, targets)
        losses.append(loss.item())
        return loss

    _, curve = find_lr(trainer(callbacks=[Notes()], loss_fn=noted, optimizer=sgd), loaders()[0], 1e-4, 1e-1, steps=31)
    assert rates == pytest.approx(np.geomspace(1e-4, 1e-1, 31))
    assert [lr for lr, _ in curve] == rates[: len(curve)]
    weights = 0.9 ** np.arange(31)
    for i, (_, smoothed) in enumerate(curve):
        chosen = weights[: i + 1][::-1]
        assert smoothed == pytest.approx(np.dot(chosen, losses[: i + 1]) / chosen.sum())


def test_the_test_ends_when_the_loss_explodes():
    with np.errstate(all="ignore"):
        lr, curve = find_lr(trainer(optimizer=sgd), loaders()[0], 1e-3, 1e6, steps=60)
    assert len(curve) < 60
    assert curve[-1][1] <= 4 * min(loss for _, loss in curve)
    assert lr < curve[-1][0]


def test_a_sensible_rate_for_digits():
    tinycnn.manual_seed(0)
    model = LeNet5(image_size=32)
    tested = Trainer(model, tinycnn.optim.SGD(model.parameters(), lr=1.0, momentum=0.9))
    lr, curve = find_lr(tested, DataLoader(Digits(), 64, shuffle=True), 1e-4, 10.0, steps=60)
    assert 0.003 < lr < 0.5  # the recipe has 0.05
    assert curve[-1][1] > min(loss for _, loss in curve)


def test_a_loss_below_zero():
    """As that of a density: not four times its least is too high, but what lies as far above it."""
    tested = trainer(loss_fn=lambda scores, targets: nn.functional.cross_entropy(scores, targets) - 100, optimizer=sgd)
    _, curve = find_lr(tested, loaders()[0], 1e-4, 1e-2, steps=20)
    assert len(curve) == 20


@pytest.mark.parametrize(
    "options, message",
    [({"low": 0.0}, "0 < low < high"), ({"low": 1.0}, "0 < low < high"), ({"high": math.inf}, "0 < low < high"),
     ({"low": math.nan}, "0 < low < high"), ({"low": "1"}, "low as a number"), ({"steps": 0}, "steps of at least 1"),
     ({"steps": 1}, "the loss falls at no learning rate"), ({"loader": []}, "a loader that gives batches"),
     ({"low": 1e-12, "high": 1e-11}, "")],
)  # fmt: skip
def test_wrong_arguments(options, message):
    arguments = {"loader": [tuple(data().tensors)], "low": 1e-6, "high": 1.0, "steps": 10, **options}
    tested = trainer(model=lambda: net(dropout=0), optimizer=adam)
    if not message:
        arguments["loader"] = [(x, x[:, 0, 0, 0].to("int64") * 0) for x, _ in loaders()[0]]
        find_lr(tested, **arguments)
        return
    with pytest.raises((TypeError, ValueError), match="^find_lr: (expected )?" + message):
        find_lr(tested, **arguments)
