"""What may be imported where, and what the metadata promise."""

import ast
import configparser
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

import tinycnn

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "tinycnn"
OPTIONAL_MODULES = [
    "cupy", "pydantic", "matplotlib", "onnx_ir", "sklearn", "scipy", "torch", "torchvision", "pooch", "tqdm",
    "PIL", "ml_dtypes", "mpi4py", "shtab", "tensorboardX",
]  # fmt: skip
# A path of one machine: it tells a reader nothing, and it does not exist on theirs.
MACHINE_PATH = re.compile(r"(?<![\w.])/(home|Users|root|work|tmp|mnt|opt)/\w|[A-Z]:\\Users\\")


@pytest.fixture(scope="module")
def setup_cfg():
    config = configparser.ConfigParser()
    config.read(REPOSITORY / "setup.cfg")
    return config


def _extra(config, name):
    return config["options.extras_require"][name].split()


def _imported(path):
    """The top-level modules that a file imports, in functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


def _tracked_files():
    done = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("needs the files that git tracks")
    return [path for name in done.stdout.split("\0") if name and (path := REPOSITORY / name).is_file()]


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


def test_what_the_package_needs_is_what_it_imports(setup_cfg):
    required = {re.match(r"[\w-]+", line)[0] for line in setup_cfg["options"]["install_requires"].split("\n") if line}
    given = PACKAGE / "teaching" / "grade" / "given"  # exercises, which import one another
    imported = {name for path in PACKAGE.rglob("*.py") if path.parent != given for name in _imported(path)}
    assert required <= imported
    # cuda and cupyx come with CuPy, requests with pooch.
    known = required | {*OPTIONAL_MODULES, "cuda", "cupyx", "requests", "tinycnn"}
    assert imported - set(sys.stdlib_module_names) <= known


def test_every_file_of_the_package_is_installed(setup_cfg):
    data = {name: patterns.split(", ") for name, patterns in setup_cfg["options.package_data"].items()}
    for path in _tracked_files():
        if path.is_relative_to(PACKAGE):
            folder = path.parent if (path.parent / "__init__.py").is_file() else path.parents[1]  # of data
            package = ".".join(folder.relative_to(REPOSITORY).parts)
            assert (folder / "__init__.py").is_file(), path
            patterns = [*["*.py"] * (folder == path.parent), *data.get(package, [])]
            assert any(fnmatch(path.relative_to(folder).as_posix(), pattern) for pattern in patterns), path


def test_the_version_is_in_one_place(setup_cfg):
    assert setup_cfg["metadata"]["version"] == "attr: tinycnn.__version__"
    # A plain literal: setuptools then reads it without importing the package, whose dependencies a build lacks.
    assert f'\n__version__ = "{tinycnn.__version__}"\n' in (PACKAGE / "__init__.py").read_text(encoding="utf-8")


def test_the_changelog_tells_of_the_version():
    text = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## \[?([^]\s]+)", text, re.MULTILINE)
    assert sections[:2] == ["Unreleased", tinycnn.__version__]


def test_the_supported_versions_of_python_are_those_of_ci(setup_cfg):
    classifiers = setup_cfg["metadata"]["classifiers"]
    supported = re.findall(r"^Programming Language :: Python :: (3\.\d+)$", classifiers, re.MULTILINE)
    workflow = (REPOSITORY / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    tested = [re.findall(r'"([\d.]+)"', line) for line in re.findall(r"^ +python: (\[.*\])$", workflow, re.MULTILINE)]
    assert tested[0] == supported
    assert all(set(versions) <= set(supported) for versions in tested)
    assert setup_cfg["options"]["python_requires"] == f">={supported[0]}"


def test_no_file_names_a_path_of_one_machine():
    for path in _tracked_files():
        found = MACHINE_PATH.search(path.read_text(encoding="utf-8", errors="ignore"))
        assert not found, f"{path.relative_to(REPOSITORY)}: {found[0]}"


def test_torch_is_pinned_and_comes_without_torchvision(setup_cfg):
    assert _extra(setup_cfg, "torch") == ["torch==2.13.0"]
    assert not any("torch" in requirement for requirement in _extra(setup_cfg, "test"))


def test_pyproject_holds_no_metadata():
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    tables = re.findall(r"^\[+([^]]+)\]", text, re.MULTILINE)
    assert tables
    assert all(table == "build-system" or table.startswith("tool.") for table in tables)
