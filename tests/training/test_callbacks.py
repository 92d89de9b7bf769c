"""Each callback against what is computed by hand."""

import contextlib
import fcntl
import math
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tests.training.small import BATCHES, adam, data, everything, finished, loaders, net, sgd, trainer
from tinycnn import nn
from tinycnn._extras import how_to_install
from tinycnn.nn.utils import clip_grad_norm_
from tinycnn.training import EMA, Callback, ClipGradients, EarlyStopping, GradientNorms, Progress, StopOnNan

REPOSITORY = Path(__file__).resolve().parents[2]
GPU = pytest.param("gpu", marks=pytest.mark.gpu)


class Each(Callback):
    """Calls a function of the trainer after each step, before or after the other callbacks."""

    def __init__(self, function, event="on_batch_end", order=0):
        self.order = order
        setattr(self, event, lambda trainer, *_: function(trainer))


class Given(Callback):
    """Sets a figure of each epoch."""

    def __init__(self, *values):
        self.values = values

    def on_epoch_end(self, trainer, figures):
        figures["given"] = self.values[trainer.epoch - 1]


# --- EMA ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 1.0])
def test_the_average_is_that_of_a_plain_loop(decay):
    expected = {}

    def average(trainer):
        for name, p in trainer.model.named_parameters():
            value = p.detach().numpy().astype(np.float64)
            expected[name] = value if trainer.step == 1 else decay * expected[name] + (1 - decay) * value

    averaging = trainer(callbacks=[EMA(decay), Each(average)])
    finished(averaging)
    assert averaging.evaluated is not averaging.model
    for name, p in averaging.evaluated.named_parameters():
        np.testing.assert_allclose(p.detach().numpy(), expected[name], rtol=1e-4, atol=1e-6)
    for own, current in zip(averaging.evaluated.buffers(), averaging.model.buffers(), strict=True):
        np.testing.assert_array_equal(own.numpy(), current.numpy())


def test_the_average_is_what_is_evaluated_and_changes_no_training():
    plain, averaging = (finished(trainer(callbacks=callbacks)) for callbacks in ([], [EMA(0.9)]))
    for own, other in zip(plain.model.parameters(), averaging.model.parameters(), strict=True):
        np.testing.assert_array_equal(own.detach().numpy(), other.detach().numpy())
    _, test_loader = loaders()
    assert averaging.history[-1]["test_loss"] != plain.history[-1]["test_loss"]
    assert averaging.evaluate(test_loader)["test_loss"] == averaging.history[-1]["test_loss"]
    assert averaging.predict(test_loader).shape == (10, 4)


def test_the_average_goes_on_in_another_fit():
    """And is not set back to what a state held that was loaded before."""
    whole = everything(finished(trainer(callbacks=[EMA(0.9)]), 4))
    saved = finished(trainer(callbacks=[EMA(0.9)]), 1)
    loader, test_loader = loaders()
    resumed = trainer(callbacks=[EMA(0.9)])
    tinycnn.manual_seed(3)
    saved = finished(trainer(callbacks=[EMA(0.9)]), 1)
    resumed.load_state_dict(saved.state_dict())
    for epochs in (2, 3, 4):
        for _ in resumed.each_epoch(loader, epochs, test_loader):
            pass
    assert everything(resumed) == whole


def test_a_state_that_is_loaded_counts_at_once():
    first, second = (finished(trainer(callbacks=[EMA(0.9)], seed=seed), 1) for seed in (3, 4))
    second.load_state_dict(first.state_dict())
    for own, other in zip(second.evaluated.parameters(), first.evaluated.parameters(), strict=True):
        np.testing.assert_array_equal(own.detach().numpy(), other.detach().numpy())


# --- EarlyStopping ------------------------------------------------------------------------------------------

INF, NAN = math.inf, math.nan


