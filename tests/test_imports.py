"""Who may import whom: imports go down through the layers, without cycles, and `import tinycnn` loads the core only."""

import ast
import graphlib
import importlib.util
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "tinycnn"

# From the bottom to the top. A module imports from its own entry and from lower layers; entries of one layer do not
# import each other. "tinycnn" is the package's __init__: the core, with the public names.
LAYERS = [
    {"_absent", "_extras", "_command", "_decorator", "_files", "_handle", "checks", "size"},
    {"_bfloat16"},
    {"backend", "_printing"},
    {"memory_format", "dtypes"},
    {"grad_mode"},
    {"autograd"},
    {"autocast_mode"},
    {"ops"},
    {"methods"},
    {"tensor"},
    {"creation", "_nested"},
    {"autograd_names", "custom_function", "jacobians", "variable"},
    {"_capture", "distributed"},
    {"nn", "optim", "data", "serialization", "cuda", "amp", "linalg", "random", "settings"},
    {"cuda_amp"},
    {"tinycnn"},
    {"models", "accelerator", "backends", "hub", "multiprocessing", "version", "run"},
    {"diagnostics"},
    {"interop", "teaching"},
    {"training"},
    {"commands"},
    {"cli", "_former_paths"},
    {"utils"},
]
RANK = {entry: rank for rank, layer in enumerate(LAYERS) for entry in layer}

# (importing module, imported entry): the reason. Imports within functions count as well.
EXCEPTIONS = {
    ("tinycnn.nn.utils", "optim"): "torch's second name for the gradient clipping of optim",
    ("tinycnn.tensor", "interop"): "DLPack, loaded when another library asks for it",
    ("tinycnn.serialization", "interop"): "formats of files, loaded when a file is read or written",
    ("tinycnn.optim.swa_utils", "nn"): "an average of nets is a net; loaded when first used",
    ("tinycnn.nn.utils.vector", "optim"): "the check of a list of parameters, which is that of clipping",
}

# Names that type checkers see as imports and that another module sets at run time: the reason.
SET_AT_RUN_TIME = {
    ("tinycnn.autograd", "Tensor"): "operators make Tensors, whose methods are operators: tensor.py sets it",
    ("tinycnn.autograd", "custom_function"): "Function.apply leads there, to Functions: custom_function.py sets it",
}

# What `import tinycnn` leaves unloaded until it is used.
NOT_CORE = [
    "training", "commands", "interop", "distributed", "diagnostics", "teaching", "data", "models", "cli", "run",
    "utils", "backends", "multiprocessing",
]  # fmt: skip
THIRD_PARTY = ["tqdm", "pydantic", "shtab", "matplotlib", "PIL", "safetensors", "onnx", "onnx_ir"]

PATHS = [
    "nn.functional", "nn.init", "nn.utils", "optim.lr_scheduler", "optim.swa_utils", "cuda", "amp", "data", "models",
    "reference", "gradcheck", "summary", "inspection", "shapes", "precision", "anomaly", "onnx", "accelerator",
    "backends", "backends.cudnn", "backends.mps", "cuda.amp", "datasets", "distributed", "hub", "mps",
    "multiprocessing", "nn.modules",
    "nn.modules.batchnorm", "nn.modules.conv", "nn.modules.upsampling", "nn.parallel", "nn.parameter", "random",
    "transforms", "utils", "utils.data", "version", "xpu",
]  # fmt: skip
COMMANDS = ["grade", "explain", "shapes", "run"]


# --- reading the imports ----------------------------------------------------------------------------------


@cache
def modules():
    """Dotted name to the syntax tree, for each module of the package."""
    trees = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(REPOSITORY).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        trees[name] = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    return trees


def entry_of(module):
    """The entry of LAYERS to which a module belongs: "nn" for tinycnn.nn.conv."""
    return module.split(".")[1] if "." in module else module


