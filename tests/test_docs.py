"""docs/*.md and README.md: links lead somewhere, functions that are named exist, worked numbers are right."""

import ast
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
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
    assert sum("assert " in block for block in blocks) >= 6
    for block in blocks:
        exec(compile(block, DERIVATION.name, "exec"), names)


def test_formulas_are_closed_and_use_no_macro_that_github_lacks():
    text = re.sub(r"`[^`]*`", "", prose(DERIVATION))
    assert text.count("$$") % 2 == 0
    inline = text.replace("$$", "")
    for paragraph in inline.split("\n\n"):
        assert paragraph.count("$") % 2 == 0, paragraph
    assert not re.search(r"\\(operatorname|newcommand|def)\b", text)
