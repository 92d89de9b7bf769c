"""The training program: what it leaves behind, what it says, and how it refuses."""

import gzip
import hashlib
import itertools
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import train_mnist
from safetensors import safe_open

import tinycnn
from tests.crash import killed_at
from tinycnn import _bfloat16, backend
from tinycnn._extras import how_to_install
from tinycnn._files import write_whole
from tinycnn.data import MNIST, Digits
from tinycnn.data.arrays import ArrayDataset
from tinycnn.models import LeNet5
from tinycnn.training import report, run
from tinycnn.training.checkpoint import all_checkpoints, load_checkpoint
from tinycnn.training.evaluation import evaluate

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAM = REPOSITORY / "examples" / "train_mnist.py"
ONE_EPOCH_OF_DIGITS = ["--dataset", "digits", "--epochs", "1"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Every test runs in an empty folder, without the data of this machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TINYCNN_DATA", raising=False)


@pytest.fixture
def no_picture(monkeypatch):
    """Saves a second where the report is not the point."""
    monkeypatch.setattr(run, "draw_report", lambda path, *_, **__: write_whole(path, b"picture"))


@pytest.fixture
def offline(monkeypatch):
    """Nothing listens at the mirrors."""
    monkeypatch.setattr(MNIST, "mirrors", ("http://127.0.0.1:9/",))


@pytest.fixture
def small_mnist(tmp_path, monkeypatch):
    """A folder with MNIST's four files, of a few images that show their class as a bright row."""
    generator = np.random.default_rng(0)
    raw = tmp_path / "small" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    checksums = {}
    for part, N in (("train", 320), ("t10k", 70)):
        labels = generator.integers(0, 10, N).astype(np.uint8)
        images = generator.integers(0, 80, (N, 28, 28)).astype(np.uint8)
        images[np.arange(N), 4 + 2 * labels] = 255
        for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            header = b"\0\0\x08" + bytes([array.ndim]) + np.array(array.shape, ">u4").tobytes()
            content = header + array.tobytes()
            (raw / f"{name}.gz").write_bytes(gzip.compress(content))
            checksums[name] = (hashlib.md5(content).hexdigest(), "")
    monkeypatch.setattr(MNIST, "checksums", checksums)
    return tmp_path / "small"


def start(*arguments, **options):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, PROGRAM, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **options,
    )  # fmt: skip


def metadata(folder):
    with safe_open(Path(folder) / "weights.safetensors", "np") as file:
        return file.metadata()


def metrics(folder):
    return [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]


# --- a whole run ------------------------------------------------------------------------------------------


def test_a_run_in_another_folder_leaves_weights_metrics_and_report(tmp_path, no_picture):
    program = start(*ONE_EPOCH_OF_DIGITS, "--seed", "5", cwd=tmp_path)
    out, err = program.communicate(timeout=60)
    assert (program.returncode, err) == (0, "")
    assert "\r" not in out  # no bar in a pipe
    begin, epoch, end = out.splitlines()
    assert begin.startswith("Digits: 1,437 training and 360 test images; lenet5, 61,706 parameters, on cpu")
    assert epoch.startswith("Digits epoch 1/1: train loss ")
    assert end.startswith("Digits: test accuracy ")
    assert end.endswith("weights, metrics and report are in runs/lenet_digits")

    folder = tmp_path / "runs" / "lenet_digits"
    written = sorted(file.name for file in folder.iterdir())
    assert written == ["checkpoints", "metrics.jsonl", "report.png", "weights.safetensors"]
    settings, figures = metrics(folder)
    assert settings["settings"]["seed"] == 5
    assert settings["versions"]["tinycnn"] == tinycnn.__version__
    assert {"epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy", "lr", "seconds",
            "images_per_second"} <= set(figures)  # fmt: skip
    assert settings["dataset"] == "Digits"
    assert json.loads(metadata(folder).pop("recipe")) == settings["settings"]
    assert metadata(folder)["accuracy"] == str(figures["test_accuracy"])
    assert (folder / "report.png").read_bytes().startswith(b"\x89PNG\r\n")

    # The weights that were saved recognise what the figures say.
    model = LeNet5(image_size=32)
    model.load_state_dict(tinycnn.load(folder / "weights.safetensors"))
    found = evaluate(model, Digits(train=False), backend.CPU)
    assert (found.accuracy, found.loss) == (figures["test_accuracy"], pytest.approx(figures["test_loss"], rel=1e-5))

    # The same seed gives the same file, in this process as in that one; another seed does not.
    assert train_mnist.main([*ONE_EPOCH_OF_DIGITS, "--seed", "5", "--out", "again"]) == 0
    assert train_mnist.main([*ONE_EPOCH_OF_DIGITS, "--seed", "6", "--out", "other"]) == 0
    first, again, other = (Path(f, "weights.safetensors").read_bytes() for f in (folder, "again", "other"))
    assert first == again
    assert first != other