def is_type_checking(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def imported(module, node):
    """The modules of the package that an import statement, or `import_module("tinycnn...")`, names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names if alias.name.split(".")[0] == "tinycnn"]
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            is_package = any(name.startswith(f"{module}.") for name in modules())
            parent = module if is_package else module.rpartition(".")[0]
            base = importlib.util.resolve_name("." * node.level + base, parent)
        if base.split(".")[0] != "tinycnn":
            return []
        names = [f"{base}.{alias.name}" for alias in node.names]
        return [name if name in modules() else base for name in names]
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("importlib.import_module", "import_module"):
        name = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else ""
        return [name] if isinstance(name, str) and name.split(".")[0] == "tinycnn" else []
    return []


def walk(node, within_functions):
    """The nodes below `node` that run: those under `if TYPE_CHECKING:` do not."""
    for child in ast.iter_child_nodes(node):
        if is_type_checking(child):
            for other in child.orelse:
                yield other
                yield from walk(other, within_functions)
            continue
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) and not within_functions:
            continue
        yield child
        yield from walk(child, within_functions)


def runtime_imports(module, within_functions):
    """Imported module to line, for each import of the package that runs in `module`."""
    return {
        target: node.lineno for node in walk(modules()[module], within_functions) for target in imported(module, node)
    }


# --- the rules --------------------------------------------------------------------------------------------


def test_every_module_has_its_layer():
    assert {entry_of(module) for module in modules()} <= set(RANK), "add the new entry to LAYERS"


def climbing(module):
    """The imports of a module that do not go down."""
    own, found = entry_of(module), []
    for target, line in runtime_imports(module, within_functions=True).items():
        other = entry_of(target)
        if other != own and RANK[other] >= RANK[own] and (module, other) not in EXCEPTIONS:
            found.append(f"{module}, line {line}, imports {target}")
    return found


def fail_with(lines):
    if lines:
        pytest.fail("\n".join(lines), pytrace=False)


def test_imports_go_down():
    fail_with([each for module in modules() for each in climbing(module)])


def test_a_planted_import_is_found(monkeypatch):
    text = "from tinycnn import backend\nif TYPE_CHECKING:\n    from tinycnn.nn import Module\ndef f():\n    "
    monkeypatch.setitem(modules(), "tinycnn.ops.planted", ast.parse(text + "from tinycnn import tensor\n    Module"))
    assert climbing("tinycnn.ops.planted") == ["tinycnn.ops.planted, line 5, imports tinycnn.tensor"]
    assert type_checking_misuses("tinycnn.ops.planted") == ["tinycnn.ops.planted, line 6: Module"]


def test_exceptions_are_still_needed():
    found = {
        (module, entry_of(target))
        for module in modules()
        for target in runtime_imports(module, within_functions=True)
    }
    assert set(EXCEPTIONS) <= found


def test_imports_have_no_cycle():
    # The __init__ of the packages above a module are left out: tinycnn/__init__.py runs before every module.
    graph = {
        module: [target for target in runtime_imports(module, within_functions=False) if target != module]
        for module in modules()
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        fail_with(["imports in a cycle: " + " <- ".join(error.args[1])])


def type_checking_misuses(module):
    """Names imported under `if TYPE_CHECKING:` that something other than an annotation uses."""
    tree = modules()[module]
    blocks = [node for node in ast.walk(tree) if is_type_checking(node)]
    inside = {id(node) for block in blocks for statement in block.body for node in ast.walk(statement)}
    names, elsewhere = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            bound = {alias.asname or alias.name.split(".")[0] for alias in node.names}
            (names if id(node) in inside else elsewhere).update(bound)
    annotations = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):  # a local variable hides the import
            parts = [part for part in ast.walk(node) if isinstance(part, ast.Name)]
            local = {part.id for part in parts if isinstance(part.ctx, ast.Store)}
            inside |= {id(part) for part in parts if part.id in local}
        for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if annotation is not None:
                annotations |= {id(part) for part in ast.walk(annotation)}
    return [
        f"{module}, line {node.lineno}: {node.id}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id in names - elsewhere and id(node) not in annotations | inside
        and (module, node.id) not in SET_AT_RUN_TIME
    ]


def test_type_checking_imports_are_for_annotations():
    fail_with([misuse for module in modules() for misuse in type_checking_misuses(module)])


# --- what users see ---------------------------------------------------------------------------------------


def python(*arguments):
    """The output of a fresh interpreter, which must exit with 0."""
    done = subprocess.run([sys.executable, *arguments], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_core_alone_is_loaded():
    loaded = python("-c", "import sys, tinycnn; print(*sys.modules)").split()
    wanted = {f"tinycnn.{name}" for name in NOT_CORE} | set(THIRD_PARTY)
    assert sorted(wanted & {".".join(name.split(".")[:2]) for name in loaded}) == []


@pytest.mark.parametrize("path", PATHS)
def test_every_known_path_is_imported(path):
    python("-c", f"import tinycnn.{path}; tinycnn.{path}")


@pytest.mark.parametrize("path", PATHS)
def test_every_known_path_is_an_attribute(path):
    python("-c", f"import tinycnn; tinycnn.{path}")


@pytest.mark.parametrize("function, name", [("gradcheck", "GradcheckError"), ("summary", "Summary")])
def test_functions_that_share_the_name_of_a_module(function, name):
    use = f"assert callable(tinycnn.{function}); from tinycnn.{function} import {name}; assert callable({name})"
    python("-c", f"import tinycnn; {use}; assert callable(tinycnn.{function})")
    python("-c", f"import tinycnn.{function}; {use}")


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_show_their_options(command):
    assert "usage" in python("-m", f"tinycnn.{command}", "--help")


@pytest.mark.parametrize(
    "former, present", [("explain.worked", "teaching.explain.worked"), ("grade.student", "teaching.grade.student")]
)
def test_a_moved_package_has_one_copy_of_its_modules(former, present):
    code = f"import tinycnn.{former} as a, tinycnn.{present} as b; print(a is b)"
    assert python("-c", code) == "True\n"
