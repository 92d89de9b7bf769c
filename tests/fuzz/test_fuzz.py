"""The fuzzer itself: it finds bugs that are planted and makes them short, and is the same in every run."""

import contextlib
import io
import re
from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tinycnn import Tensor
from tinycnn.nn import activation
from tinycnn.ops import reduce, shape, unary

pytest.importorskip("torch", reason="needs torch: make test-torch")

from tests.fuzz import __main__ as command
from tests.fuzz import compare, difference, grammar, minimise, program

pytestmark = pytest.mark.torch

DESIGN = Path(__file__).resolve().parents[2] / "docs" / "design.md"


def test_a_seed_gives_one_program():
    first, again = ([s.source for s in grammar.generate(7)] for _ in range(2))
    assert first == again
    assert first != [s.source for s in grammar.generate(8)]


@pytest.fixture(scope="module")
def sources():
    """Of 400 programs, as texts."""
    return ["\n".join(s.source for s in grammar.generate(seed)) for seed in range(400)]


def test_the_grammar_reaches_everything(sources):
    text = "\n".join(sources)
    for dtype in program.DTYPES:
        assert f"dtype=lib.{dtype}" in text or f"dtype={dtype}" in text
    layouts = [r"\.permute\(\(3, 1, 0, 2\)\)", r"\[1::2, 1::2\]", r"\.expand\(", r"\.permute\(\(1, 0\)\)"]
    for pattern in ["nan", "inf", r"lib\.zeros\(\(", "backward", "create_graph", *layouts]:
        assert re.search(pattern, text), pattern
    never = [name for name in vars(tinycnn.nn.functional) if not name.startswith("_") and f"F.{name}(" not in text]
    # Left out: dropout draws numbers, three dimensions are rare.
    assert [name for name in never if "dropout" not in name and "3d" not in name] == []


def test_a_known_difference_is_named_in_the_documents():
    text = " ".join(DESIGN.read_text(encoding="utf-8").split())
    assert [sentence for sentence, _ in difference.KNOWN if sentence not in text] == []


# --- planted bugs -----------------------------------------------------------------------------------------


def half_of_it(self, grad_output):
    return grad_output * 0.5


def found(sources, needs, kind, monkeypatch, *plant):
    """The first program with the text `needs` that shows a difference of this kind once the bug is planted, and none
    before; minimised."""
    for seed, source in enumerate(sources):
        if not re.search(needs, source):
            continue
        made = grammar.generate(seed)
        if compare.first_difference(made) is not None:
            continue
        with monkeypatch.context() as patch:
            patch.setattr(*plant)
            difference = compare.first_difference(made)
            if difference is not None and difference.kind == kind:
                return minimise.minimise(made, difference)[0]
    pytest.fail("not found")


# What is planted, the text that a program needs to show it, the kind of difference, and the longest minimised program.
PLANTED = {
    "a wrong backward": (unary.Tanh, "backward", half_of_it, r"tanh\(", "value", 4),
    "the other branch": (
        activation, "where", lambda condition, x, y: tinycnn.where(condition, y, x), r"F\.leaky_relu", "value", 3,
    ),
    "a clamp that does nothing": (Tensor, "clamp", lambda x, min=None, max=None: x * 1.0, r"\.clamp", "value", 4),
    "a wrong default": (
        reduce, "normalize_dims", lambda dims, x, name, empty_is_all=False: (), r"\.(sum|mean)\(\)", "shape", 3,
    ),
    "a change in place that is not counted": (
        Tensor, "_changed_in_place", lambda self: None, "no_grad", "raises", 8,
    ),
    "a copy that is a view": (
        shape.Flip, "forward", lambda self, x: np.flip(x, getattr(self, "dims", 0)), r"\.flip", "value", 4,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_found_and_made_short(sources, name, monkeypatch):
    owner, attribute, wrong, needs, kind, longest = PLANTED[name]
    short = found(sources, needs, kind, monkeypatch, owner, attribute, wrong)
    assert len(short) <= longest, [s.source for s in short]


def test_what_is_printed_can_be_run(monkeypatch):
    """The command's report of a bug ends with a program that shows it, and its status is 1."""
    monkeypatch.setattr(unary.Exp, "forward", lambda self, x: np.exp(x) + 1)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = command.main(["--seed", "0", "--programs", "60", "--dtype", "float64"])
    assert status == 1
    reports = [r for r in printed.getvalue().split("--- seed ") if "exp(" in r.split("\n")[0]]
    code = reports[0][reports[0].index("from math") :].split("\n--- ")[0].split("\nseeds ")[0]
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        exec(compile(code, "<report>", "exec"), {})
    ours, theirs = shown.getvalue().split("torch: ")
    assert ours.startswith("tinycnn: ")
    assert ours.removeprefix("tinycnn: ").strip() != theirs.strip()
