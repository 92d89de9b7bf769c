"""A training that is interrupted anywhere, and resumed in a new process or trainer, is the uninterrupted one."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.training.small import BATCHES, bits, data, everything, finished, loaders, net, sgd, shifted, trainer
from tests.training.test_callbacks import Each
from tinycnn.data import DataLoader
from tinycnn.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau
from tinycnn.training import (
    EMA,
    Callback,
    Checkpoints,
    ClipGradients,
    EarlyStopping,
    GradientNorms,
    Interrupted,
    load_checkpoint,
    resume,
)

REPOSITORY = Path(__file__).resolve().parents[2]
EPOCHS = 3
STEPS = EPOCHS * BATCHES


def one_cycle(optimizer):
    return OneCycleLR(optimizer, max_lr=0.05, total_steps=STEPS)


def plateau(optimizer):
    return ReduceLROnPlateau(optimizer, patience=0, threshold=0.5)


WAYS = {
    "all": {"scheduler": one_cycle, "augment": shifted},
    "parts": {"scheduler": plateau, "accumulate": 2, "optimizer": sgd, "augment": shifted},
    "bfloat16": {"scheduler": one_cycle, "precision": "bfloat16"},
    "float16": {"scheduler": one_cycle, "precision": "float16", "augment": shifted},
}


def complete(folder, device="cpu", more=(), **options):
    callbacks = [EMA(0.9), ClipGradients(1.0), EarlyStopping(patience=5), GradientNorms(3), *more,
                 Checkpoints(folder, every=1, keep=99, monitor="test_accuracy", hint="resume it")]  # fmt: skip
    return trainer(device, callbacks=callbacks, **options)


def seeded():
    return loaders(seed=5)


def resumed_everywhere(folder, device="cpu", loaders=loaders, **options):
    """Resumes at every step; all that is left must be that of the whole training."""
    whole = everything(finished(complete(folder, device, **options), EPOCHS, loaders))
    for step in range(1, STEPS + 1):
        other = complete(folder / "others", device, seed=77, **options)
        resume(other, folder / f"step_{step}")
        assert other.step == step
        assert everything(finished(other, EPOCHS, loaders)) == whole, step


@pytest.mark.parametrize("way", WAYS)
def test_resumed_at_any_step_the_bits_are_the_same(tmp_path, way):
    resumed_everywhere(tmp_path, **WAYS[way])


def test_with_an_order_that_is_a_function_of_the_seed(tmp_path):
    resumed_everywhere(tmp_path, loaders=seeded, **WAYS["all"])


def test_with_a_loader_that_has_no_state(tmp_path):
    """Its batches are read again, and passed over."""
    batches, tests = ([(x, y) for x, y in loader] for loader in loaders())
    resumed_everywhere(tmp_path, loaders=lambda: (batches, tests), **WAYS["all"])


def test_a_training_saved_with_such_a_loader_goes_on_with_a_loader_that_has_a_state(tmp_path):
    options = {"model": lambda: net(dropout=0), "optimizer": sgd}  # a loader with a state draws a number an epoch
    batches = [(x, y) for x, y in DataLoader(data(), 6)]
    whole = finished(complete(tmp_path, **options), EPOCHS, lambda: (batches, loaders()[1]))
    other = complete(tmp_path / "other", seed=77, **options)
    resume(other, tmp_path / "step_6")
    finished(other, EPOCHS, lambda: (DataLoader(data(), 6), loaders()[1]))
    assert bits(other.model.state_dict()) == bits(whole.model.state_dict())
    assert other.step == STEPS


@pytest.mark.gpu
@pytest.mark.parametrize("capture", [False, True])
@pytest.mark.parametrize("way", ["all", "float16"])
def test_on_a_gpu_too(tmp_path, way, capture):
    resumed_everywhere(tmp_path, "gpu", capture=capture, **WAYS[way])


@pytest.mark.gpu
def test_with_the_data_on_a_gpu(tmp_path):
    from tinycnn.data.arrays import ArrayDataset

    def on_gpu():
        images, targets = (x.numpy() for x in data().tensors)
        return DataLoader(ArrayDataset(images, targets).to("gpu"), 6, shuffle=True), loaders()[1]

    resumed_everywhere(tmp_path, "gpu", on_gpu, capture=True, **WAYS["all"])


def test_early_stopping_goes_on_counting(tmp_path):
    from tests.training.test_callbacks import Given

    def make(folder):
        callbacks = [
            Given(3.0, 2.0, 2.0, 2.0, 2.0, 0.0),
            EarlyStopping("given", patience=2),
            Checkpoints(folder, keep=9),
        ]
        return trainer(callbacks=callbacks)

    whole = everything(finished(make(tmp_path), 6))
    for step in (4, 8, 12):
        other = make(tmp_path / "other")
        resume(other, tmp_path / f"step_{step}")
        assert everything(finished(other, 6)) == whole
        assert (other.epoch, other.stopping) == (5, "given has not improved for 3 epochs")
    # A training that has ended does not begin again.
    ended = make(tmp_path / "other")
    resume(ended, tmp_path / "other")
    assert [*ended.each_epoch(loaders()[0], 9)] == []


def test_more_epochs_than_it_was_to_have(tmp_path):
    """Without a schedule of a fixed length."""
    whole = everything(finished(trainer(callbacks=[Checkpoints(tmp_path / "whole")]), 4))
    finished(trainer(callbacks=[Checkpoints(tmp_path / "run")]), 2)
    longer = trainer(callbacks=[Checkpoints(tmp_path / "run")], seed=77)
    resume(longer, tmp_path / "run")
    assert everything(finished(longer, 4)) == whole


# --- signals ------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def usual_signals():
    """Those of a program in a terminal, and the same after the test as before."""
    former = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for signum, handler in former.items():
        signal.signal(signum, handler)


class Signal(Callback):
    """Raises a signal at event `at`, when it comes for the `count`th time."""

    def __init__(self, at, count, *signums, order=0):
        self.order, self.left = order, count

        def raise_signal(*_):
            self.left -= 1
            if self.left == 0:
                for signum in signums:
                    signal.raise_signal(signum)

        setattr(self, at, raise_signal)


PLACES = {
    "during a step": ("on_backward_end", 6, 6),
    "after a step": ("on_batch_end", 3, 3),
    "in the last step of an epoch": ("on_backward_end", 4, 4),
    "in the evaluation": ("on_test_batch_end", 2, 4),
    "in the last batch of the evaluation": ("on_test_batch_end", 6, 8),
    "at the end of an epoch": ("on_epoch_end", 2, 8),
    "at the beginning of an epoch": ("on_epoch_begin", 2, 5),
    "in the last step of all": ("on_backward_end", 12, 12),
    "at the end of the last epoch": ("on_epoch_end", 3, 12),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_after_the_step_and_stops(tmp_path, signum, place):
    whole = everything(finished(complete(tmp_path / "whole", more=[Callback()], **WAYS["all"]), EPOCHS))
    event, count, step = PLACES[place]
    folder = tmp_path / "run"
    former = signal.getsignal(signum)
    interrupted = complete(folder, more=[Signal(event, count, signum)], **WAYS["all"])
    interrupted.callbacks[-1].every = None
    with pytest.raises(Interrupted) as raised:
        finished(interrupted, EPOCHS)
    assert str(raised.value) == f"interrupted; {folder / f'step_{step}'} holds step {step}: resume it"
    assert raised.value.status == 128 + signum
    assert isinstance(raised.value, KeyboardInterrupt)
    assert signal.getsignal(signum) is former
    state = load_checkpoint(folder / f"step_{step}")
    other = complete(folder, seed=77, **WAYS["all"])
    other.load_state_dict({name: value for name, value in state.items() if name != "settings"})
    assert everything(finished(other, EPOCHS)) == whole


def test_the_same_trainer_goes_on_after_it(tmp_path):
    whole = everything(finished(complete(tmp_path / "a", more=[Callback()], **WAYS["all"]), EPOCHS))[0]["model"]
    interrupted = complete(tmp_path / "b", more=[Signal("on_backward_end", 6, signal.SIGINT)], **WAYS["all"])
    loader, test_loader = loaders()
    with pytest.raises(Interrupted):
        [*interrupted.each_epoch(loader, EPOCHS, test_loader)]
    assert len([*interrupted.each_epoch(loader, EPOCHS, test_loader)]) == 2
    assert interrupted.step == STEPS
    assert everything(interrupted)[0]["model"] == whole


def test_two_signals_do_not_wait(tmp_path):
    folder = tmp_path / "run"
    twice = complete(folder, more=[Signal("on_backward_end", 6, signal.SIGINT, signal.SIGINT)])
    with pytest.raises(Interrupted, match="^interrupted twice: nothing more was saved$"):
        finished(twice, EPOCHS)
    assert not (folder / "step_6").exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_while_a_checkpoint_is_written(tmp_path, monkeypatch):
    """It is written, and the next step's, too."""
    from tinycnn.training import checkpoints

    real = checkpoints.save_checkpoint

    def interrupted(path, state):
        if path.name == "step_6":
            signal.raise_signal(signal.SIGTERM)
        real(path, state)

    monkeypatch.setattr(checkpoints, "save_checkpoint", interrupted)
    with pytest.raises(Interrupted, match="step_6 holds step 6: resume it$"):
        finished(complete(tmp_path / "run"), EPOCHS)
    assert (tmp_path / "run" / "latest").read_text() == "step_6\n"
    assert load_checkpoint(tmp_path / "run" / "step_6")["step"] == 6


