"""`tinycnn new`: what it writes runs at once, passes its tests and our linter."""

import ast
import os
import subprocess
import sys

import pytest

from tests.commands.conftest import REPOSITORY, tinycnn
from tinycnn.commands.new import FILES


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("new")
    done = tinycnn("new", "my-net", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("my-net: train.py, config.toml, README.md, tests/test_net.py, .gitignore\n")
    return folder / "my-net"


def run(project, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, *arguments], cwd=project, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_files(project):
    assert sorted(str(path.relative_to(project)) for path in project.rglob("*") if path.is_file()) == sorted(FILES)
    for path in FILES:
        assert "$" not in (project / path).read_text(encoding="utf-8")
    assert (project / "README.md").read_text(encoding="utf-8").startswith("# my-net\n")
    program = (project / "train.py").read_text(encoding="utf-8")
    assert len(program.splitlines()) < 60
    assert ast.get_docstring(ast.parse(program)) == "Trains the net of my-net on handwritten digits: python train.py"


def test_it_trains(project):
    assert "my-net epoch 2/2: train loss" in run(project, "train.py", "--epochs", "2")
    assert (project / "weights.safetensors").is_file()
    assert len((project / "metrics.jsonl").read_text().splitlines()) == 2


@pytest.mark.slow
def test_its_tests_pass_and_see_a_planted_bug(project):
    assert "3 passed" in run(project, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    bug = """import tinycnn
from tinycnn.ops.pool import MaxPool
right = MaxPool.backward
MaxPool.backward = lambda self, grad_output: 2 * right(self, grad_output)
"""
    path = project / "tests" / "test_net.py"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("import tinycnn\n", bug, 1), encoding="utf-8")
    try:
        with pytest.raises(AssertionError, match="GradcheckError"):
            run(project, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    finally:
        path.write_text(text, encoding="utf-8")


def test_the_linter_finds_nothing(project):
    if subprocess.run([sys.executable, "-m", "ruff", "--version"], capture_output=True).returncode:
        pytest.skip("needs ruff: pip install ruff")
    run(project, "-m", "ruff", "check", "--no-cache", "--config", str(REPOSITORY / "pyproject.toml"), ".")


@pytest.mark.parametrize("name", ["1net", "-net", "my net", "net'", "..", "$x", "ü"])
def test_bad_names(tmp_path, name):
    done = tinycnn("new", "--", name, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("tinycnn new: error: expected a name of letters, ")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_stays(tmp_path):
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name, message in (
        ("net", "it is there, and not empty"),
        ("file", "there is a file"),
        ("file/net", "Not a dir"),
    ):
        done = tinycnn("new", name, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"tinycnn new: error: cannot make the folder {name}: {message}")
        assert done.stderr.count("\n") == 1
    assert [path.name for path in (tmp_path / "net").iterdir()] == ["mine"]
    (tmp_path / "empty").mkdir()
    assert tinycnn("new", "empty", cwd=tmp_path).returncode == 0