@pytest.mark.parametrize("arguments", [[], ["--dataset", "mnist"]])
def test_mnist_is_found_in_the_data_root(small_mnist, no_picture, capsys, arguments):
    arguments = [*arguments, "--data-root", str(small_mnist), "--epochs", "8", "--lr", "0.1"]
    assert train_mnist.main(arguments) == 0
    out = capsys.readouterr().out
    assert all(line.startswith("MNIST") for line in out.splitlines())
    _, *epochs = metrics("runs/lenet_mnist")
    assert [figures["epoch"] for figures in epochs] == list(range(1, 9))
    assert epochs[-1]["test_accuracy"] > 0.5
    assert metadata("runs/lenet_mnist")["dataset"] == "MNIST"


def test_mnist_is_found_in_the_environment(small_mnist, no_picture, capsys, monkeypatch):
    monkeypatch.setenv("TINYCNN_DATA", str(small_mnist))
    assert train_mnist.main(["--epochs", "1"]) == 0
    assert "MNIST: 320 training and 70 test images" in capsys.readouterr().out


def test_two_hundred_steps_on_the_real_mnist(mnist_root, no_picture, monkeypatch):
    whole, test_set = MNIST(mnist_root), MNIST(mnist_root, train=False)
    part = ArrayDataset(whole.images[:12800], whole.targets[:12800], classes=whole.classes, name="MNIST")
    monkeypatch.setattr(train_mnist, "load_data", lambda recipe, root: (part, test_set))
    assert train_mnist.main(["--epochs", "1", "--batch-size", "64"]) == 0
    (figures,) = metrics("runs/lenet_mnist")[1:]
    assert figures["test_accuracy"] > 0.93


def test_every_step_shifts_its_images(monkeypatch):
    made, shifted = [], []
    shift = lambda images: shifted.append(tuple(images.shape)) or images  # noqa: E731
    make = lambda pixels, fill: made.append((pixels, fill)) or shift  # noqa: E731
    monkeypatch.setattr(tinycnn.data.transforms, "RandomShift", make)
    assert train_mnist.main(ONE_EPOCH_OF_DIGITS) == 0
    (figures,) = metrics("runs/lenet_digits")[1:]
    assert made == [(2, Digits().background)]
    assert shifted.pop(0)[0] == 1  # it is tried on an image before the folder is opened
    assert sum(N for N, *_ in shifted) == len(Digits())
    assert all(size == [1, 32, 32] for _, *size in shifted)
    assert np.isfinite(figures["test_loss"])


@pytest.mark.gpu
def test_a_run_on_the_gpu():
    assert train_mnist.main([*ONE_EPOCH_OF_DIGITS, "--device", "gpu"]) == 0
    settings, figures = metrics("runs/lenet_digits")
    assert (settings["device"], settings["capture"]) == ("cuda:0", True)
    assert np.isfinite(figures["test_loss"])


