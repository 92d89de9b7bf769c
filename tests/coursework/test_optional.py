"""The optional steps: graded like the others, without points."""

import json
import os
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from conftest import COURSEWORK, SOLUTIONS
from wrong.optional import MUTANTS

import tinycnn.data
from tinycnn.teaching.grade import STEPS, main
from tinycnn.teaching.grade.callables import ADJOINTS, FUNCTIONS, GRADIENTS, SIZE, Work, by_name
from tinycnn.teaching.grade.runner import Unknown

OPTIONAL = [step for step in STEPS if step.optional]


def results_of(folder, tmp_path, *arguments):
    file = tmp_path / "results.json"
    status = main([str(folder), *arguments, "--json", str(file)])
    return status, json.loads(file.read_text(encoding="utf-8"))


# --- wrong answers ------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("step, old, new, result, name", MUTANTS)
def test_a_wrong_answer_is_rejected_and_named(folder, step, old, new, result, name):
    folder.change(step, old, new)
    wrong = [check for check in folder.grade(step).checks if check.problem and check.result == result]
    assert wrong
    assert any(name in check.diagnosis + check.problem for check in wrong)


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_to_be_checked_are_as_right_as_they_say(name):
    rng = np.random.default_rng(0)
    forward, x = FUNCTIONS[name.split(": ")[0]], rng.uniform(0.5, 1.5, (2, 5))
    g, dx = rng.uniform(0.5, 1.5, forward(x).shape), np.zeros((2, 5))
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = 1e-5
        dx[i] = ((forward(x + step) - forward(x - step)) * g).sum() / 2e-5
    got = GRADIENTS[name](np.ones_like(g) if "ones" in name else g, x)
    if "ones" in name:
        assert np.allclose(got, 3 * x**2)
    else:
        is_right = got.shape == dx.shape and np.abs(got - dx).max() <= 1e-6 * np.abs(dx).max()
        assert is_right == name.endswith(": right")


@pytest.mark.parametrize("name", ADJOINTS)
def test_adjoints_to_be_checked_are_as_right_as_they_say(name):
    rng = np.random.default_rng(0)
    forward = name.removeprefix("adjoint of ").split(": ")[0]
    x = rng.standard_normal((2, 2, *SIZE) if forward == "conv" else (2, 9))
    y = FUNCTIONS[forward](x)
    g = rng.standard_normal(y.shape)
    dx = ADJOINTS[name](g)
    is_right = dx.shape == x.shape and abs((y * g).sum() - (x * dx).sum()) <= 1e-9 * np.abs(y * g).sum()
    assert is_right == (": right" in name)


def test_what_an_exercise_gets_for_names():
    function, generator, work, clock, number = by_name(lambda *a: a)("x³", "default_rng 5", "calls that take 2, 3",
                                                                     "their clock", 4)  # fmt: skip
    assert (function(2.0), generator.random(), number) == (8.0, np.random.default_rng(5).random(), 4)
    assert isinstance(work, Work)
    assert (clock(), work(), clock(), work(), work(), clock()) == (0, None, 2, None, None, 8)


ODD = [
    None, True, 0, -1, 2**63, 1.5, float("nan"), float("inf"), "", "text", (), (1, 2), {}, Unknown("list"),
    {"loops": "a", "im2col": None, "ratio": ()}, {"loops": True, "im2col": 1.0, "ratio": float("nan")},
    *(np.zeros(shape, dtype) for shape in ((), (0,), (3,), (1, 1, 28, 28), (500,)) for dtype in "?bQefd"),
]  # fmt: skip


@pytest.mark.parametrize("exercise", [e for step in OPTIONAL for e in step.exercises if e.judge is not None],
                         ids=lambda exercise: exercise.function)  # fmt: skip
def test_no_value_upsets_a_judge(exercise, pictures):
    for case in exercise.draw(np.random.default_rng(0)):
        for value in ODD:
            problem = exercise.judge(value, case)
            assert problem is None or isinstance(problem, str)


# --- no points ----------------------------------------------------------------------------------------------


def test_optional_steps_have_no_points():
    assert [step.number for step in OPTIONAL] == list(range(11, 18))
    assert sum(step.max_score for step in OPTIONAL) == 0


@pytest.mark.slow
def test_an_optional_step_that_is_not_begun_is_one_line(capsys, folder):
    shutil.copy(COURSEWORK / "step13_dropout.py", folder.path)
    for step in OPTIONAL:
        if step.number != 13:
            folder.file(step.number).unlink()
    status, results = results_of(folder.path, folder.path.parent, "--timeout", "60")
    out = capsys.readouterr().out
    assert (status, results["score"], results["max_score"]) == (0, 100, 100)
    assert [line.split() for line in out.splitlines() if line.startswith("step 1")][1:] == [
        ["step", "13", "dropout", "optional"]
    ]
    assert not [test for test in results["tests"] if test["name"].startswith("step 13")]