@pytest.mark.parametrize(
    "values, options, epochs",
    [
        ([3, 2, 1, 0, -1, -2], {"patience": 0}, 6),
        ([3, 2, 2, 1, 0, 0], {"patience": 0}, 3),  # the same is no improvement
        ([3, 2, 2, 1, 0, 0], {"patience": 1}, 6),
        ([3, 2, 2, 2, 0, 0], {"patience": 1}, 4),
        ([1, 2, 3, 4, 5, 6], {"patience": 3}, 5),
        ([1, 2, 2, 0, 1, 1], {"patience": 2}, 6),  # the count begins anew
        ([5, 4.5, 4, 3.5, 3, 2.5], {"patience": 0, "min_delta": 0.5}, 2),  # better by more than that
        ([5, 4.5, 4, 3.5, 3, 2.5], {"patience": 1, "min_delta": 0.5}, 6),  # than the best that counted
        ([1, 2, 3, 3, 4, 4], {"patience": 0, "mode": "max"}, 4),
        ([NAN] * 6, {"patience": 2}, 3),
        ([1, NAN, 0, NAN, -1, NAN], {"patience": 1}, 6),
        ([INF, INF, 1, 0, 0, 0], {"patience": 0}, 1),
        ([-INF, -INF, 0, 0, 0, 0], {"patience": 1}, 3),
        ([INF, 5, 5, 5, 5, 5], {"patience": 1, "mode": "max"}, 3),
    ],
)  # fmt: skip
def test_the_training_ends_when_nothing_improves(values, options, epochs):
    stopping = trainer(callbacks=[Given(*values), EarlyStopping("given", **options)])
    finished(stopping, 6)
    assert stopping.epoch == epochs
    assert (stopping.stopping is None) == (epochs == 6)
    if epochs < 6:
        assert stopping.stopping == f"given has not improved for {options['patience'] + 1} epochs"


def test_a_figure_that_there_is_not():
    with pytest.raises(ValueError, match="^EarlyStopping: expected monitor as one of epoch, .*, got 'test_los'$"):
        finished(trainer(callbacks=[EarlyStopping("test_los")]))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: EarlyStopping(patience=-1), "EarlyStopping: expected patience of at least 0, got -1"),
        (lambda: EarlyStopping(patience=1.5), "EarlyStopping: expected patience as an int, got 1.5"),
        (lambda: EarlyStopping(min_delta=-1.0), "EarlyStopping: expected min_delta of at least 0, got -1"),
        (lambda: EarlyStopping(mode="up"), "EarlyStopping: expected mode as 'min' or 'max', got 'up'"),
        (lambda: EMA(1.5), "EMA: expected decay of at least 0 and of at most 1, got 1.5"),
        (lambda: ClipGradients(-1), "ClipGradients: expected max_norm of at least 0, got -1"),
        (lambda: GradientNorms(0), "GradientNorms: expected every of at least 1, got 0"),
        (lambda: StopOnNan(0), "StopOnNan: expected every of at least 1, got 0"),
        (lambda: Progress(every=0), "Progress: expected every of at least 1, got 0"),
    ],
)
def test_wrong_options(make, message):
    with pytest.raises((TypeError, ValueError)) as raised:
        make()
    assert str(raised.value).startswith(message)


# --- gradients ----------------------------------------------------------------------------------------------


def clipped_loop(device, precision, max_norm, norm_type):
    """(weights, norms of the gradients before clipping) of a plain loop."""
    tinycnn.manual_seed(3)
    model = net().to(device)
    optimizer = sgd(model.parameters())
    scaler = tinycnn.amp.GradScaler(device, enabled=precision == "float16")
    norms = []
    for images, targets in loaders()[0]:
        optimizer.zero_grad()
        dtype = None if precision == "float32" else precision
        with tinycnn.autocast(model[0].weight.device.type, dtype, enabled=dtype is not None):
            loss = nn.functional.cross_entropy(model(images.to(device)), targets.to(device))
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        norms.append(clip_grad_norm_(model.parameters(), max_norm, norm_type).item())
        scaler.step(optimizer)
        scaler.update()
    return [p.detach().cpu().numpy() for p in model.parameters()], norms


@pytest.mark.parametrize("device", ["cpu", GPU])
@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("max_norm, norm_type", [(0.1, 2.0), (0.05, math.inf), (100.0, 2.0)])
def test_clipped_gradients_are_those_of_a_plain_loop(device, precision, max_norm, norm_type):
    expected, norms = clipped_loop(device, precision, max_norm, norm_type)
    assert all(norm > max_norm for norm in norms) or max_norm == 100.0
    seen = []

    def largest(trainer):
        seen.append(max(p.grad.cpu().abs().max().item() for p in trainer.model.parameters()))

    clipping = trainer(device, sgd, precision=precision, callbacks=[ClipGradients(max_norm, norm_type), Each(largest)])
    next(clipping.each_epoch(loaders()[0], 1))
    for own, other in zip(clipping.model.parameters(), expected, strict=True):
        np.testing.assert_array_equal(own.detach().cpu().numpy(), other)
    assert max_norm == 100.0 or max(seen) <= max_norm * 1.0001


