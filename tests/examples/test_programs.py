"""What all the small programs have in common."""

import ast
import sys

import pytest

from tests.examples.programs import EXAMPLES, run_program, start_program

PROGRAMS = {  # and arguments with which each is quick
    "check_against_torch": ["--cases", 1, "--only", "Linear"],
    "conv_exercise": [],
    "conv_three_ways": ["--size", 6, "--repeat", 1],
    "edge_detection": ["--size", 100],
    "kernel_sums": [],
    "pooling": [],
    "unfold_is_conv": [],
}
needed = {"check_against_torch": "torch", "edge_detection": "sklearn"}
every_program = pytest.mark.parametrize("name", PROGRAMS)


@every_program
def test_it_runs_from_any_folder_without_a_warning(name, tmp_path):
    if name in needed:
        pytest.importorskip(needed[name])
    done = start_program(name, *PROGRAMS[name], cwd=tmp_path)
    assert (done.status, done.err) == (0, "")
    assert len(done.out.splitlines()) > 4
    assert all(len(line) <= 130 for line in done.out.splitlines())


@every_program
def test_help_needs_no_further_package(name, monkeypatch):
    for module in ("matplotlib", "sklearn", "PIL", "torch"):
        monkeypatch.setitem(sys.modules, module, None)
    done = run_program(name, "--help")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"usage: {name}.py")


@every_program
def test_an_unknown_option_is_one_line(name):
    done = run_program(name, "--sed", "1", "--wrong")
    assert (done.status, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert line.startswith(f"{name}.py: error: ")


@every_program
def test_its_first_lines_say_what_it_is_and_how_to_run_it(name):
    docstring = ast.get_docstring(ast.parse((EXAMPLES / f"{name}.py").read_text(encoding="utf-8")))
    assert f"python examples/{name}.py" in docstring.splitlines()[2]


@pytest.mark.parametrize("name, option", [("kernel_sums", "--seed"), ("conv_three_ways", "--batch")])
def test_a_number_out_of_range_is_one_line(name, option):
    done = run_program(name, option, "-1")
    assert done.status == 2
    assert done.err.startswith(f"{name}.py: error: argument {option}: expected an int of at least ")