def test_a_wrong_optional_step_costs_nothing_and_is_shown(capsys, folder):
    folder.change(13, "return grad_output * mask / (1 - p)", "return grad_output * mask")
    for step in STEPS:
        if step.number not in (1, 13):
            folder.file(step.number).unlink()
    status, results = results_of(folder.path, folder.path.parent)
    assert (status, results["score"], results["max_score"]) == (1, 5, 100)  # as steps 2 to 10 are missing
    shown = {test["name"]: test for test in results["tests"] if test["name"].startswith("step 13")}
    assert {name: test["status"] for name, test in shown.items()} == {
        "step 13: dropout_mask: mask": "passed",
        "step 13: dropout_forward: y": "passed", "step 13: dropout_forward: y, float32": "passed",
        "step 13: dropout_backward: dx": "failed", "step 13: dropout_backward: dx, float32": "failed",
    }  # fmt: skip
    assert not any({"score", "max_score"} & test.keys() for test in shown.values())
    assert "likely: not divided by 1 − p" in shown["step 13: dropout_backward: dx"]["output"]
    assert "step 13  dropout" in (out := capsys.readouterr().out)
    assert "3 of 5 passed, optional" in out


@pytest.mark.parametrize("old, new, status", [("mask /", "mask /", 0), ("mask /", "mask *", 1)])
def test_the_exit_status_counts_an_optional_step_that_is_asked_for(folder, old, new, status):
    folder.change(13, old, new)
    assert main([str(folder.path), "--only", "13"]) == status


# --- Fashion-MNIST ------------------------------------------------------------------------------------------


def write_idx(path, array):
    """An IDX file: two zeros, 8 for bytes, the number of axes, their sizes, the elements."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    path.write_bytes(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes())


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """Files in the form of Fashion-MNIST's: a bright bar for each class, at a place of its own, and noise."""
    rng, raw = np.random.default_rng(0), tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name, count in (("train", 600), ("t10k", 100)):
        labels = rng.integers(0, 10, count).astype(np.uint8)
        images = rng.integers(0, 80, (count, 28, 28)).astype(np.uint8)
        for image, label in zip(images, labels):
            image[2 + 2 * label : 5 + 2 * label, 4:24] += 150
        write_idx(raw / f"{name}-images-idx3-ubyte", images)
        write_idx(raw / f"{name}-labels-idx1-ubyte", labels)
    monkeypatch.setenv("TINYCNN_DATA", str(tmp_path))
    monkeypatch.setattr(tinycnn.data.FashionMNIST, "checksums", {})


@pytest.mark.parametrize("new, status, said", [
    ("", 0, "ok    classify: classes"),
    ("return np.zeros(len(unseen), int)", 1, "of 100 pictures, expected at least 70%"),
    ("return np.zeros(len(unseen))", 1, "expected an array of 100 ints"),
    ("return np.zeros(50, int)", 1, "expected an array of 100 ints"),
])  # fmt: skip
def test_classes_of_pictures_not_seen(pictures, folder, capsys, new, status, said):
    if new:
        folder.change(17, "rng = np.random.default_rng(0)\n    x, ", new + "\n    x, ")
    assert main([str(folder.path), "--only", "17"]) == status
    assert said in capsys.readouterr().out


def test_without_the_data_the_training_is_left_out(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TINYCNN_DATA", str(tmp_path / "empty"))
    status, results = results_of(folder.path, tmp_path, "--only", "17")
    out = capsys.readouterr().out
    assert status == 0
    assert "1 of 1 passed, optional" in out
    assert "skip  classify: classes\n        left out: FashionMNIST: no train-images-idx3-ubyte" in out
    assert [test["name"] for test in results["tests"]] == ["step 17: prepare: pictures"]


# --- from the archives --------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("archive", ["tinycnn-coursework.zip", "tinycnn-autograder.zip"])
def test_the_released_grader_grades_optional_steps(tmp_path, archive):
    builder = COURSEWORK.parent / "tools" / "coursework_release.py"
    subprocess.run([sys.executable, str(builder), "--output", str(tmp_path)], check=True)
    with zipfile.ZipFile(tmp_path / archive) as opened:
        opened.extractall(tmp_path / "unpacked")
    folder = tmp_path / "submission"
    shutil.copytree(SOLUTIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "tinycnn.grade", str(folder), "--json", str(tmp_path / "results.json"), "--only",
               *(str(step.number) for step in OPTIONAL)]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": "", "TINYCNN_DATA": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path / "unpacked", capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    tests = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["tests"]
    assert len(tests) > 40
    assert {test["status"] for test in tests} == {"passed"}
