"""`tinycnn train`: any net by its settings, from the beginning and resumed, and what it refuses before it writes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tinycnn
from tinycnn._extras import how_to_install
from tinycnn.commands.train import main

SETTINGS = """
dataset = "folder"
image_size = 16
model = "resnet20"
epochs = 2
batch_size = 8
accumulate = 2
clip_norm = 5.0
ema_decay = 0.5
patience = 3
label_smoothing = 0.1

[augmentation]
crop = 2
flip = true
degrees = 5.0
scale = [0.9, 1.1]
cutout = 4
mixup = 0.2

[optimizer]
name = "lion"
lr = 1e-3

[scheduler]
name = "cosine"
"""


@pytest.fixture(autouse=True)
def pictures(tmp_path, monkeypatch):
    """A folder with red and blue pictures of different sizes, in which the test runs."""
    generator = np.random.default_rng(0)
    for part, count in (("train", 12), ("test", 4)):
        for channel, name in ((0, "red"), (2, "blue")):
            (tmp_path / "pictures" / part / name).mkdir(parents=True)
            for i in range(count):
                pixels = generator.integers(0, 100, (*generator.integers(16, 30, 2), 3)).astype(np.uint8)
                pixels[..., channel] += 150
                Image.fromarray(pixels).save(tmp_path / "pictures" / part / name / f"{i}.png")
    (tmp_path / "settings.toml").write_text(SETTINGS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)


def change(old, new):
    assert old in SETTINGS
    Path("settings.toml").write_text(SETTINGS.replace(old, new), encoding="utf-8")


def status_of(arguments):
    """The exit status, also where argparse gives it."""
    try:
        return main(arguments)
    except SystemExit as stop:
        return stop.code


def metrics(folder):
    return [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]


TRAIN = ["settings.toml", "--data-root", "pictures"]


def test_every_setting_is_used_and_a_resumed_run_ends_the_same(capsys):
    assert main([*TRAIN, "--checkpoint-every", "2", "--tensorboard"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("ImageFolder: 24 training and 8 test images; resnet20, 269,202 parameters, on cpu in float32")
    header, *epochs = metrics("runs/settings")
    assert [figures["epoch"] for figures in epochs] == [1, 2]
    assert header["settings"]["augmentation"]["scale"] == [0.9, 1.1]
    assert any(Path("runs/settings/tensorboard").glob("events.out.tfevents.*"))

    whole = tinycnn.load("runs/settings/weights.safetensors")
    for earlier in ("step_4", "step_3"):  # within the second epoch, and at the end of the first
        assert main(["--resume", f"runs/settings/checkpoints/{earlier}", "--data-root", "pictures"]) == 0
        assert "resumed after step" in capsys.readouterr().out
        again = tinycnn.load("runs/settings/weights.safetensors")
        assert all((again[name].numpy() == x.numpy()).all() for name, x in whole.items())


def test_workers_change_nothing(capsys):
    for out, workers in (("alone", "0"), ("helped", "2")):
        assert main([*TRAIN, "--epochs", "1", "--workers", workers, "--out", out]) == 0
    alone, helped = (Path(out, "weights.safetensors") for out in ("alone", "helped"))
    assert tinycnn.load(alone).keys() == tinycnn.load(helped).keys()
    assert all((x.numpy() == tinycnn.load(helped)[name].numpy()).all() for name, x in tinycnn.load(alone).items())


@pytest.mark.parametrize(
    "old, new, error",
    [
        ('"resnet20"', '"resent20"', "settings.toml: models: there is no net 'resent20'; the nearest are resnet20"),
        ('"resnet20"', '"unet"', "settings.toml: unet: expected scores (1, 2) of an image, got shape (1, 2, 16, 16)"
         "; examples/segmentation.py trains nets that label pixels"),
        ('"resnet20"', '"lenet5"', "settings.toml: "),
        ('"resnet20"', '"resnet20"\nmodel_options = {depth = 3}', "settings.toml: "),
        ("image_size = 16\n", "", 'settings.toml: expected image_size with dataset = "folder", and with no other'),
        ("flip = true", "flop = true", "settings.toml: unknown key augmentation.flop = True, expected one of shift"),
        (
            "cutout = 4",
            "cutout = -4",
            "settings.toml: augmentation.cutout: expected greater than or equal to 0, got -4",
        ),
    ],
)
def test_settings_are_refused_before_anything_is_written(old, new, error, capsys):
    change(old, new)
    assert main(TRAIN) == 1
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith(f"tinycnn train: error: {error}")
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    "arguments, status, error",
    [
        ([], 2, "expected the settings, a TOML file, or --resume; `tinycnn new my-net` writes one"),
        (["none.toml"], 1, "none.toml: no such file"),
        (["settings.toml", "--data-root", "nowhere"], 1, "ImageFolder: cannot read nowhere/train: "),
        ([*TRAIN, "--device", "tpu"], 1, "device: expected "),
        (["--resume", "nowhere"], 1, "--resume: nowhere: no checkpoint there"),
        (["--resume"], 1, "--resume: there is no run with checkpoints in runs"),
    ],
)
def test_arguments_are_refused_in_one_line(arguments, status, error, capsys):
    assert main(arguments) == status
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"tinycnn train: error: {error}")
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    "old, new, option",
    [
        ("crop = 2", "shift = 99", []),
        ("cutout = 4", "cutout = 100000000000000000000", []),
        ("epochs = 2", "epochs = 2\nseed = 9223372036854775808", []),
        ("epochs = 2", "epochs = 2", ["--workers", "5000"]),
        ("epochs = 2", "epochs = 2", ["--resume", ".", "--out", "runs/other"]),
    ],
)
def test_a_run_that_cannot_begin_leaves_the_one_before_it(old, new, option, capsys):
    assert main([*TRAIN, "--epochs", "1"]) == 0
    names = sorted(path.name for path in Path("runs/settings").rglob("*"))
    capsys.readouterr()
    change(old, new)
    assert status_of([*TRAIN, *option]) in (1, 2)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("tinycnn train: error: ")
    assert sorted(path.name for path in Path("runs/settings").rglob("*")) == names


def test_weights_that_are_missing_are_written_when_a_finished_run_is_resumed():
    assert main([*TRAIN, "--epochs", "1"]) == 0
    weights = Path("runs/settings/weights.safetensors")
    before = weights.read_bytes()
    weights.unlink()
    assert main(["--resume", "runs/settings", "--data-root", "pictures"]) == 0
    assert weights.read_bytes() == before


def test_a_resumed_run_keeps_its_settings_and_its_data(capsys):
    assert main([*TRAIN, "--epochs", "1"]) == 0
    change("flip = true", "flip = false")
    assert main([*TRAIN, "--epochs", "1", "--resume", "runs/settings"]) == 1
    expected = "--resume: the run has augmentation.flip True, got False; a run keeps its settings"
    assert capsys.readouterr().err == f"tinycnn train: error: {expected}\n"

    Path("pictures/train/red/0.png").unlink()
    assert main(["--resume", "runs/settings", "--data-root", "pictures", "--checkpoint-every", "2"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("tinycnn train: error: runs/settings/checkpoints/step_3: not a state of this training: ")
    assert line.endswith("expected the state of a loader with items 23, got one with 24")


@pytest.mark.parametrize("package", ["pydantic", "tqdm"])
def test_without_a_package_of_the_extra_it_names_it(package):
    code = (
        f"import sys; sys.modules[{package!r}] = None; from tinycnn.commands.train import main; sys.exit(main(['x']))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    expected = f"tinycnn train: error: needs {package}, which is not installed: {how_to_install('training')}\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", expected)
