"""`tinycnn evaluate`: the figures are those of the training, the tables add up, what does not fit is refused."""

import json
import re
import shutil

import numpy as np
import pytest

from tests.commands.conftest import tinycnn
from tinycnn.commands.evaluate import class_table, confusion_text, main
from tinycnn.training.evaluation import Evaluation


def test_the_figures_are_those_of_the_training(digits_run, tmp_path, capsys):
    picture = tmp_path / "confusion.png"
    assert main([str(digits_run), "--out", str(picture)]) == 0
    text = capsys.readouterr().out
    last = json.loads((digits_run / "metrics.jsonl").read_text().splitlines()[-1])
    assert f"loss {last['test_loss']:.4f}, accuracy {last['test_accuracy']:.2%}" in text
    rows = re.findall(r"^(\d)  +(\d+)  +(\d+)  ", text, re.MULTILINE)
    assert [name for name, *_ in rows] == list("0123456789")
    assert sum(int(images) for _, images, _ in rows) == 360
    assert sum(int(right) for *_, right in rows) == round(360 * last["test_accuracy"])
    from matplotlib.image import imread

    assert imread(picture)[..., :3].std() > 0.02


def test_the_weights_alone(digits_run, tmp_path, capsys):
    shutil.copy(digits_run / "weights.safetensors", tmp_path / "net.safetensors")
    assert main([str(tmp_path / "net.safetensors")]) == 0
    assert "digits: 360 test images; lenet5 of " in capsys.readouterr().out


def test_tables():
    probabilities = np.eye(3)[[0, 0, 1, 1, 1, 0]]
    found = Evaluation(probabilities, np.array([0, 0, 0, 1, 1, 1]), ("cat", "dog", "none"), 0.0)
    table = [line.split() for line in class_table(found).splitlines()]
    assert table[2:] == [
        ["cat", "3", "2", "66.67%", "66.67%", "dog", "(1)"],
        ["dog", "3", "2", "66.67%", "66.67%", "cat", "(1)"],
        ["none", "0", "0", "–", "–"],
    ]
    rows = [line.split() for line in confusion_text(found).splitlines()[1:]]
    assert rows == [["cat", "dog", "none"], ["cat", "2", "1", "·"], ["dog", "1", "2", "·"], ["none", "·", "·", "·"]]


def test_many_classes_are_listed_by_their_mistakes():
    names = tuple(f"class {i}" for i in range(47))
    found = Evaluation(np.eye(47)[[1, 1, 2, 3]], np.array([0, 0, 0, 3]), names, 0.0)
    assert confusion_text(found).splitlines()[1:] == [
        "      2  class 0 taken for class 1", "      1  class 0 taken for class 2",
    ]  # fmt: skip


@pytest.mark.parametrize("arguments, message", [
    (["--dataset", "digitz"], "--dataset: expected one of mnist, fashion_mnist, "),
    (["--device", "tpu"], "tpu"),
    (["--data-root", "none", "--dataset", "folder"], "none/test"),
])  # fmt: skip
def test_what_is_refused(digits_run, tmp_path, arguments, message):
    if "folder" in arguments:
        (tmp_path / "none" / "train" / "a").mkdir(parents=True)
        from PIL import Image

        Image.new("RGB", (9, 9)).save(tmp_path / "none" / "train" / "a" / "b.png")
    done = tinycnn("evaluate", digits_run, *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"tinycnn evaluate: error: [^\n]*\n", done.stderr), done.stderr
    assert message in done.stderr


def test_other_classes_are_refused(digits_run, tmp_path):
    """A folder of pictures of two classes, of the right size."""
    from PIL import Image

    for part in ("train", "test"):
        for name in ("cat", "dog"):
            (tmp_path / "pets" / part / name).mkdir(parents=True)
            Image.new("RGB", (32, 32)).save(tmp_path / "pets" / part / name / "1.png")
    done = tinycnn("evaluate", digits_run, "--dataset", "folder", "--data-root", "pets", cwd=tmp_path)
    assert done.returncode == 1
    assert re.search(r"error: .*the net (takes|knows) .*folder has", done.stderr), done.stderr


@pytest.mark.slow
def test_the_real_mnist(mnist_run, mnist_root, capsys):
    assert main([str(mnist_run), "--data-root", str(mnist_root)]) == 0
    text = capsys.readouterr().out
    assert "mnist: 10,000 test images" in text
    assert float(re.search(r"accuracy ([\d.]+)%", text)[1]) > 95
    assert main([str(mnist_run), "--dataset", "digits"]) == 1
    assert "the net takes pictures of 1×28×28, digits has 1×32×32" in capsys.readouterr().err
