"""The fuzzer itself: it finds bugs that are planted and makes them short, and is the same in every run."""

import contextlib
import functools
import io
import re
from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tinycnn import Tensor
from tinycnn.nn import activation
from tinycnn.ops import shape, unary

pytest.importorskip("torch", reason="needs torch: make test-torch")

from tests.fuzz import __main__ as command
from tests.fuzz import compare, difference, grammar, minimise, program

pytestmark = pytest.mark.torch

PAGE = Path(__file__).resolve().parents[2] / "docs" / "coming-from-pytorch.md"


def test_a_seed_gives_one_program():
    first, again = ([s.source for s in grammar.generate(7)] for _ in range(2))
    assert first == again
    assert first != [s.source for s in grammar.generate(8)]


@functools.cache
def source(seed):
    return "\n".join(statement.source for statement in grammar.generate(seed))


def test_the_grammar_reaches_everything():
    text = "\n".join(source(seed) for seed in range(400))
    for dtype in program.DTYPES:
        assert f"dtype=lib.{dtype}" in text or f"dtype={dtype}" in text
    layouts = [r"\.permute\(\(3, 1, 0, 2\)\)", r"\[1::2, 1::2\]", r"\.expand\(", r"\.permute\(\(1, 0\)\)"]
    for pattern in ["nan", "inf", r"lib\.zeros\(\(", "backward", "create_graph", *layouts]:
        assert re.search(pattern, text), pattern
    never = [name for name in vars(tinycnn.nn.functional) if not name.startswith("_") and f"F.{name}(" not in text]
    # Left out: what draws numbers, three dimensions, which are rare, and what the table of operators alone has.
    tables = [Path(__file__).parents[1] / name for name in ("operators.py", "layers.py", "public_calls.py")]
    words = set(re.findall(r"\w+", " ".join(table.read_text(encoding="utf-8") for table in tables)))
    drawing = ("dropout", "rrelu", "gumbel_softmax")
    never = [name for name in never if "3d" not in name and not any(word in name for word in drawing)]
    assert [name for name in never if name not in words] == []
    assert len(never) < 60


def test_a_known_difference_is_named_in_the_documents():
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert [sentence for sentence, _ in difference.KNOWN if sentence not in text] == []


# --- planted bugs -----------------------------------------------------------------------------------------


def half_of_it(self, grad_output):
    return grad_output * 0.5


def found(needs, kind, monkeypatch, owner, attribute, wrong):
    """The seed of a program with the text `needs` that shows a difference of this kind once the bug is planted, which
    it is from then on, and none before."""
    for seed in range(2000):
        if re.search(needs, source(seed)) and compare.first_difference(grammar.generate(seed)) is None:
            with monkeypatch.context() as patch:
                patch.setattr(owner, attribute, wrong)
                shown = compare.first_difference(grammar.generate(seed))
            if shown is not None and shown.kind == kind:
                monkeypatch.setattr(owner, attribute, wrong)
                return seed, shown
    pytest.fail("not found")


# What is planted, the text that a program needs to show it, the kind of difference, and the longest minimised program.
PLANTED = {
    "a wrong backward": (unary.Tanh, "backward", half_of_it, r"tanh\(", "value", 4),
    "the other branch": (
        activation, "where", lambda condition, x, y: tinycnn.where(condition, y, x), r"F\.leaky_relu", "value", 3,
    ),
    "a clamp that does nothing": (Tensor, "clamp", lambda x, min=None, max=None: x * 1.0, r"\.clamp", "value", 4),
    "a sum for a mean": (Tensor, "mean", lambda x, *dims, **options: x.sum(*dims, **options), r"\.mean", "value", 2),
    "a change in place that is not counted": (
        Tensor, "_changed_in_place", lambda self: None, "no_grad", "raises", 8,
    ),
    "a copy that is a view": (
        shape.Flip, "forward", lambda self, x: np.flip(x, getattr(self, "dims", 0)), r"\.flip", "value", 4,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_found_and_made_short(name, monkeypatch):
    owner, attribute, wrong, needs, kind, longest = PLANTED[name]
    seed, shown = found(needs, kind, monkeypatch, owner, attribute, wrong)
    short, _ = minimise.minimise(grammar.generate(seed), shown)
    assert len(short) <= longest, [s.source for s in short]
    monkeypatch.undo()
    assert compare.first_difference(short) is None


def test_what_is_printed_can_be_run(monkeypatch):
    """The command's report of a bug ends with a program that shows it, and its status is 1."""
    plant = unary.Exp, "forward", lambda self, x: np.exp(x) + 1
    seed, _ = found(r"\bexp\(", "value", monkeypatch, *plant)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = command.main(["--seed", str(seed), "--programs", "1"])
    assert status == 1
    assert f"--- seed {seed}: " in printed.getvalue()
    report = printed.getvalue()
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        exec(compile(report[report.index("from math") : report.index("\nseeds ")], "<report>", "exec"), {})
    ours, theirs = shown.getvalue().split("torch: ")
    assert ours.startswith("tinycnn: ")
    assert ours.removeprefix("tinycnn: ").strip() != theirs.strip()