@pytest.mark.parametrize("device", ["cpu", GPU])
@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("every", [1, 2, 3])
def test_norms_are_those_of_the_gradients_by_layer(device, precision, clip, every):
    expected = []

    def measure(trainer):
        """Where the trainer calls back within the step: the gradients, after clipping."""
        layers = {"0": trainer.model[0], "1": trainer.model[1], "6": trainer.model[6]}
        expected.append(
            {
                name: np.linalg.norm(np.concatenate([p.grad.cpu().numpy().ravel() for p in layer.parameters()]))
                for name, layer in layers.items()
            }
        )

    callbacks = [ClipGradients(0.1)] if clip else []
    callbacks += [Each(measure, "on_backward_end"), GradientNorms(every)]
    measured = trainer(device, precision=precision, callbacks=callbacks)
    if precision == "float16":  # the scale changes after each step: it must be that of the step
        state = measured.scaler.state_dict()
        measured.scaler.load_state_dict({**state, "scale": 128.0, "growth_interval": 1})
    figures = next(measured.each_epoch(loaders()[0], 1))
    chosen = expected[every - 1 :: every]
    assert figures["gradient_norms"] == pytest.approx(
        {name: np.mean([norms[name] for norms in chosen]) for name in chosen[0]}, rel=1e-5
    )


def test_norms_of_steps_that_change_no_weights_are_left_out():
    """Such as the first ones in float16."""
    batches = [(images, targets) for images, targets in loaders()[0]]
    batches[1] = (batches[1][0] * math.inf, batches[1][1])
    (figures,) = trainer(callbacks=[GradientNorms(1)]).each_epoch(batches[:3], 1)
    assert all(map(math.isfinite, figures["gradient_norms"].values()))
    (figures,) = trainer(callbacks=[GradientNorms(50)]).each_epoch(batches, 1)
    assert "gradient_norms" not in figures


# --- StopOnNan ----------------------------------------------------------------------------------------------


class Poisoned(nn.Module):
    """Gives what is too large for float32 from one call on."""

    def __init__(self, at):
        super().__init__()
        self.calls, self.at = 0, at

    def forward(self, x):
        self.calls += 1
        return (x.abs() + 200).exp() if self.calls >= self.at else x


def deep(*layers):
    return lambda: nn.Sequential(nn.Flatten(), nn.Linear(36, 8), *layers, nn.ReLU(), nn.Linear(8, 4))


def stopped(expected, **options):
    stopping = trainer(callbacks=[StopOnNan(options.pop("every", 1))], **options)
    before = []

    def copy(trainer):
        before.append([p.detach().numpy().copy() for p in trainer.model.parameters()])

    stopping.callbacks.insert(0, Each(copy, "on_backward_end"))
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError) as raised:
        finished(stopping)
    assert str(raised.value) == expected
    return stopping, before


def test_an_overflow_in_a_layer_in_the_middle_is_named():
    stopping, before = stopped(
        "the loss is nan in step 3: 2 (Poisoned) gives inf or nan; try a smaller learning rate",
        model=deep(Poisoned(at=3)), optimizer=sgd,
    )  # fmt: skip
    for own, expected in zip(stopping.model.parameters(), before[2], strict=True):
        np.testing.assert_array_equal(own.detach().numpy(), expected)


def test_weights_that_are_nan_are_named():
    def spoil(trainer):
        if trainer.step == 2:
            trainer.model[3].bias.detach()[1] = math.nan

    with pytest.raises(FloatingPointError) as raised:
        finished(trainer(callbacks=[StopOnNan(), Each(spoil, "on_batch_end")], model=deep()))
    assert str(raised.value) == (
        "the loss is nan in step 3: 3 (Linear) gives inf or nan, as its bias has; try a smaller learning rate"
    )


def test_finite_scores_whose_loss_is_not_are_said():
    stopped(
        "the loss is nan in step 1: the scores are finite, the loss of them is not; try a smaller learning rate",
        model=deep(), loss_fn=lambda scores, targets: (scores * 0.01 - 1).log().mean(),
    )  # fmt: skip


def test_an_overflow_of_float16_is_found_in_float16():
    model = lambda: nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.Linear(8, 8), nn.Linear(8, 4))  # noqa: E731

    def enlarge(trainer):
        trainer.model[2].weight.detach().fill_(60000.0)

    overflowing = trainer(model=model, precision="float16", callbacks=[StopOnNan(), Each(enlarge, "on_epoch_begin")])
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match=r"in step 1: 2 \(Linear\) gives inf"):
        finished(overflowing)


