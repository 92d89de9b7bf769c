"""The pages of documentation: links lead somewhere, functions that are named exist, worked numbers and examples are
right, and the reading path is as short as it says."""

import __future__

import ast
import importlib.util
import itertools
import re
import textwrap
from pathlib import Path

import pytest

import tinycnn
from tests.optim.rules import RULES

REPOSITORY = Path(__file__).resolve().parents[1]
README, CONTRIBUTING = REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md"
PAGES = [README, CONTRIBUTING, REPOSITORY / "CHANGELOG.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
DERIVATION = REPOSITORY / "docs" / "backprop-through-conv.md"
LINK = re.compile(r"\[([^][]*)\]\(([^)\s]+)\)")


def prose(path):
    """The text without blocks of code."""
    return re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)


def anchors(path):
    """The anchors of the headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def defined(path):
    """The functions and classes of a module, and "Class.method"."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{each.name}" for each in node.body if isinstance(each, ast.FunctionDef)}
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page):
    for text, target in LINK.findall(prose(page)):
        if re.match(r"\w+:", target):
            continue
        file, _, anchor = target.partition("#")
        path = page.parent / file if file else page
        assert path.exists(), f"[{text}]({target})"
        if anchor:
            assert anchor in anchors(path), f"[{text}]({target})"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_functions_that_are_named_exist(page):
    for text, target in LINK.findall(prose(page)):
        name = re.fullmatch(r"`([A-Za-z_][\w.]*)`", text)
        if name and target.endswith(".py") and not name[1].endswith(".py"):
            assert name[1] in defined(page.parent / target), f"[{text}]({target})"


def test_the_derivation_names_both_files():
    named = {target: text for text, target in LINK.findall(prose(DERIVATION)) if text.startswith("`")}
    assert {"../tinycnn/teaching/reference.py", "../tinycnn/ops/conv.py"} <= set(named)


def test_the_worked_numbers_of_the_derivation():
    names: dict = {}
    blocks = re.findall(r"```python\n(.*?)```", DERIVATION.read_text(encoding="utf-8"), re.DOTALL)
    for block in blocks:
        exec(compile(block, DERIVATION.name, "exec"), names)


def test_every_section_of_the_derivation_with_a_formula_computes_it():
    sections = re.split(r"^## ", DERIVATION.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    assert len(sections) >= 14
    for section in sections:
        assert "$$" not in section or re.search(r"^assert ", section, re.MULTILINE), section.partition("\n")[0]


def test_the_anchors_of_the_derivation_differ():
    """GitHub counts equal ones up, and a link would lead to the first."""
    titles = re.findall(r"^#+ (.*)$", prose(DERIVATION), re.MULTILINE)
    assert len(anchors(DERIVATION)) == len(titles)


def test_no_text_in_a_figure_of_the_derivation_covers_another():
    pytest.importorskip("matplotlib")
    path = REPOSITORY / "docs" / "figures" / "make_figures.py"
    spec = importlib.util.spec_from_file_location("make_figures", path)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    for draw in program.DERIVATION:
        figure = draw()
        figure.draw_without_rendering()
        texts = [text for text in figure.axes[0].texts if text.get_text()]
        boxes = {text: (text.get_bbox_patch() or text).get_window_extent() for text in texts}
        assert len(boxes) > 10
        for (one, box), (other, its_box) in itertools.combinations(boxes.items(), 2):
            assert not box.overlaps(its_box), (draw.__name__, one.get_text(), other.get_text())
        whole = figure.bbox
        assert all(whole.x0 <= box.x0 and box.x1 <= whole.x1 for box in boxes.values()), draw.__name__


def test_formulas_are_closed_and_use_no_macro_that_github_lacks():
    text = re.sub(r"`[^`]*`", "", prose(DERIVATION))
    assert text.count("$$") % 2 == 0
    inline = text.replace("$$", "")
    for paragraph in inline.split("\n\n"):
        assert paragraph.count("$") % 2 == 0, paragraph
    assert not re.search(r"\\(operatorname|newcommand|def)\b", text)


# --- README -------------------------------------------------------------------------------------------------


def test_the_reading_path_is_short():
    """The files of the table, in which a row is a file, have 2,500 lines at most, and about as many as README says."""
    section = README.read_text(encoding="utf-8").split("\n## Reading the source\n")[1].split("\n## ")[0]
    files = [target for row in section.splitlines() if row.startswith("|") for _, target in LINK.findall(row)]
    lines = sum(len((REPOSITORY / file).read_text(encoding="utf-8").splitlines()) for file in files)
    assert len(files) >= 8
    assert lines <= 2500, f"the reading path has {lines} lines"
    stated = int(re.search(r"about ([\d,]+) lines", section)[1].replace(",", ""))
    assert abs(lines - stated) <= 100, f"README says about {stated} lines, there are {lines}"


# --- CONTRIBUTING -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def worked_examples():
    """What the blocks of code define, by the module that their first line names: each runs in a copy of its module."""
    found = {}
    text = CONTRIBUTING.read_text(encoding="utf-8")
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        code = textwrap.dedent(block)
        name = re.match(r"# (\S+)\.py\n", code)[1].replace("/", ".")
        names = found[name] = {"__name__": name}
        if name == "tests.optim.rules":
            exec("from tests.optim.rules import *\nrows = {" + code + "}", names)
            continue
        if (REPOSITORY / f"{name.replace('.', '/')}.py").exists():
            names |= vars(importlib.import_module(name))
        exec(compile(code, f"CONTRIBUTING.md: {name}", "exec", flags=__future__.annotations.compiler_flag), names)
    return found


def test_the_worked_operator(worked_examples):
    rsqrt = worked_examples["tinycnn.ops.unary"]["rsqrt"]
    x = tinycnn.tensor([[0.25, 4.0, 1.0]], dtype="float64", requires_grad=True)
    assert rsqrt(x).tolist() == [[2.0, 0.5, 1.0]]
    assert tinycnn.gradcheck(rsqrt, x)
    assert tinycnn.gradgradcheck(rsqrt, x)
    assert rsqrt(tinycnn.tensor(0.0)).item() == float("inf")


def test_the_worked_layer(worked_examples):
    x = tinycnn.tensor([-1.0, 0.0, 2.0], dtype="float64")
    expected = x * tinycnn.tanh(tinycnn.log(1 + tinycnn.exp(x)))
    assert tinycnn.allclose(worked_examples["tinycnn.nn.smooth"]["Mish"]()(x), expected)


def test_the_worked_optimizer(worked_examples):
    optimizer_class = worked_examples["tinycnn.optim.adamax"]["Adamax"]
    rule = worked_examples["tests.optim.rules"]["rows"]["Adamax"]
    assert type(rule) is type(RULES["SGD"])
    x = tinycnn.tensor([3.0, -2.0], requires_grad=True)
    optimizer = optimizer_class([x], lr=rule.lr)
    for _ in range(200):
        optimizer.zero_grad()
        (x * x).sum().backward()
        optimizer.step()
    assert (x * x).sum().item() < 0.01
    for options, error, message in rule.bad_options:
        with pytest.raises(error, match=re.escape(message)):
            optimizer_class([x], **options)
