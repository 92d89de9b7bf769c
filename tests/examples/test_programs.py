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


@pytest.mark.parametrize("name, option, limits", [
    ("kernel_sums", "--seed", "from 0 to 4,294,967,295"), ("conv_three_ways", "--batch", "from 1 to 100,000"),
    ("conv_three_ways", "--padding", "from 0 to 100,000"), ("edge_detection", "--size", "from 1 to 100,000"),
])  # fmt: skip
@pytest.mark.parametrize("value", ["-1", "1.5", "nan", "", "x", "10000000000"])
def test_a_number_out_of_range_is_one_line(name, option, limits, value):
    done = run_program(name, option, value)
    line = f"{name}.py: error: argument {option}: expected an int {limits}, got {value}; --help shows the options\n"
    assert done == (2, "", line)


def test_without_memory_the_size_is_one_line():
    done = run_program("conv_three_ways", "--size", 100_000, "--batch", 100_000)
    assert (done.status, done.out) == (1, "")
    (line,) = done.err.splitlines()
    assert line.startswith("conv_three_ways.py: error: Unable to allocate 21.3 PiB for an array with shape ")