@pytest.mark.slow
@pytest.mark.gpu
def test_captured_or_not_a_run_on_the_gpu_is_the_same(capsys):
    losses = []
    for options in ([], ["--no-capture"]):
        shape = ["--epochs", "2", "--batch-size", "400", "--device", "gpu"]
        assert train_mnist.main(["--dataset", "digits", "--out", str(len(losses)), *shape, *options]) == 0
        said = capsys.readouterr()
        assert ("steps captured" in said.out, said.err) == (not options, "")
        _, *figures = metrics(str(len(losses)))
        losses.append([(epoch["train_loss"], epoch["test_loss"]) for epoch in figures])
    assert losses[0] == losses[1]


@pytest.mark.slow
@pytest.mark.gpu
def test_captured_in_mixed_precision(capsys):
    options = ["--device", "gpu", "--precision", "float16"]
    assert train_mnist.main([*ONE_EPOCH_OF_DIGITS, *options]) == 0
    said = capsys.readouterr()
    assert "on cuda:0 in float16, steps captured" in said.out
    assert said.err == ""
    settings, figures = metrics("runs/lenet_digits")
    assert (settings["precision"], settings["capture"]) == ("float16", True)
    assert np.isfinite(figures["test_loss"])


def test_nothing_is_captured_on_a_cpu_and_nothing_said_of_it(capsys):
    assert train_mnist.main(ONE_EPOCH_OF_DIGITS) == 0
    said = capsys.readouterr()
    assert ("captur" in said.out, said.err) == (False, "")
    assert metrics("runs/lenet_digits")[0]["capture"] is False


