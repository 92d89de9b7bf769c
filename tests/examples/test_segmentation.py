"""The program that labels pixels: its pictures, its figures, a whole run, and how it refuses."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import segmentation
from segmentation import Canvases, MeanIoU, SegmentationRun, confusion, iou

import tinycnn
from tests.examples.programs import EXAMPLES, run_program, start_program
from tinycnn import nn
from tinycnn._extras import how_to_install
from tinycnn.commands import evaluate, predict
from tinycnn.commands import report as page_of_runs
from tinycnn.data import MNIST, DataLoader, Digits, TensorDataset
from tinycnn.data.arrays import ArrayDataset
from tinycnn.models import UNet, model_for
from tinycnn.training import Trainer, report
from tinycnn.training.recipe import Recipe, read_recipe
from tinycnn.training.results import read_run

CONFIGS = sorted((EXAMPLES.parent / "configs").glob("unet_*.toml"))

SETTINGS = """
dataset = "digits"
model = "unet"
model_options = { width = 8, depth = 2, batch_norm = true }
epochs = 3
batch_size = 16

[optimizer]
name = "adam"
lr = 1e-2

[scheduler]
name = "onecycle"
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Every test runs in an empty folder with a file of settings, without the data of this machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TINYCNN_DATA", raising=False)
    Path("settings.toml").write_text(SETTINGS, encoding="utf-8")


def change(old, new):
    assert old in SETTINGS
    Path("settings.toml").write_text(SETTINGS.replace(old, new), encoding="utf-8")


@pytest.fixture
def few_pictures(monkeypatch):
    """A training that takes a second."""
    monkeypatch.setattr(segmentation, "TRAIN_PICTURES", 20)
    monkeypatch.setattr(segmentation, "TEST_PICTURES", 6)
    change("width = 8, depth = 2", "width = 2, depth = 1")


def weights(folder):
    return Path(folder, "weights.safetensors").read_bytes()


