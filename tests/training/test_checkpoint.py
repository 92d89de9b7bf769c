"""Checkpoints: what they hold comes back bit for bit, and what is not whole is refused in one line."""

import contextlib
import errno
import hashlib
import itertools
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tests.crash import killed_at, watch
from tests.training.small import BATCHES, bits, everything, finished, loaders, net, sgd, shifted, trainer
from tinycnn import nn, optim, tensor
from tinycnn._files import remove_folder, write_folder
from tinycnn.data import DataLoader, TensorDataset
from tinycnn.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, OneCycleLR
from tinycnn.training import (
    EMA,
    CheckpointError,
    Checkpoints,
    ClipGradients,
    EarlyStopping,
    GradientNorms,
    checkpoints,
    last_checkpoint,
    load_checkpoint,
    resume,
    save_checkpoint,
)
from tinycnn.training.state import copied

REPOSITORY = Path(__file__).resolve().parents[2]
FILES = ["manifest.json", "model.safetensors", "state.json", "state.safetensors"]


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


# --- round trips --------------------------------------------------------------------------------------------

VALUES = {
    "numbers": {"int": 3, "large": 2**130, "negative": -1, "float": 0.1, "zero": -0.0, "true": True, "none": None},
    "not finite": [math.inf, -math.inf, math.nan],
    "strings": ["", "ü\n\"\\\ud800", "$tensor"],
    "tuples": ((1, (2.0, "3")), (), [(), []]),
    "keys": {0: "a", 1: {2: "b"}, "0": "c", None: 1, (1, "x"): 2, 1.5: 3, math.inf: 4},
    "keys that look like marks": {"$tensor": "a", "$x": 1, "$tuple": [1], "b": {"$float": "nan"}, "c": {"$items": []}},
    "empty": [{}, [], (), "", {"a": {}}],
    "tensors": {
        "scalar": tensor(1.5), "bool": tensor([True, False]), "empty": tinycnn.zeros(0, 3), "int": tensor([[-1, 2]]),
        "uint64": tensor(np.array([2**64 - 1, 0], np.uint64)), "half": tensor([1.5, math.inf]).to("float16"),
        "nan": tensor([math.nan, -0.0]), "float64": tensor([0.1], dtype=tinycnn.float64),
        "other order": tinycnn.arange(6).reshape(2, 3).T,
    },
    "paths that are the same": {"a": {"b": tensor(1), "b.c": tensor(2)}, "a.b": tensor(3), 0: tensor(4),
                                "0": tensor(5), "a.b.c": [tensor(6)]},
    "in tuples": [(tensor(1), {"x": (tensor(2),)}), {(0, 1): tensor(3)}],
}  # fmt: skip


@pytest.mark.parametrize("what", VALUES)
def test_each_kind_of_value_comes_back(tmp_path, what):
    state = {"model": {"a.weight": tensor([1.0, 2.0])}, "step": 7, "value": VALUES[what]}
    save_checkpoint(tmp_path / "step_7", state)
    found = load_checkpoint(tmp_path / "step_7")
    assert bits(found) == bits(state)
    assert repr(structure(found)) == repr(structure(state))
    assert names_in(tmp_path / "step_7") == FILES
    assert [*tinycnn.load(tmp_path / "step_7" / "model.safetensors")] == ["a.weight"]