def test_two_signals_while_a_checkpoint_is_written_leave_the_one_before(tmp_path, monkeypatch):
    from tests.crash import watch
    from tinycnn import _files

    folder = tmp_path / "run"
    training = complete(folder, more=[Each(lambda trainer: spoil(trainer.step))])

    def spoil(step):
        if step == 6:
            watched = watch(monkeypatch)
            watched.at, watched.instead = 4, lambda name: (signal.raise_signal(2), signal.raise_signal(2))

    with pytest.raises(Interrupted, match="^interrupted twice"):
        finished(training, EPOCHS)
    monkeypatch.setattr(_files, "os", os)
    assert sorted(path.name for path in folder.iterdir()) == ["best", "latest", *(f"step_{i}" for i in range(1, 6))]
    assert (folder / "latest").read_text() == "step_5\n"


@pytest.mark.parametrize("event", ["on_train_end", "on_exit"])
def test_a_signal_after_the_last_step_is_not_lost(tmp_path, event):
    late = complete(tmp_path / "run", more=[Signal(event, 1, signal.SIGINT)])
    with pytest.raises(KeyboardInterrupt):
        finished(late, EPOCHS)
    assert late.step == STEPS


def test_a_signal_between_two_epochs(tmp_path):
    loader, test_loader = loaders()
    fit = complete(tmp_path / "run").each_epoch(loader, EPOCHS, test_loader)
    next(fit)
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(Interrupted, match="step_5 holds step 5: resume it$"):
        next(fit)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_that_is_ignored_stays_so(tmp_path):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ignoring = complete(tmp_path / "run", more=[Signal("on_backward_end", 6, signal.SIGINT)])
    assert finished(ignoring, EPOCHS).step == STEPS
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_two_policies_give_the_signals_back(tmp_path):
    twice = trainer(callbacks=[Checkpoints(tmp_path / "a", every=1), Checkpoints(tmp_path / "b")])
    finished(twice, 1)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_after_an_exception_the_signals_are_given_back(tmp_path):
    def fail(trainer):
        raise RuntimeError("a bug")

    for event in ("on_train_begin", "on_batch_end", "on_exit"):
        failing = trainer(callbacks=[Each(fail, event), Checkpoints(tmp_path)])
        with pytest.raises(RuntimeError, match="a bug"):
            finished(failing, 1)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_in_another_thread(tmp_path):
    """Where signals cannot be handled."""
    ended = []
    thread = threading.Thread(target=lambda: ended.append(finished(complete(tmp_path), EPOCHS).step))
    thread.start()
    thread.join()
    assert ended == [STEPS]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_where_nothing_can_be_saved_the_message_says_so(tmp_path, monkeypatch):
    from tinycnn.training import checkpoints

    def full(path, state):
        raise OSError(f"cannot write {path}: No space left on device")

    folder = tmp_path / "run"
    interrupted = complete(folder, more=[Signal("on_backward_end", 2, signal.SIGINT)])
    interrupted.callbacks[-1].every = None
    monkeypatch.setattr(checkpoints, "save_checkpoint", full)
    with pytest.raises(Interrupted) as raised:
        finished(interrupted, EPOCHS)
    expected = f"interrupted; no checkpoint of step 2: cannot write {folder / 'step_2'}: No space left on device"
    assert str(raised.value) == expected


PROGRAM = """
import sys
from tests.training.small import finished, trainer
from tests.training.test_callbacks import Each
from tinycnn.training import Checkpoints, Interrupted
callbacks = [Each(lambda trainer: print(trainer.step, flush=True)), Checkpoints(sys.argv[1])]
try:
    finished(trainer(callbacks=callbacks), 100_000)
except Interrupted as stop:
    print(stop)
    sys.exit(stop.status)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals for another process")
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_from_outside(tmp_path, signum):
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, tmp_path], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    for line in program.stdout:
        if int(line) == 10:
            break
    program.send_signal(signum)
    *_, last = program.communicate(timeout=60)[0].splitlines()
    step = int(re.search(r"step_(\d+)", last)[1])
    hint = "resume(trainer, folder) goes on with it"
    expected = f"interrupted; {tmp_path / f'step_{step}'} holds step {step}: {hint}"
    assert (program.returncode, last) == (128 + signum, expected)
    assert load_checkpoint(tmp_path / f"step_{step}")["step"] == step