def metrics(folder):
    return [json.loads(line) for line in Path(folder, "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


# --- the pictures -----------------------------------------------------------------------------------------


def squares():
    """Digits of 6×6 pixels: class k is a square of 4×4, (k + 8) / 20 dark, one pixel 1, with a faint border, 0.2."""
    images = np.full((10, 1, 6, 6), 0.2, np.float32)
    images[:, :, 0] = 0
    images[:, :, 1:5, 1:5] = (np.arange(10).reshape(10, 1, 1, 1) + 8) / 20
    images[:, :, 2, 2] = 1
    return ArrayDataset(3 * images - 1, np.arange(10), classes="0123456789")  # normalised in whatever way


def test_labels_agree_with_the_digits_that_were_drawn(monkeypatch):
    monkeypatch.setattr(segmentation, "NOISE", 0)
    areas, seen, anywhere = [], set(), np.zeros((20, 20), bool)
    for picture, labels in Canvases(squares(), 200, seed=3):
        assert (picture.shape, labels.shape) == ((1, 20, 20), (20, 20))
        assert (picture.dtype, labels.dtype) == (tinycnn.float32, tinycnn.int64)
        picture, labels = picture.numpy()[0], labels.numpy()
        plain = picture < 0.99  # not the one pixel that all classes have
        expected = np.where(picture > 0.3, np.round(20 * picture - 8), 10)
        np.testing.assert_array_equal(labels[plain], expected[plain])
        assert (labels[~plain] < 10).all()
        areas.append((labels < 10).sum())
        seen |= {*labels.ravel()}
        anywhere |= labels < 10
    assert seen == set(range(11))
    assert anywhere[[1, -2]].any(1).all()  # up to the edges
    assert anywhere[:, [1, -2]].any(0).all()
    assert 16 < min(areas) < 3 * 16  # they overlap
    assert 4 * 16 < max(areas) <= 5 * 16


def test_where_digits_overlap_a_pixel_belongs_to_the_darkest(monkeypatch):
    monkeypatch.setattr(segmentation, "NOISE", 0)
    images = np.zeros((2, 1, 4, 4), np.float32)
    images[0, :, :, :2], images[1, :, :2] = 1, 0.8
    images[1, :, 0, 0] = 1
    overlaps = 0
    for picture, labels in Canvases(ArrayDataset(images, [0, 1], classes="ab"), 50, seed=0):
        picture, labels = picture.numpy()[0], labels.numpy()
        assert (labels[np.isclose(picture, 0.8)] == 1).all()
        assert (labels[picture == 0] == 2).all()
        overlaps += (labels == 0).sum() % 8 > 0
    assert overlaps


def test_noise_is_added_everywhere(monkeypatch):
    noisy = [picture.numpy() for picture, _ in Canvases(squares(), 40, seed=0)]
    monkeypatch.setattr(segmentation, "NOISE", 0)
    noise = np.array([a - b.numpy() for a, (b, _) in zip(noisy, Canvases(squares(), 40, seed=0))])
    assert abs(noise.mean()) < 0.005
    assert noise.std() == pytest.approx(0.1, rel=0.05)
    assert (noise.std(0) > 0.02).all()


def test_a_picture_depends_on_the_seed_and_its_index_alone():
    def same(a, b):
        return all((x.numpy() == y.numpy()).all() for x, y in zip(a, b, strict=True))

    there, again = Canvases(squares(), 12, seed=7), Canvases(squares(), 40, seed=7)
    backwards = [again[i] for i in reversed(range(12))][::-1]
    np.random.default_rng().random()
    tinycnn.manual_seed(1)
    assert all(map(same, there, backwards))
    other_seed = Canvases(squares(), 12, seed=8)
    assert not any(map(same, there, other_seed))
    assert not any(same(there[i], there[j]) for i in range(12) for j in range(i))
    assert Recipe.model_fields["seed"].metadata[1].lt == segmentation.TEST_SEED  # no training has it


def test_workers_make_the_same_pictures():
    pictures = Canvases(squares(), 13, seed=0)
    for alone, helped in zip(*(DataLoader(pictures, 4, num_workers=n) for n in (0, 2)), strict=True):
        assert all((a.numpy() == b.numpy()).all() for a, b in zip(alone, helped, strict=True))


def test_there_are_as_many_pictures_as_were_asked_for():
    pictures = Canvases(squares(), 5, seed=0)
    assert len(pictures) == len([*pictures]) == 5
    for index in (-1, 5):
        with pytest.raises(IndexError, match=f"^Canvases: expected an index within 0..4, got {index}$"):
            pictures[index]


# --- the figures ------------------------------------------------------------------------------------------


def naive_iou(predicted, targets, C):
    """Pixel by pixel; None of a class that does not occur."""
    result = []
    for c in range(C):
        both = either = 0
        for found, wanted in zip(predicted.ravel().tolist(), targets.ravel().tolist(), strict=True):
            both += found == c and wanted == c
            either += found == c or wanted == c
        result.append(both / either if either else None)
    return result


def test_iou_is_that_of_all_pictures_together(monkeypatch):
    generator = np.random.default_rng(0)
    images = generator.standard_normal((7, 1, 5, 6)).astype(np.float32)
    targets = generator.integers(0, 3, (7, 5, 6))
    targets[:4][targets[:4] == 2] = 0  # the first pictures lack a class; none has class 3
    dataset = TensorDataset(images, targets)
    dataset.classes = ("a", "b", "c", "d")
    net = nn.Conv2d(1, 4, 1)
    with tinycnn.no_grad():
        net.weight.copy_(tinycnn.tensor([[[[1.0]]], [[[-1.0]]], [[[0.0]]], [[[0.0]]]]))
        net.bias.copy_(tinycnn.tensor([0.0, 0.0, 0.4, -9.0]))
    trainer = Trainer(net, tinycnn.optim.SGD(net.parameters(), lr=0.1), metrics={"accuracy": segmentation.accuracy})
    loader = DataLoader(dataset, batch_size=4)  # and 3

    predicted = net(tinycnn.tensor(images)).argmax(1).numpy()
    expected = naive_iou(predicted, targets, 4)
    found = iou(confusion(trainer, loader))
    np.testing.assert_allclose(found[:3], expected[:3])
    assert (expected[3], np.isnan(found[3])) == (None, True)
    figures = trainer.evaluate(loader)
    MeanIoU(loader).on_epoch_end(trainer, figures)
    assert figures["test_iou"] == pytest.approx(np.mean(expected[:3]))
    assert figures["test_accuracy"] == pytest.approx((predicted == targets).mean())
    of_batches = [naive_iou(predicted[part], targets[part], 3) for part in (slice(0, 4), slice(4, 7))]
    assert abs(np.mean(of_batches) - figures["test_iou"]) > 0.01  # their mean is another number


def test_the_best_and_the_worst_iou():
    assert iou(np.diag([5, 1, 3])).tolist() == [1, 1, 1]
    assert iou(np.array([[0, 4], [2, 0]])).tolist() == [0, 0]


# --- a whole run ------------------------------------------------------------------------------------------


def zeros_and_ones(root, train):
    """Of the real digits of 8×8 pixels, so that a training is short."""
    digits = Digits(train, scale=1)
    chosen = digits.targets < 2
    return ArrayDataset(digits.images[chosen], digits.targets[chosen], classes="01", name="Digits")


def test_a_short_training_learns(monkeypatch, capsys):
    pytest.importorskip("sklearn")
    monkeypatch.setattr(segmentation, "TRAIN_PICTURES", 400)
    monkeypatch.setattr(segmentation, "TEST_PICTURES", 60)
    monkeypatch.setitem(segmentation.DIGITS, "digits", zeros_and_ones)
    assert segmentation.main(["--config", "settings.toml", "--out", "run"]) == 0
    begin, *epochs, end = capsys.readouterr().out.splitlines()
    assert begin.startswith("Digits: 400 training and 60 test images; unet, ")
    assert len(epochs) == 3
    _, first, _, last = metrics("run")
    assert last["train_loss"] < first["train_loss"] / 2
    assert last["test_loss"] < first["test_loss"]
    assert last["test_iou"] > 0.6  # all background: 0.27
    accuracy = f"pixel accuracy {last['test_accuracy']:.2%}, mean IoU {last['test_iou']:.3f}"
    assert end == f"Digits: {accuracy} after epoch 3; weights, metrics and report are in run"
    assert Path("run/report.png").read_bytes().startswith(b"\x89PNG\r\n")

    # The weights that were saved label as the figures say, and the run is read back.
    net = UNet(1, 3, width=8, depth=2, batch_norm=True)
    net.load_state_dict(tinycnn.load("run/weights.safetensors"))
    _, test_set = SegmentationRun.load(read_recipe(Path("settings.toml")), None)
    images, targets = next(iter(DataLoader(test_set, 60)))
    for each in (net.eval(), read_run("run").model()):
        assert (each(images).argmax(1) == targets).float().mean().item() == pytest.approx(last["test_accuracy"])
    assert read_run("run").weights().data.classes == ("0", "1", "background")


def test_the_seed_decides_and_workers_do_not(few_pictures):
    for out, *options in (("a",), ("b", "--workers", "2"), ("c", "--seed", "1")):
        assert segmentation.main(["--config", "settings.toml", "--epochs", "1", "--out", out, *options]) == 0
    assert weights("a") == weights("b") != weights("c")


def test_a_resumed_training_is_that_which_was_not_interrupted(few_pictures, monkeypatch, capsys):
    arguments = ["--config", "settings.toml", "--checkpoint-every", "1"]
    assert segmentation.main([*arguments, "--out", "whole"]) == 0

    real = MeanIoU.on_epoch_end

    def interrupted(self, trainer, figures):
        if trainer.epoch == 2:
            raise KeyboardInterrupt
        real(self, trainer, figures)

    with monkeypatch.context() as patched:
        patched.setattr(segmentation.MeanIoU, "on_epoch_end", interrupted)
        assert segmentation.main([*arguments, "--out", "cut"]) == 130
    assert segmentation.main(["--resume", "cut"]) == 0
    assert "resumed after step 4" in capsys.readouterr().out
    assert weights("cut") == weights("whole")
    assert metrics("cut")[-1]["test_iou"] == metrics("whole")[-1]["test_iou"]


def test_its_weights_give_no_class_of_a_picture(few_pictures, capsys):
    assert segmentation.main(["--config", "settings.toml", "--epochs", "1", "--out", "run"]) == 0
    capsys.readouterr()
    for command, arguments in ((predict, ["run", "seven.png"]), (evaluate, ["run"])):
        assert command.main(arguments) == 1
        out, err = capsys.readouterr()
        said = "run/weights.safetensors: expected a net that labels pictures, unet gives scores (1, 11, "
        assert (out, err.count("\n")) == ("", 1)
        assert err.partition("error: ")[2].startswith(said)
    assert page_of_runs.main(["run", "--out", "page.html"]) == 0  # its curves, and why there is no more
    assert said in Path("page.html").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.gpu
def test_a_run_on_the_gpu(few_pictures):
    arguments = ["--config", "settings.toml", "--epochs", "1"]
    assert segmentation.main([*arguments, "--device", "gpu", "--out", "gpu"]) == 0
    settings, figures = metrics("gpu")
    assert (settings["device"], settings["capture"]) == ("cuda:0", True)
    assert segmentation.main([*arguments, "--out", "cpu"]) == 0
    assert figures["test_loss"] == pytest.approx(metrics("cpu")[-1]["test_loss"], rel=1e-3)


@pytest.mark.slow
def test_the_real_mnist(mnist_root, monkeypatch):
    monkeypatch.setattr(segmentation, "TRAIN_PICTURES", 3000)
    monkeypatch.setattr(segmentation, "TEST_PICTURES", 100)
    assert segmentation.main(["--data-root", str(mnist_root), "--epochs", "1"]) == 0
    assert metrics("runs/unet_mnist")[-1]["test_iou"] > 0.12  # all background: 0.08


# --- the settings in configs/ -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_configs_are_those_of_the_program(path):
    recipe = read_recipe(path)
    assert path.stem == f"unet_{recipe.dataset}"
    assert recipe.dataset in segmentation.DIGITS
    net = model_for(recipe.model, (1, 24, 24), 11, **recipe.model_options)
    assert net(tinycnn.zeros(2, 1, 24, 24)).shape == (2, 11, 24, 24)


def test_every_data_set_has_its_config():
    assert {path.stem for path in CONFIGS} == {f"unet_{name}" for name in segmentation.DIGITS}


# --- what it refuses --------------------------------------------------------------------------------------


def refused(*arguments, status=1):
    done = run_program("segmentation", *arguments)
    assert (done.status, done.out, done.err.count("\n")) == (status, "", 1)
    assert not Path("runs").exists()
    return done.err.removeprefix("segmentation.py: error: ").strip()


@pytest.mark.parametrize("old, new, error", [
    ('"unet"', '"resnet20"', "expected unet for mnist or digits, got resnet20 for digits; `tinycnn train` trains nets "
     "that label pictures"),
    ('"digits"', '"cifar10"', "expected unet for mnist or digits, got unet for cifar10; `tinycnn train` trains nets "
     "that label pictures"),
    ("[optimizer]", "[augmentation]\nflip = true\n[optimizer]", "expected no augmentation: the labels of the pixels "
     "would not move with them"),
    ("depth = 2", "height = 2", "model_for: unet has no option 'height'; it has width, depth, batch_norm"),
    ("width = 8", "width = 0", "UNet: expected width of at least 1, got 0"),
    ("epochs = 3", "epochs = 0", "settings.toml: epochs: expected greater than or equal to 1, got 0"),
])  # fmt: skip
def test_settings_that_it_cannot_train(old, new, error):
    change(old, new)
    assert refused("--config", "settings.toml") == error


@pytest.mark.parametrize("arguments, error", [
    (["--config", "none.toml"], "none.toml: no such file"),
    (["--out", "settings.toml"], "--out settings.toml: cannot write there: File exists"),
    (["--resume", "none"], "--resume: none: no checkpoint there"),
    (["--seed", "-1"], "--seed: expected greater than or equal to 0, got -1"),
])  # fmt: skip
def test_a_users_error_is_one_line(arguments, error):
    assert refused("--dataset", "digits", *arguments) == error


def test_an_unknown_data_set_is_one_line():
    assert refused("--dataset", "cifar10", status=2).startswith("argument --dataset: invalid choice: 'cifar10'")


def test_without_the_data_it_says_so(monkeypatch):
    monkeypatch.setattr(MNIST, "mirrors", ("http://127.0.0.1:9/",))
    done = run_program("segmentation", "--data-root", "none")
    assert (done.status, done.out) == (1, "")
    line = done.err.splitlines()[-1]  # after what the downloader tells
    assert line.startswith("segmentation.py: error: MNIST: could not download train-images-idx3-ubyte.gz")
    assert not Path("runs").exists()


def test_a_run_of_a_net_that_labels_pictures_is_not_resumed(monkeypatch):
    import train_mnist

    images = np.zeros((6, 1, 32, 32), np.float32)
    data = ArrayDataset(images, [0, 1, 2, 3, 4, 5], classes="0123456789", name="Digits")
    with monkeypatch.context() as patched:
        patched.setattr(train_mnist, "load_data", lambda *_: (data, data))
        assert train_mnist.main(["--dataset", "digits", "--epochs", "1", "--out", "lenet"]) == 0
    assert refused("--resume", "lenet").startswith("expected unet for mnist or digits, got lenet5 for digits; ")


def test_without_matplotlib_it_names_the_extra(monkeypatch):
    monkeypatch.setattr(report, "find_spec", lambda name: None)
    error = f"needs matplotlib, which is not installed: {how_to_install('training')}"
    assert refused("--dataset", "digits").endswith(error)


@pytest.mark.parametrize("package", ["pydantic", "tqdm"])
def test_without_a_package_of_the_extra_it_names_it(package):
    program = EXAMPLES / "segmentation.py"
    code = f"import runpy, sys; sys.modules[{package!r}] = None; runpy.run_path({str(program)!r})"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(EXAMPLES), *sys.path])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    expected = f"segmentation.py: error: needs {package}, which is not installed: {how_to_install('training')}\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", expected)


def test_help_in_another_folder():
    done = start_program("segmentation", "--help", cwd=".")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("usage: segmentation.py")


@pytest.mark.parametrize("name", ["mnist", "digits"])
def test_the_program_for_nets_that_label_pictures_says_which_one_it_is(name, monkeypatch):
    import train_mnist

    data = ArrayDataset(np.zeros((6, 1, 28, 28), np.float32), [0, 1, 2, 3, 4, 5], classes="0123456789")
    monkeypatch.setattr(train_mnist, "load_data", lambda *_: (data, data))
    done = run_program("train_mnist", "--config", EXAMPLES.parent / "configs" / f"unet_{name}.toml")
    assert (done.status, done.out) == (1, "")
    assert done.err == (
        "train_mnist.py: error: expected lenet5 for grey pictures, got unet; `tinycnn train` trains any net that "
        "labels pictures, segmentation.py those that label pixels\n"
    )