def structure(state):
    """Types and values; of Tensors the bytes."""
    if isinstance(state, dict):
        return {key: structure(value) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(map(structure, state))
    if isinstance(state, tinycnn.Tensor):
        return str(state.dtype), tuple(state.shape), state.device, state.numpy().tobytes()
    return type(state), state


def test_bfloat16_comes_back(tmp_path):
    state = {"model": {}, "x": tensor([1.5, math.nan, -0.0]).to("bfloat16")}
    save_checkpoint(tmp_path / "new", state)
    assert bits(load_checkpoint(tmp_path / "new")) == bits(state)


@pytest.mark.gpu
def test_random_states_of_a_gpu_come_back(tmp_path):
    training = trainer("gpu")
    loader, test_loader = loaders()
    next(training.each_epoch(loader, 1, test_loader))
    state = training.state_dict()
    assert state["random"]["devices"]["cuda:0"].dtype == np.uint64
    save_checkpoint(tmp_path / "step_4", state)
    before = bits(state["random"])
    drawn = tinycnn.rand(5, device="gpu").cpu().numpy(), tinycnn.rand(5).numpy()
    resumed = trainer("gpu", seed=9)
    resume(resumed, tmp_path)
    assert bits(resumed.state_dict()["random"]) == before
    np.testing.assert_array_equal(tinycnn.rand(5, device="gpu").cpu().numpy(), drawn[0])
    np.testing.assert_array_equal(tinycnn.rand(5).numpy(), drawn[1])


def test_a_checkpoint_of_a_gpu_is_resumed_without_one(tmp_path):
    state = finished(trainer(), 1).state_dict()
    state["random"]["devices"]["cuda:7"] = tensor(np.array([1, 2], np.uint64))
    save_checkpoint(tmp_path / "step_4", state)
    resumed = trainer(seed=9)
    resume(resumed, tmp_path)
    assert resumed.step == BATCHES


def test_python_s_and_numpy_s_random_numbers_go_on_too(tmp_path):
    import random

    save_checkpoint(tmp_path / "step_0", trainer().state_dict())
    np.random.standard_normal()  # noqa: NPY002  # half of a pair
    save_checkpoint(tmp_path / "step_1", trainer().state_dict())
    drawn = random.random(), random.gauss(0, 1), np.random.standard_normal(3).tolist()  # noqa: NPY002
    resume(trainer(seed=9), tmp_path / "step_1")
    assert (random.random(), random.gauss(0, 1), np.random.standard_normal(3).tolist()) == drawn  # noqa: NPY002


@pytest.mark.parametrize("value", [np.float32(1.5), np.array([1.0]), {1, 2}, 1j, object(), b"x"], ids=type)
def test_other_values_are_refused_with_their_place(tmp_path, value):
    expected = f"expected numbers, strings, None, Tensors, .*{type(value).__name__}.* as history.0.mine$"
    with pytest.raises(TypeError, match=expected) as raised:
        save_checkpoint(tmp_path / "step_1", {"model": {}, "history": [{"mine": value}]})
    assert "\n" not in str(raised.value)
    assert names_in(tmp_path) == []


# --- what is not whole --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder with two checkpoints of a small training with all that has a state."""
    folder = tmp_path_factory.mktemp("run") / "checkpoints"
    training = complete(callbacks=[Checkpoints(folder)])
    finished(training, 2)
    return folder


def complete(callbacks=(), **options):
    common = {"scheduler": lambda optimizer: OneCycleLR(optimizer, 0.05, total_steps=3 * BATCHES), "augment": shifted}
    kinds = [EMA(0.9), ClipGradients(1.0), EarlyStopping(patience=3), GradientNorms(1), *callbacks]
    return trainer(callbacks=kinds, **{**common, **options})


def refusal(folder, step=8, training=None):
    """The line of what refuses the checkpoint; nothing may have changed."""
    training = training or complete([Checkpoints(folder)], seed=11)
    before = bits(copied(training.state_dict()))
    with pytest.raises(CheckpointError) as raised:
        resume(training, folder / f"step_{step}")
    assert bits(training.state_dict()) == before
    message = str(raised.value)
    assert "\n" not in message
    assert message.startswith(f"{folder}/step_{step}")
    return message


def spoilt(whole, tmp_path):
    folder = tmp_path / "checkpoints"
    shutil.copytree(whole, folder)
    return folder


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_refused(whole, tmp_path, name):
    folder = spoilt(whole, tmp_path)
    path = folder / "step_8" / name
    content = path.read_bytes()
    lengths = sorted({*range(min(len(content), 40)), *range(0, len(content), -(-len(content) // 20)),
                      len(content) - 1})  # fmt: skip
    training = complete([Checkpoints(folder)], seed=11)
    for length in lengths:
        path.write_bytes(content[:length])
        message = refusal(folder, training=training)
        assert message.startswith(f"{path}: ")
        assert message.endswith(f"; the one before it is whole: {folder / 'step_4'}")
        if name != "manifest.json":
            assert f"expected {len(content)} bytes, got {length}" in message
    path.write_bytes(content + b" ")
    if name != "manifest.json":
        assert f"expected {len(content)} bytes, got {len(content) + 1}" in refusal(folder, training=training)


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_byte_is_refused(whole, tmp_path, name):
    folder = spoilt(whole, tmp_path)
    path = folder / "step_8" / name
    content = bytearray(path.read_bytes())
    whole_state = bits(load_checkpoint(folder / "step_8"))
    places = range(len(content)) if name == "manifest.json" else range(0, len(content), max(len(content) // 60, 1))
    for i in places:
        content[i] ^= 0x10
        path.write_bytes(content)
        try:
            found, message = bits(load_checkpoint(folder / "step_8")), None
        except CheckpointError as error:
            found, message = whole_state, str(error)
        # Of the manifest some bytes say nothing: blanks, the version of the library.
        assert message is not None or name == "manifest.json"
        assert found == whole_state
        assert message is None or (message.startswith(str(folder / "step_8")) and "\n" not in message)
        content[i] ^= 0x10


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("instead", ["nothing", "folder", "FIFO"])
def test_a_file_that_is_none_is_refused(whole, tmp_path, name, instead):
    folder = spoilt(whole, tmp_path)
    path = folder / "step_8" / name
    path.unlink()
    if instead == "folder":
        path.mkdir()
    elif instead == "FIFO":
        os.mkfifo(path)
    what = instead if instead == "nothing" else f"a {instead}"
    assert refusal(folder) == (
        f"{path}: expected a file of a checkpoint, got {what}; the one before it is whole: {folder / 'step_4'}"
    )


def test_the_one_before_is_named_only_if_it_is_whole(whole, tmp_path):
    folder = spoilt(whole, tmp_path)
    shutil.copytree(folder / "step_4", folder / "step_2")
    for step in (4, 8):
        (folder / f"step_{step}" / "state.json").write_bytes(b"{}")
        assert refusal(folder, step).endswith(f"; the one before it is whole: {folder / 'step_2'}")  # not a later one
    assert refusal(folder).endswith(f"; the one before it is whole: {folder / 'step_2'}")
    shutil.rmtree(folder / "step_2")
    assert "the one before" not in refusal(folder)


def rewritten(folder, name, content):
    """Replaces a file of a checkpoint, with the right sum in the manifest."""
    (folder / name).write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["files"][name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "content",
    [b"[]", b"3", b'"text"', b"{}", b'{"$tensor": []}', b'{"a": {"$tensor": "nowhere"}}', b'{"a": {"$tuple": 3}}',
     b'{"a": {"$items": 3}}', b'{"a": {"$items": [[{}, 1]]}}', b'{"a": {"$float": "x"}}', b'{"model": 3}',
     b'{"a":' * 5000 + b"1" + b"}" * 5000, b"[" * 100_000],
    ids=range(13),
)  # fmt: skip
def test_foreign_json_with_the_right_sum_is_refused(whole, tmp_path, content):
    folder = spoilt(whole, tmp_path)
    rewritten(folder / "step_8", "state.json", content)
    refusal(folder)


@pytest.mark.parametrize("content", [b"[]", b"3", b"{}", b'{"format": 1}', b'{"format": 1, "files": []}',
                                     b'{"format": 1, "files": {"model.safetensors": 3}}', b"\xff"])  # fmt: skip
def test_a_foreign_manifest_is_refused(whole, tmp_path, content):
    folder = spoilt(whole, tmp_path)
    (folder / "step_8" / "manifest.json").write_bytes(content)
    refusal(folder)


def test_another_format_is_refused(whole, tmp_path):
    folder = spoilt(whole, tmp_path)
    path = folder / "step_8" / "manifest.json"
    manifest = json.loads(path.read_bytes())
    path.write_text(json.dumps({**manifest, "format": 2, "tinycnn": "9.0"}))
    assert f"{path}: expected a checkpoint of format 1, got 2, written by tinycnn '9.0'; this is" in refusal(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "state.safetensors"])
def test_what_is_no_safetensors_file_is_refused(whole, tmp_path, name):
    folder = spoilt(whole, tmp_path)
    tinycnn.save({"x": tensor([1.0])}, tmp_path / "x.pt")
    for content in (b"", b"junk", b"\xff" * 100, (tmp_path / "x.pt").read_bytes()):
        rewritten(folder / "step_8", name, content)
        assert refusal(folder).startswith(f"{folder / 'step_8' / name}: no readable safetensors file: ")


def reshaped(state, path, value):
    """A copy of the state with another value at a path."""
    state = copied(state)
    *holders, last = path
    place = state
    for key in holders:
        place = place[key]
    place[last] = value
    return state


@pytest.mark.parametrize(
    "path, value",
    [
        (("model", "0.weight"), tinycnn.zeros(3, 1, 2, 2)),
        (("model", "9.weight"), tinycnn.zeros(3)),
        (("model",), {}),
        (("optimizer", "state", 0, "exp_avg"), tinycnn.zeros(5)),
        (("optimizer", "state", 0, "step"), "three"),
        (("optimizer", "param_groups"), []),
        (("optimizer", "param_groups", 0, "lr"), -1.0),
        (("scheduler",), {"last_epoch": 3}),
        (("scheduler",), None),
        (("callbacks",), []),
        (("callbacks",), 3),
        (("kinds",), {}),
        (("totals",), {}),
        (("epoch",), "1"),
        (("step",), -1),
        (("random",), {}),
        (("random", "devices", "cpu"), {"bit_generator": "PCG64"}),
        (("random", "python"), [3, tinycnn.zeros(2), None]),
        (("random", "numpy"), [tinycnn.zeros(3)]),
        (("history",), None),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_a_state_that_does_not_fit_is_refused_and_nothing_has_changed(whole, tmp_path, path, value):
    folder = spoilt(whole, tmp_path)
    save_checkpoint(folder / "step_8", reshaped(load_checkpoint(folder / "step_8"), path, value))
    assert "not a state of this training: " in refusal(folder)


OTHERS = {
    "model": {"model": lambda: nn.Sequential(nn.Flatten(), nn.Linear(36, 4))},
    "wider model": {"model": lambda: nn.Sequential(*[*net()][:-1], nn.Linear(27, 5))},
    "SGD": {"optimizer": sgd},
    "AdamW": {"optimizer": lambda parameters: optim.AdamW(parameters, lr=0.01)},
    "NAdam": {"optimizer": lambda parameters: optim.NAdam(parameters, lr=0.01)},
    "no scheduler": {"scheduler": None},
    "ExponentialLR": {"scheduler": lambda optimizer: ExponentialLR(optimizer, 0.9)},
    "CosineAnnealingLR": {"scheduler": lambda optimizer: CosineAnnealingLR(optimizer, 12)},
    "float16": {"precision": "float16"},
    "bfloat16": {"precision": "bfloat16"},
    "another callback": {"more": [GradientNorms(3)]},
}


@pytest.mark.parametrize("what", OTHERS)
def test_a_checkpoint_of_another_training_is_refused(whole, what):
    options = dict(OTHERS[what])
    other = complete([Checkpoints(whole), *options.pop("more", [])], seed=11, **options)
    assert "not a state of this training: " in refusal(whole, training=other)


def test_fewer_callbacks_are_refused(whole):
    assert "with callbacks ['Checkpoints'], got ['EMA'," in refusal(whole, training=trainer(
        scheduler=lambda optimizer: OneCycleLR(optimizer, 0.05, total_steps=3 * BATCHES),
        callbacks=[Checkpoints(whole)],
    ))  # fmt: skip


def test_another_loader_is_refused_by_fit(whole):
    for loader in (DataLoader(TensorDataset(tinycnn.zeros(9, 1, 6, 6), tinycnn.zeros(9)), 6, shuffle=True), []):
        resumed = complete([Checkpoints(whole)])
        resume(resumed, whole)
        with pytest.raises(
            ValueError, match="expected (the state of a loader with items 9|a loader with load_state_d)"
        ):
            next(resumed.each_epoch(loader, 3))


def test_the_same_training_goes_on(whole):
    """What the tests above refuse is refused for what is wrong with it."""
    resumed = complete([Checkpoints(whole)], seed=11)
    assert resume(resumed, whole.parent) == whole / "step_8"
    assert (resumed.epoch, resumed.step) == (2, 8)


# --- the last one -------------------------------------------------------------------------------------------


def folder_of(tmp_path, *steps, latest=None):
    for step in steps:
        save_checkpoint(tmp_path / f"step_{step}", {"model": {}, "step": step})
    if latest is not None:
        (tmp_path / "latest").write_bytes(latest)
    return tmp_path


def test_the_last_one_is_found(tmp_path):
    folder = folder_of(tmp_path, 9, 10, 100, latest=b"step_10\n")
    assert last_checkpoint(folder) == folder / "step_10"
    assert last_checkpoint(folder / "step_9") == folder / "step_9"
    (folder / "latest").unlink()
    assert last_checkpoint(str(folder)) == folder / "step_100"
    (folder / "latest").mkdir()
    assert last_checkpoint(folder) == folder / "step_100"


def test_latest_that_names_a_missing_folder(tmp_path):
    assert last_checkpoint(folder_of(tmp_path, 3, 7, latest=b"step_8\n")) == tmp_path / "step_7"


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"step_", b"../step_3", b"step_3\nstep_4", b"step_3 x"])
def test_latest_that_is_damaged(tmp_path, content):
    folder = folder_of(tmp_path, 3, latest=content)
    with pytest.raises(CheckpointError) as raised:
        last_checkpoint(folder)
    assert str(raised.value).startswith(f"{folder / 'latest'}: expected the name of a checkpoint, got ")
    assert "\n" not in str(raised.value)


def test_what_is_no_checkpoint_is_passed_over(tmp_path):
    folder = folder_of(tmp_path, 3)
    (folder / "step_9").write_text("a file")
    (folder / "step_8.0123456789ab.part").mkdir()
    (folder / "step_x").mkdir()
    assert last_checkpoint(folder) == folder / "step_3"


@pytest.mark.parametrize("made", [False, True])
def test_none_at_all(tmp_path, made):
    folder = tmp_path / "runs"
    if made:
        folder.mkdir()
    with pytest.raises(FileNotFoundError, match=f"^{folder}: no checkpoint there$"):
        resume(trainer(), folder)
    with pytest.raises(FileNotFoundError, match="^.*step_3: no such checkpoint$"):
        resume(trainer(), tmp_path / "step_3")


# --- which stay ---------------------------------------------------------------------------------------------


def steps_in(folder):
    return sorted(int(path.name.removeprefix("step_")) for path in folder.glob("step_*"))


@pytest.mark.parametrize("keep", [1, 2, 3, 10])
def test_the_last_ones_stay(tmp_path, keep):
    finished(trainer(callbacks=[Checkpoints(tmp_path, every=1, keep=keep)]), 3)
    assert steps_in(tmp_path) == [*range(1, 13)][-keep:]
    assert (tmp_path / "latest").read_text() == "step_12\n"
    assert not (tmp_path / "best").exists()


@pytest.mark.parametrize("mode, best", [("max", 2), ("min", 4)])
def test_the_best_one_stays_too(tmp_path, mode, best):
    from tests.training.test_callbacks import Given

    values = 1.0, 5.0, 3.0, -2.0, math.nan, 5.0, -2.0
    policy = Checkpoints(tmp_path, keep=1, monitor="given", mode=mode)
    finished(trainer(callbacks=[Given(*values), policy]), 7)
    assert steps_in(tmp_path) == [best * BATCHES, 7 * BATCHES]
    assert (tmp_path / "best").read_text() == f"step_{best * BATCHES}\n"
    assert load_checkpoint(tmp_path / f"step_{best * BATCHES}")["epoch"] == best


def test_a_future_that_is_not_continued_is_removed(tmp_path):
    from tests.training.test_callbacks import Each, Given

    def make(*values):
        return trainer(callbacks=[Given(*values), Checkpoints(tmp_path, keep=9, monitor="given")])

    finished(make(1.0, 2.0, 3.0))
    assert (tmp_path / "best").read_text() == "step_12\n"
    for name in ("step_3.0123456789ab.part", "latest.0123456789ab.part", "best.0123456789ab.part"):
        (tmp_path / name).mkdir() if name.startswith("step") else (tmp_path / name).touch()
    (tmp_path / "notes.part").touch()
    resumed = make(1.0, 2.0, 0.0)
    resume(resumed, tmp_path / "step_8")
    begun = []
    resumed.callbacks.append(Each(lambda trainer: begun.append(steps_in(tmp_path)), "on_epoch_begin"))
    finished(resumed)
    assert begun == [[4, 8]]
    assert steps_in(tmp_path) == [4, 8, 12]
    assert (tmp_path / "best").read_text() == "step_8\n"
    assert [path.name for path in tmp_path.glob("*.part")] == ["notes.part"]


def test_a_new_training_does_not_remove_the_checkpoints_of_another(tmp_path):
    finished(trainer(callbacks=[Checkpoints(tmp_path, monitor="test_accuracy")]), 2)
    before = names_in(tmp_path)
    last = max(int(name[5:]) for name in before if name.startswith("step_"))
    with pytest.raises(FileExistsError, match=rf"there are checkpoints of another training, step_{last}: resume"):
        finished(trainer(callbacks=[Checkpoints(tmp_path, every=1), StopAt(2)]))
    assert names_in(tmp_path) == before


def test_a_best_one_that_cannot_be_written_does_not_cost_the_one_before(tmp_path, monkeypatch):
    trained = trainer(callbacks=[Checkpoints(tmp_path, keep=1, monitor="train_loss", mode="min")])
    epochs = trained.each_epoch(loaders()[0], 4)
    next(epochs)
    best = (tmp_path / "best").read_text()
    with monkeypatch.context() as full:
        full.setattr(checkpoints, "save_checkpoint", failing)
        with pytest.warns(RuntimeWarning, match="no checkpoint of step"):
            next(epochs)
    assert (tmp_path / "best").read_text() == best
    assert (tmp_path / best.strip()).is_dir()
    next(epochs)
    assert (tmp_path / (tmp_path / "best").read_text().strip()).is_dir()


def failing(*_):
    raise OSError("No space left on device")


def test_the_only_checkpoint_is_brought_back_after_a_kill_between_two_names(tmp_path):
    trained = trainer(callbacks=[Checkpoints(tmp_path, keep=1)])
    finished(trained, 1)
    (folder,) = tmp_path.glob("step_*")
    folder.rename(f"{folder}.0123456789ab.part")  # as the writer of a second one with this name does first
    assert last_checkpoint(tmp_path) == folder
    assert load_checkpoint(folder)["step"] == trained.step


def StopAt(step):
    from tests.training.test_callbacks import Each

    def stop(trainer):
        if trainer.step == step:
            raise KeyboardInterrupt

    return Each(stop, order=3)


def test_a_figure_that_there_is_not(tmp_path):
    with pytest.raises(ValueError, match="^Checkpoints: expected monitor as one of epoch, .*, got 'accuracy'$"):
        finished(trainer(callbacks=[Checkpoints(tmp_path, monitor="accuracy")]))


def test_settings_are_stored(tmp_path):
    settings = {"a": [1, {"b": None}]}
    finished(trainer(callbacks=[Checkpoints(tmp_path, settings=settings)]), 1)
    assert load_checkpoint(last_checkpoint(tmp_path))["settings"] == settings


@pytest.mark.parametrize(
    "options, message",
    [({"every": 0}, "every of at least 1"), ({"keep": 0}, "keep of at least 1"), ({"mode": "best"}, "mode as 'min' or"),
     ({"folder": 3}, "folder as a str or os.PathLike")],
)  # fmt: skip
def test_wrong_options(options, message):
    with pytest.raises((TypeError, ValueError), match=f"^Checkpoints: expected {message}"):
        Checkpoints(**{"folder": "x", **options})


# --- failures and kills -------------------------------------------------------------------------------------


def write(folder, content):
    write_folder(folder, {"a": [content], "b": [b"", content, b"more"]})


def content_of(folder):
    """What a folder holds: one of the contents written to it, whole; None if it is not there."""
    if not folder.exists():
        return None
    assert names_in(folder) == ["a", "b"]
    content = (folder / "a").read_bytes()
    assert (folder / "b").read_bytes() == content + b"more"
    return content


FAILURES = {errno.ENOSPC: "No space left on device", errno.EIO: "Input/output error"}


@pytest.mark.parametrize("code", FAILURES, ids=errno.errorcode.get)
@pytest.mark.parametrize("former", [None, b"former"])
def test_a_failure_at_any_system_call_leaves_the_former_folder(tmp_path, monkeypatch, code, former):
    def fail(name):
        raise OSError(code, os.strerror(code))

    folder = tmp_path / "folder"
    for fails in itertools.count():
        shutil.rmtree(folder, ignore_errors=True)
        if former is not None:
            write(folder, former)
        with monkeypatch.context() as patch:
            watched = watch(patch, fails, fail)
            try:
                write(folder, b"new")
                refused = None
            except OSError as error:
                refused = str(error)
        assert names_in(tmp_path) == ["folder"] * folder.exists()
        if fails >= len(watched.calls):
            break
        if watched.calls[fails] == "stat":  # what cannot be seen is nothing
            assert (refused, content_of(folder)) == (None, b"new")
            continue
        # Only the sync of the folder above comes too late for the former content; the new one is whole then.
        is_renamed = watched.calls[:fails].count("rename") == 2
        assert content_of(folder) == (b"new" if is_renamed else former)
        assert refused == f"cannot write {folder}: {FAILURES[code]}"
    assert content_of(folder) == b"new"
    assert fails > 12


@pytest.mark.parametrize("call", ["rename", "mkdir", "open", "write", "fsync"])
def test_an_interruption_leaves_the_former_folder(tmp_path, monkeypatch, call):
    def interrupt(name):
        raise KeyboardInterrupt

    folder = tmp_path / "folder"
    write(folder, b"former")
    with monkeypatch.context() as patch:
        watched = watch(patch)
        write(folder, b"former")
    places = [i for i, name in enumerate(watched.calls) if name == call]
    for place in places[: -1 if call in ("open", "fsync") else None]:  # the last ones come after the renaming
        with monkeypatch.context() as patch:
            watch(patch, place, interrupt)
            with pytest.raises(KeyboardInterrupt):
                write(folder, b"new")
        assert (names_in(tmp_path), content_of(folder)) == (["folder"], b"former")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_killed_at_any_system_call_the_folder_is_whole_or_not_there(tmp_path):
    folder = tmp_path / "folder"
    seen = []
    for dies in itertools.count():
        for left in tmp_path.iterdir():
            shutil.rmtree(left)
        write(folder, b"former")
        status = killed_at(dies, lambda: write(folder, b"new"))
        seen.append(content_of(folder))
        assert all(path.name.endswith(".part") for path in tmp_path.iterdir() if path != folder)
        if status == 0:
            break
    changes = [content for i, content in enumerate(seen) if i == 0 or content != seen[i - 1]]
    assert changes == [b"former", None, b"new"]
    assert seen.count(None) == 1


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_killed_at_any_system_call_a_training_can_be_resumed(tmp_path):
    """`latest`, and what `last_checkpoint` finds, is always whole."""
    folder = tmp_path / "run"

    def train():
        finished(trainer(callbacks=[Checkpoints(folder, every=2, keep=2, monitor="test_accuracy")]), 2)

    expected = everything(trained(folder, 2, keep=2))
    reached = set()
    for dies in itertools.count(step=3):
        shutil.rmtree(folder, ignore_errors=True)
        status = killed_at(dies, train)
        resumed = trainer(callbacks=[Checkpoints(folder, every=2, keep=2, monitor="test_accuracy")])
        with contextlib.suppress(FileNotFoundError):
            resume(resumed, folder)
        reached.add(resumed.step)
        assert everything(finished(resumed, 2)) == expected
        assert [name for name in names_in(folder) if name.endswith(".part")] == []
        if status == 0:
            break
    assert reached == {0, 2, 4, 6, 8}


def trained(folder, epochs, **options):
    return finished(trainer(callbacks=[Checkpoints(folder, every=2, monitor="test_accuracy", **options)]), epochs)


def test_what_is_no_folder_is_not_replaced(tmp_path):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(OSError, match=f"^cannot write {tmp_path / 'file'}: it is a file$"):
        write(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_text() == "precious"
    assert names_in(tmp_path) == ["file"]


def test_removing_a_folder(tmp_path):
    write(tmp_path / "folder", b"x")
    remove_folder(tmp_path / "folder")
    remove_folder(tmp_path / "folder")
    assert names_in(tmp_path) == []


# --- where nothing can be written ---------------------------------------------------------------------------

PROGRAM = """
import os, resource, signal, sys, warnings
from pathlib import Path
from tests.training.small import Trainer, everything, finished, trainer
from tests.training.test_callbacks import Each
from tinycnn.training import Checkpoints, JsonLines

folder, how, uid = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
folder.mkdir()
if uid:
    os.chown(folder, uid, uid)
    os.setuid(uid)

def spoil(trainer):
    if trainer.step != 6:
        return
    if how == "permission":
        for inner in (folder / "checkpoints", folder):
            inner.chmod(0o500)
    else:  # a disk with 100 bytes left
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

warnings.showwarning = lambda message, *_: print(message)
callbacks = [Each(spoil), JsonLines(folder / "metrics.jsonl"), Checkpoints(folder / "checkpoints", keep=9)]
training = finished(trainer(callbacks=callbacks), 3)
print(training.step)
"""


@pytest.mark.parametrize("how, reason", [("permission", "Permission denied"), ("full", "File too large")])
def test_where_nothing_can_be_written_the_training_goes_on(tmp_path_factory, how, reason):
    uid = 65534 if os.getuid() == 0 else 0
    top = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
    try:
        top.chmod(0o777)
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, top / "run", how, str(uid if how == "permission" else 0)],
            cwd=top, env=environment, capture_output=True, text=True,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        *said, steps = done.stdout.splitlines()
        assert steps == "12"
        assert said[0] == f"cannot write {top / 'run' / 'metrics.jsonl'}: {reason}"  # the same one is shown once
        for line, step in zip(said[1:], (8, 12), strict=True):
            path = top / "run" / "checkpoints" / f"step_{step}"
            assert line == f"no checkpoint of step {step}: cannot write {path}: {reason}"
        assert names_in(top / "run" / "checkpoints") == ["latest", "step_4"]
        assert load_checkpoint(top / "run" / "checkpoints" / "step_4")["step"] == 4
    finally:
        for path in top.rglob("*"):
            path.chmod(0o700)
        shutil.rmtree(top)


def test_adam_s_state_is_there(whole):
    """The states above hold what they should."""
    state = load_checkpoint(whole / "step_8")
    assert set(state["optimizer"]["state"][0]) >= {"step", "exp_avg", "exp_avg_sq"}
    assert state["callbacks"][0].keys() >= {"n_averaged"}
    assert state["kinds"]["callbacks"][0] == "EMA"