def test_capturing_on_a_cpu_gives_one_notice_and_trains(capsys):
    assert train_mnist.main([*ONE_EPOCH_OF_DIGITS, "--capture", "--precision", "bfloat16"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("train_mnist.py: capture: the step runs eagerly: expected all arguments")


# --- a folder holds one run -------------------------------------------------------------------------------


def run_of(folder):
    """The seed of the run to which everything in a folder belongs; None if it holds nothing."""
    names = {file.name for file in Path(folder).iterdir() if file.suffix != ".part"}
    assert names <= {"checkpoints", "metrics.jsonl", "weights.safetensors", "report.png"}
    if "metrics.jsonl" not in names:
        assert names <= {"checkpoints"}
        assert all_checkpoints(Path(folder) / "checkpoints") == []
        return None
    settings, *epochs = metrics(folder)
    seed = settings["settings"]["seed"]
    assert [figures["epoch"] for figures in epochs] == [1, 2][: len(epochs)]
    if "weights.safetensors" in names:
        about = metadata(folder)
        assert (json.loads(about["recipe"]), about["seed"]) == (settings["settings"], str(seed))
        assert about["accuracy"] == str(epochs[int(about["epoch"]) - 1]["test_accuracy"])
    for step, path in all_checkpoints(Path(folder) / "checkpoints"):
        state = load_checkpoint(path)
        assert (state["settings"], state["step"]) == (settings["settings"], step)
        assert state["history"] == epochs[: state["epoch"]]
    if "report.png" in names:
        assert (Path(folder) / "report.png").read_text() == f"seed {seed}"
        assert about["epoch"] == "2"
    return seed


@pytest.fixture
def instant(monkeypatch):
    """Trainings of six images, and pictures that are their seed."""
    images = np.random.default_rng(0).random((6, 1, 32, 32)).astype(np.float32)
    data = ArrayDataset(images, [0, 1, 2, 3, 4, 5], classes="0123456789", name="Digits")

    def draw(path, title, *_, **__):
        write_whole(path, title[title.index("seed") : -1].encode())

    monkeypatch.setattr(run, "draw_report", draw)
    for module in (train_mnist, run):
        monkeypatch.setattr(module, "load_data", lambda *_: (data, data))


INSTANT = ["--dataset", "digits", "--epochs", "2", "--batch-size", "3"]


def test_a_folder_that_is_used_again_belongs_to_the_new_run(instant):
    for seed in (1, 2):
        assert train_mnist.main([*INSTANT, "--seed", str(seed), "--out", "run"]) == 0
        assert run_of("run") == seed
        assert len(list(Path("run").iterdir())) == 4
    Path("run/weights.safetensors.0123456789ab.part").write_bytes(b"of a run that was killed")
    Path("run/checkpoints.0123456789ab.part").mkdir()
    Path("run/notes.0123456789ab.part").write_bytes(b"of somebody else")
    assert train_mnist.main([*INSTANT, "--seed", "3", "--out", "run"]) == 0
    assert [file.name for file in Path("run").glob("*.part")] == ["notes.0123456789ab.part"]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_killed_at_any_system_call_the_folder_holds_one_run(instant):
    arguments = [*INSTANT, "--out", "run"]
    assert train_mnist.main([*arguments, "--seed", "1"]) == 0
    shutil.copytree("run", "former")
    seen = []
    for dies in itertools.count():
        shutil.rmtree("run")
        shutil.copytree("former", "run")
        status = killed_at(dies, lambda: train_mnist.main([*arguments, "--seed", "2"]))
        seen.append(run_of("run"))
        if status == 0:
            break
        begun = seen[-1] == 2 and any(all_checkpoints(Path("run/checkpoints")))
        assert train_mnist.main(["--resume", "run"] if begun else [*arguments, "--seed", "2", "--overwrite"]) == 0
        assert run_of("run") == 2
        assert {file.name for file in Path("run").iterdir()} == {file.name for file in Path("former").iterdir()}
    changes = [seed for i, seed in enumerate(seen) if i == 0 or seed != seen[i - 1]]
    assert changes == [1, None, 2]
    assert len(seen) > 60


# --- going on -----------------------------------------------------------------------------------------------


@pytest.fixture
def unfinished(instant, capsys):
    """A run in `run` that reached step 3 of 4."""
    arguments = [*INSTANT, "--seed", "1", "--out", "run", "--checkpoint-every", "1"]
    assert train_mnist.main(arguments) == 0
    Path("run/report.png").unlink()
    shutil.rmtree("run/checkpoints/step_4")
    assert run_of("run") == 1
    capsys.readouterr()


def refused(capsys, *arguments):
    assert train_mnist.main([*arguments]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err.removeprefix("train_mnist.py: error: ").strip()


def test_an_unfinished_run_is_kept_unless_it_may_be_overwritten(unfinished, capsys):
    before = Path("run/weights.safetensors").read_bytes()
    assert refused(capsys, *INSTANT, "--seed", "2", "--out", "run") == (
        "--out run: there is an unfinished run, step_3: --resume run goes on with it, --overwrite begins anew"
    )
    assert Path("run/weights.safetensors").read_bytes() == before
    assert train_mnist.main([*INSTANT, "--seed", "2", "--out", "run", "--overwrite"]) == 0
    assert run_of("run") == 2


@pytest.mark.parametrize("given, step", [("run", 3), ("run/checkpoints", 3), ("run/checkpoints/step_2", 2)])
def test_a_run_is_resumed_with_its_own_settings(unfinished, capsys, given, step):
    assert train_mnist.main([*INSTANT, "--seed", "1", "--out", "whole"]) == 0
    capsys.readouterr()
    assert train_mnist.main(["--resume", given]) == 0
    begin, _, end = capsys.readouterr().out.splitlines()
    assert begin.endswith(f", resumed after step {step}")
    assert end.endswith("after epoch 2; weights, metrics and report are in run")
    assert run_of("run") == 1
    assert Path("run/weights.safetensors").read_bytes() == Path("whole/weights.safetensors").read_bytes()


def test_what_a_killed_run_was_just_writing_is_removed(unfinished):
    for name in ("metrics.jsonl", "weights.safetensors", "report.png", "notes"):
        Path(f"run/{name}.0123456789ab.part").touch()
    assert train_mnist.main(["--resume", "run"]) == 0
    assert [file.name for file in Path("run").glob("*.part")] == ["notes.0123456789ab.part"]


def test_the_last_run_is_resumed(unfinished, capsys):
    assert refused(capsys, "--resume") == "--resume: there is no run with checkpoints in runs"
    Path("runs").mkdir()
    shutil.copytree("run", "runs/older")
    shutil.copytree("run", "runs/newer")
    os.utime("runs/older/checkpoints", (1, 1))
    assert train_mnist.main(["--resume"]) == 0
    assert run_of("runs/newer") == 1
    assert Path("runs/newer/report.png").exists()
    assert not Path("runs/older/report.png").exists()


def test_a_complete_run_that_is_resumed_is_complete(instant, capsys):
    assert train_mnist.main([*INSTANT, "--seed", "1", "--out", "run"]) == 0
    before = Path("run/weights.safetensors").read_bytes(), metrics("run")
    assert train_mnist.main(["--resume", "run"]) == 0
    assert (Path("run/weights.safetensors").read_bytes(), metrics("run")) == before


@pytest.mark.parametrize(
    "options, message",
    [
        (["--seed", "2"], "the run has seed 1, got 2; a run keeps its settings"),
        (["--epochs", "9"], "the run has epochs 2, got 9; a run keeps its settings"),
        (["--lr", "0.5"], "the run has optimizer.lr 0.05, got 0.5; a run keeps its settings"),
    ],
)
def test_other_settings_are_refused(unfinished, capsys, options, message):
    assert refused(capsys, "--resume", "run", *options) == f"--resume: {message}"
    assert train_mnist.main(["--resume", "run", "--seed", "1", "--epochs", "2"]) == 0


def test_other_settings_of_a_file_are_refused(unfinished, capsys):
    text = (REPOSITORY / "configs" / "lenet_digits.toml").read_text(encoding="utf-8")
    Path("mine.toml").write_text(text.replace("shift = 2", "shift = 3"), encoding="utf-8")
    flags = ["--seed", "1", "--epochs", "2", "--batch-size", "3"]
    error = refused(capsys, "--resume", "run", "--config", "mine.toml", *flags)
    assert error == "--resume: the run has augmentation.shift 2, got 3; a run keeps its settings"


def test_a_damaged_checkpoint_is_named_with_the_one_before_it(unfinished, capsys):
    path = Path("run/checkpoints/step_3/state.safetensors")
    path.write_bytes(path.read_bytes()[:-1])
    assert refused(capsys, "--resume", "run").endswith("; the one before it is whole: run/checkpoints/step_2")
    assert train_mnist.main(["--resume", "run/checkpoints/step_2"]) == 0
    assert run_of("run") == 1


@pytest.mark.parametrize("folder", ["none", "empty"])
def test_nothing_to_resume(folder, capsys):
    Path("empty").mkdir()
    assert refused(capsys, "--resume", folder) == f"--resume: {folder}: no checkpoint there"


def test_weights_that_cannot_be_saved_go_elsewhere(instant, capsys, monkeypatch):
    """And the training goes on, without checkpoints."""
    monkeypatch.setenv("TMPDIR", str(Path.cwd()))
    monkeypatch.setattr("tempfile.tempdir", None)
    real = run.Run.open

    def opened(self, *arguments):
        real(self, *arguments)
        for name in ("weights.safetensors", "checkpoints"):
            (self.folder / name).mkdir()
        (self.folder / "checkpoints" / "step_2").touch()

    monkeypatch.setattr(run.Run, "open", opened)
    assert train_mnist.main([*INSTANT, "--seed", "1", "--out", "run"]) == 1
    _, err = capsys.readouterr()
    warning, error = err.splitlines()
    assert warning.startswith("train_mnist.py: no checkpoint of step 2: cannot write run/checkpoints/step_2: it is a f")
    expected, _, elsewhere = error.partition("; the weights are in ")
    assert expected == "train_mnist.py: error: save: cannot write run/weights.safetensors: it is a folder"
    assert metadata(Path(elsewhere).parent)["epoch"] == "2"
    assert len(metrics("run")) == 3


# --- data that is not there -------------------------------------------------------------------------------


def test_without_mnist_it_says_why_and_trains_on_digits(offline, no_picture, capsys):
    assert train_mnist.main(["--epochs", "1", "--data-root", "none"]) == 0
    why, instead, *rest = capsys.readouterr().out.splitlines()
    assert why.startswith("MNIST: could not download train-images-idx3-ubyte.gz")
    assert "embedded digits instead, with configs/lenet_digits.toml" in instead
    assert len(rest) == 3
    assert all(line.startswith("Digits") for line in rest)
    assert metrics("runs/lenet_digits")[0]["dataset"] == "Digits"
    assert metrics("runs/lenet_digits")[0]["settings"]["dataset"] == "digits"
    assert metadata("runs/lenet_digits")["dataset"] == "Digits"


def test_without_the_downloader_too(no_picture, monkeypatch, capsys):
    for module in ("pooch", "torchvision"):
        monkeypatch.setitem(sys.modules, module, None)
    assert train_mnist.main(["--epochs", "1"]) == 0
    assert "downloading needs pooch, which is not installed: pip install" in capsys.readouterr().out.splitlines()[0]


def test_a_network_that_swallows_packets_is_given_up_in_seconds(no_picture, monkeypatch, capsys):
    with socket.socket() as listener, socket.socket() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting.connect(listener.getsockname())  # the queue is full: further connections get no answer
        address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", listener.getsockname())
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [address] * 12)
        monkeypatch.setattr(MNIST, "mirrors", ("http://mnist.example/", "http://mirror.example/"))
        monkeypatch.setattr("tinycnn.data.download._PATIENCE", 0.5)
        assert train_mnist.main(["--epochs", "1"]) == 0
    assert "http://mirror.example/: no answer within 0.5 seconds" in capsys.readouterr().out.splitlines()[0]


def test_asked_for_mnist_it_never_falls_back(offline, capsys):
    assert train_mnist.main(["--dataset", "mnist"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "train_mnist.py: error: MNIST: could not download" in err.splitlines()[-1]
    assert not Path("runs").exists()


def test_a_damaged_file_is_no_reason_to_fall_back(small_mnist, capsys):
    file = small_mnist / "MNIST" / "raw" / "train-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:1000])
    assert train_mnist.main(["--data-root", str(small_mnist)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"train_mnist.py: error: {file}: ")


# --- errors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--device", "tpu"], "device: expected 'cpu', 'gpu', 'cuda', 'cuda:N' or 'auto', got 'tpu'"),
        (["--config", "none.toml"], "none.toml: no such file"),
        (["--epochs", "0"], "--epochs: expected greater than or equal to 1, got 0"),
        (["--lr", "nan"], "--lr: expected a finite number, got nan"),
        (["--seed", "-1"], "--seed: expected greater than or equal to 0, got -1"),
        (["--epochs", "many"], "argument --epochs: invalid int value: 'many'; --help shows the options"),
        (["--epoch-count", "3"], "unrecognized arguments: --epoch-count 3; --help shows the options"),
    ],
)
def test_a_user_error_is_one_line(arguments, message, capsys):
    try:
        status = train_mnist.main(["--dataset", "digits", *arguments])
    except SystemExit as stop:  # argparse's own
        status = stop.code
    assert status in (1, 2)
    assert capsys.readouterr() == ("", f"train_mnist.py: error: {message}\n")


def test_every_wrong_key_has_its_line(capsys):
    text = (REPOSITORY / "configs" / "lenet_digits.toml").read_text(encoding="utf-8")
    Path("mine.toml").write_text(text.replace("epochs", "epoch"), encoding="utf-8")
    assert train_mnist.main(["--config", "mine.toml"]) == 1
    missing, unknown = capsys.readouterr().err.splitlines()
    assert missing == "train_mnist.py: error: mine.toml: epochs is missing"
    assert unknown.startswith("train_mnist.py: error: mine.toml: unknown key epoch = ")


@pytest.mark.skipif(tinycnn.device("auto") != "cpu", reason="this machine has a GPU")
def test_a_gpu_that_is_not_there(capsys):
    assert train_mnist.main([*ONE_EPOCH_OF_DIGITS, "--device", "gpu"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("train_mnist.py: error: device: ")


def test_bfloat16_without_its_package(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    _bfloat16.bfloat16.cache_clear()
    assert train_mnist.main([*ONE_EPOCH_OF_DIGITS, "--precision", "bfloat16", "--out", str(tmp_path / "run")]) == 1
    _bfloat16.bfloat16.cache_clear()
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("train_mnist.py: error: bfloat16: the package ml_dtypes is missing: pip install")
    assert not (tmp_path / "run").exists()


def test_without_tensorboardx_it_names_the_extra(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    assert train_mnist.main([*ONE_EPOCH_OF_DIGITS, "--tensorboard"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"needs tensorboardX, which is not installed: {how_to_install('tensorboard')}")
    assert not Path("runs").exists()


@pytest.mark.parametrize("blocked", ["file", "file/below", "folder"])
def test_an_unwritable_folder_is_refused_before_the_training(blocked, capsys, monkeypatch):
    Path("file").touch()
    Path("folder/metrics.jsonl").mkdir(parents=True)
    monkeypatch.setattr(train_mnist.Run, "train", lambda *_: pytest.fail("it trained"))
    assert train_mnist.main([*ONE_EPOCH_OF_DIGITS, "--out", blocked]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"train_mnist.py: error: --out {blocked}: cannot write there: ")


def test_without_matplotlib_it_names_the_extra(monkeypatch, capsys):
    monkeypatch.setattr(report, "find_spec", lambda name: None)
    assert train_mnist.main(ONE_EPOCH_OF_DIGITS) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"needs matplotlib, which is not installed: {how_to_install('training')}")


@pytest.mark.parametrize("package", ["pydantic", "tqdm"])
def test_without_a_package_of_the_extra_it_names_it(package):
    code = f"import runpy, sys; sys.modules[{package!r}] = None; runpy.run_path({str(PROGRAM)!r})"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PROGRAM.parent), *sys.path])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    expected = f"train_mnist.py: error: needs {package}, which is not installed: {how_to_install('training')}\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", expected)


def test_a_diverged_training_stops_in_one_line_and_saves_nothing(capsys):
    assert train_mnist.main([*ONE_EPOCH_OF_DIGITS, "--lr", "1e30"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(
        r"train_mnist.py: error: the loss is (inf|nan) in step \d+: .* gives inf or nan.*; try a smaller learning rate",
        line,
    )
    assert not Path("runs/lenet_digits/weights.safetensors").exists()


@pytest.mark.gpu
def test_a_gpu_that_is_too_small(capsys):
    emulator = pytest.importorskip("tests.emulator")
    if os.environ.get("TINYCNN_EMULATE_GPU") != "1":
        pytest.skip("would fill the GPU")
    tinycnn.cuda.empty_cache()
    emulator.limit_memory(tinycnn.cuda.memory_reserved() + 40_000_000)
    try:
        assert train_mnist.main([*ONE_EPOCH_OF_DIGITS, "--device", "gpu", "--batch-size", "1000"]) == 1
    finally:
        emulator.limit_memory(None)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("train_mnist.py: error: ")
    assert "cuda:0 is out of memory: " in line


def test_a_bug_keeps_its_traceback(monkeypatch):
    def buggy(*_):
        raise ValueError("a bug")

    monkeypatch.setattr(train_mnist.Run, "train", buggy)
    with pytest.raises(ValueError, match="a bug"):
        train_mnist.main(ONE_EPOCH_OF_DIGITS)


# --- Ctrl-C -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["begin", "train"])
def test_interrupted_before_the_training_there_is_nothing_to_say(where, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(train_mnist.Run if where == "train" else run, where, interrupted)
    assert train_mnist.main(ONE_EPOCH_OF_DIGITS) == 130
    assert capsys.readouterr().err == ""