def test_the_look_for_the_layer_leaves_running_statistics_alone():
    nets = []
    for every in (1, 100):
        batches = [(images, targets) for images, targets in loaders()[0]]
        batches[1] = (batches[1][0] * math.nan, batches[1][1])
        looked = trainer(callbacks=[StopOnNan(every)])
        with contextlib.suppress(FloatingPointError):
            next(looked.each_epoch(batches[:2], 1))
        nets.append([buffer.numpy() for buffer in looked.model.buffers()])
    for looked, not_looked in zip(*nets, strict=True):
        np.testing.assert_array_equal(looked, not_looked)


def test_the_loss_is_looked_at_every_so_many_steps():
    stopped(
        "the loss is nan in step 4: 2 (Poisoned) gives inf or nan; try a smaller learning rate",
        model=deep(Poisoned(at=3)), every=2,
    )  # fmt: skip


@pytest.mark.gpu
@pytest.mark.parametrize("capture", [False, True])
def test_on_a_gpu_too(capture):
    def spoil(trainer):
        if trainer.step == 5:
            trainer.model[6].weight.detach().fill_(math.nan)

    stopping = trainer("gpu", capture=capture, callbacks=[StopOnNan(every=3), Each(spoil)])
    with pytest.raises(FloatingPointError, match=r"the loss is nan in step 6: 6 \(Linear\) .* as its weight has;"):
        finished(stopping)


# --- Progress -----------------------------------------------------------------------------------------------

PROGRAM = """
import sys, time
from tests.training.small import finished, shifted, trainer
from tinycnn.training import PrintFigures, Progress
slowly = lambda images: time.sleep(0.12) or images  # tqdm draws ten times a second
callbacks = [Progress("Small", every=int(sys.argv[1])), PrintFigures("Small", 2)]
finished(trainer(callbacks=callbacks, augment=slowly), 2)
print("end")
"""


def environment():
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "100", "TERM": "xterm"}


def test_in_a_pipe_there_is_no_bar():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "1"], env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    first, second, end = done.stdout.splitlines()
    assert first.startswith("Small epoch 1/2: train loss ")
    assert second.startswith("Small epoch 2/2: ")
    assert (end, "\r" in done.stdout) == ("end", False)


@pytest.mark.parametrize("every", [1, 20])
def test_in_a_terminal_there_is_one(every):
    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 24, 100, 0, 0))
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(every)], env=environment(), stdout=terminal, stderr=subprocess.PIPE
    )
    os.close(terminal)
    out = b""
    while chunk := read(main):
        out += chunk
    os.close(main)
    assert (program.communicate()[1], program.returncode) == (b"", 0)
    text = out.decode()
    assert "Small epoch 1:   0%" in text
    assert f"0/{BATCHES} [" in text
    figures = re.findall(r"Small epoch 1: [^\r]*\| \d/4 \[[^\r]*, (loss \d\.\d{4}, accuracy \d\.\d{4})\]", text)
    assert len(set(figures)) == (1 if every == 20 else 4)
    # The bars are gone when the lines are printed.
    shown = [line.rpartition("\r")[2] for line in text.replace("\r\n", "\n").split("\n") if line]
    assert [line.split(":")[0] for line in shown] == ["Small epoch 1/2", "Small epoch 2/2", "end"]


def read(descriptor):
    try:
        return os.read(descriptor, 10_000)
    except OSError:  # Linux, when the other end is closed
        return b""


def test_a_bar_shows_the_batches_before_a_resume(capsys):
    class Stop(Callback):
        def on_batch_end(self, trainer, batch):
            if trainer.step == 2:
                raise KeyboardInterrupt

    progress = Progress()
    interrupted = trainer(callbacks=[progress, Stop()])
    loader, _ = loaders()
    with pytest.raises(KeyboardInterrupt):
        next(interrupted.each_epoch(loader, 1))
    starts = []
    real = progress.tqdm
    progress.tqdm = lambda **options: starts.append(options["initial"]) or real(**options)
    next(interrupted.each_epoch(loader, 1))
    assert starts == [2]


def test_without_tqdm_it_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ImportError) as raised:
        Progress()
    assert str(raised.value) == f"Progress: needs tqdm, which is not installed: {how_to_install('training')}"


def test_a_loader_without_a_length():
    images, targets = data().tensors

    class Loader:
        def __iter__(self):
            yield from [(images, targets)] * 3

    looped = trainer(callbacks=[Progress()], optimizer=adam)
    assert len([*looped.each_epoch(Loader(), 2)]) == 2
