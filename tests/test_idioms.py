"""The table of idioms (`tests/idioms`): each gives with tinycnn what it gives with torch, unless its row says
otherwise, and then it does differ. docs/coming-from-pytorch.md is what the table says."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

import tinycnn
from tests.idioms import run
from tests.idioms.table import IDIOMS, Idiom

REPOSITORY = Path(__file__).resolve().parents[1]
RECORDED = json.loads((REPOSITORY / "tests" / "fixtures" / "idioms.json").read_text(encoding="utf-8"))

by_name = pytest.mark.parametrize("idiom", IDIOMS, ids=lambda idiom: idiom.name)


def ours(idiom, code=""):
    if idiom.vision:
        pytest.importorskip("PIL", reason="needs Pillow")
    return json.loads(json.dumps(run.run(idiom, tinycnn, code)))


@by_name
def test_an_idiom_is_what_its_row_says(idiom):
    checksum, theirs = RECORDED[idiom.name]
    assert checksum == run.checksum(idiom), "the idiom has changed: run tests/fixtures/record_idioms.py"
    difference = run.difference(theirs, ours(idiom))
    if idiom.sentence:
        assert difference, "the row says that the libraries differ here; they do not"
    else:
        assert not difference, difference


@pytest.mark.parametrize("idiom", [row for row in IDIOMS if row.instead], ids=lambda idiom: idiom.name)
def test_what_is_to_be_written_instead_gives_what_torch_gives(idiom):
    _, theirs = RECORDED[idiom.name]
    found = ours(idiom, idiom.instead)
    common = theirs["names"].keys() & found.get("names", {}).keys()
    assert common or theirs["printed"], found
    theirs, found = ({"names": {n: side["names"][n] for n in common}, "printed": side["printed"]} for side in
                     (theirs, found))  # fmt: skip
    assert not run.difference(theirs, found)


@pytest.mark.torch
@by_name
def test_what_is_recorded_is_what_torch_gives(idiom):
    torch = pytest.importorskip("torch")
    if idiom.vision and importlib.util.find_spec("torchvision") is None:
        pytest.skip("needs torchvision")
    assert run.difference(RECORDED[idiom.name][1], json.loads(json.dumps(run.run(idiom, torch)))) == ""


@by_name
def test_a_row_compares_something(idiom):
    """An idiom that torch refuses says with which error; any other defines or prints what can be compared."""
    _, theirs = RECORDED[idiom.name]
    assert theirs.get("raises", [""])[0] == idiom.raises
    assert idiom.raises or theirs["names"] or theirs["printed"]


def test_there_are_many():
    assert len(IDIOMS) >= 250
    assert len(RECORDED) == len(IDIOMS)
    assert sum(not row.sentence for row in IDIOMS) / len(IDIOMS) > 0.9


# --- the comparison itself ----------------------------------------------------------------------------------


def seen(code, draws=""):
    return run.run(Idiom("test", "test", code, tuple(draws.split()), "", "", "", "", False), tinycnn)


@pytest.mark.parametrize("theirs, ours, words", [
    ("x = torch.ones(2)", "x = torch.ones(2) + 1e-3", "values of names.x"),
    ("x = torch.ones(2)", "x = torch.ones(2, dtype=torch.float64)", "names.x.dtype"),
    ("x = torch.ones(2)", "x = torch.ones(2, 1)", "names.x.shape"),
    ("x = torch.ones(2)", "x = torch.ones(2, requires_grad=True)", "names.x.requires_grad"),
    ("x = torch.ones(2)", "y = torch.ones(2)", "names"),
    ("x = 1", "x = 1.0", "names.x"),
    ("x = [1, 2]", "x = (1, 2)", "names.x"),
    ("x = {'a': 1}", "x = {'a': 2}", "names.x.dict.a"),
    ("x = np.ones(2)", "x = torch.ones(2)", "names.x"),
    ("x = nn.Linear(1, 2)", "x = nn.Linear(1, 2).eval()", "training"),
    ("print(1)", "print(2)", "printed"),
    ("x = 1", "raise ValueError", "we raise ValueError"),
    ("raise KeyError", "x = 1", "torch raises KeyError"),
    ("raise KeyError", "raise IndexError", "torch raises KeyError, we IndexError"),
    ("w = torch.ones(1, requires_grad=True); w.sum().backward()",
     "w = torch.ones(1, requires_grad=True); (2 * w).sum().backward()", "values of names.w.grad"),
])  # fmt: skip
def test_a_planted_difference_is_found(theirs, ours, words):
    assert run.difference(seen(theirs), seen(theirs)) == ""
    assert words in run.difference(seen(theirs), seen(ours))


def test_what_is_drawn_is_compared_by_shape_and_dtype():
    one, other = seen("x = torch.randn(3)", "x"), seen("x = 2 * torch.randn(3)", "x")
    assert run.difference(one, other) == ""
    assert run.difference(one, seen("x = torch.randn(4)", "x")) != ""


# --- the page -----------------------------------------------------------------------------------------------


def test_the_page_is_what_the_table_says():
    command = [sys.executable, "tools/coming_from_pytorch.py", "--print"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    page = (REPOSITORY / "docs" / "coming-from-pytorch.md").read_text(encoding="utf-8")
    assert page == done.stdout, "run `make docs`"
