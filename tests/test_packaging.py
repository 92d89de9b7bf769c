"""What may be imported where, and what the metadata promise."""

import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tinycnn

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "tinycnn"
OPTIONAL_MODULES = ["cupy", "pydantic", "matplotlib", "sklearn", "scipy", "torch", "torchvision", "pooch"]


@pytest.fixture(scope="module")
def setup_cfg():
    config = configparser.ConfigParser()
    config.read(REPOSITORY / "setup.cfg")
    return config


def _extra(config, name):
    return config["options.extras_require"][name].split()


def test_cupy_is_imported_in_one_place_only():
    import_cupy = re.compile(r"^\s*(import|from)\s+cupy|import_module\(\s*[\"']cupy", re.MULTILINE)
    importers = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if import_cupy.search(path.read_text(encoding="utf-8"))
    }
    assert importers
    assert all(path == "backend/devices.py" or path.startswith("backend/gpu/") for path in importers)


@pytest.mark.parametrize("module", ["tinycnn", "tinycnn.data"])
def test_import_pulls_in_no_optional_module(module):
    probe = f"import sys, {module}; print(*sorted(set({OPTIONAL_MODULES}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", probe], cwd=REPOSITORY, capture_output=True, text=True)
    assert (done.returncode, done.stderr, done.stdout.split()) == (0, "", [])


def test_version_is_the_one_of_the_metadata(setup_cfg):
    assert tinycnn.__version__ == setup_cfg["metadata"]["version"]


def test_torch_is_pinned_and_comes_without_torchvision(setup_cfg):
    assert _extra(setup_cfg, "torch") == ["torch==2.13.0"]
    assert not any("torch" in requirement for requirement in _extra(setup_cfg, "test"))


def test_pyproject_holds_no_metadata():
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    tables = re.findall(r"^\[+([^]]+)\]", text, re.MULTILINE)
    assert tables
    assert all(table == "build-system" or table.startswith("tool.") for table in tables)
