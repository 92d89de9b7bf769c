"""`tinycnn summary`: the table of a net by its name, of a run, and of weights."""

import re

import pytest

import tinycnn as library
from tests.commands.conftest import tinycnn
from tinycnn.commands.summary import main
from tinycnn.models import LeNet5, list_models


def test_by_name(capsys):
    assert main(["lenet5"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("lenet5 for one picture of 1×28×28 and 10 classes\n\n")
    assert str(library.summary(LeNet5(), (1, 1, 28, 28), show=False)) in text
    assert main(["resnet20", "--input", "3,32,32", "--classes", "100"]) == 0
    assert re.search(r"Linear +\(1, 100\)", capsys.readouterr().out)


def test_of_a_run(digits_run, capsys):
    for path in (digits_run, digits_run / "weights.safetensors"):
        assert main([str(path)]) == 0
        text = capsys.readouterr().out
        assert text.startswith("lenet5 for one picture of 1×32×32 and 10 classes\n\n")
        assert "61,706" in text


def test_the_list(capsys):
    assert main(["--list"]) == 0
    assert capsys.readouterr().out.split() == list_models()


@pytest.mark.parametrize("arguments, status, message", [
    (["nope"], 1, "models: there is no net 'nope'"),
    (["lenet5", "--input", "1,40,40"], 1, "LeNet5: expected image_size 28 or 32, got 40"),
    (["."], 1, ".: expected the weights of a run, there is nothing"),
    (["lenet5", "--input", "28,28"], 2, "argument --input: expected C,H,W such as 1,28,28, got '28,28'"),
    (["lenet5", "--input", "1,0,28"], 2, "argument --input: expected 1 or more, got '0'"),
    (["lenet5", "--classes", "x"], 2, "argument --classes: expected 1 or more, got 'x'"),
    ([], 2, "expected a MODEL or --list"),
    (["lenet5", "--list"], 2, "expected a MODEL or --list"),
])  # fmt: skip
def test_what_is_refused(tmp_path, arguments, status, message):
    done = tinycnn("summary", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (status, "")
    assert re.fullmatch(r"tinycnn summary: error: [^\n]*\n", done.stderr)
    assert message in done.stderr
