"""Submissions that let something else do their work. Each is (name, step, code, helper files, said).

code: the whole file of the step, behind PRELUDE. said: words in the report.
"""

LIBRARY = "only NumPy, the standard library and your own steps are allowed"
PROCESS = "an exercise starts no processes"
FILES = "an exercise reads its own files only"
OPERATOR = "calls an operator of tinycnn: build the net of your own pieces"

# Where things are, which a student may know. OTHER is a program for another process.
PRELUDE = """
import os, sys
import numpy as np
PACKAGE, PYTHON = PATHS
FILE = PACKAGE + "/tinycnn/teaching/reference.py"
OTHER = f'''
import sys
sys.path.insert(0, {PACKAGE!r})
import numpy as np
from tinycnn.teaching import reference
print(reference.softmax_cross_entropy(np.array(eval(sys.argv[1])), np.array(eval(sys.argv[2]))))
'''
def command(scores, target):
    return [PYTHON, "-c", OTHER, str(scores.tolist()), str(target.tolist())]
"""

FORWARD = "def cross_entropy_forward(scores, target):\n"
ANSWER = "tinycnn.nn.functional.cross_entropy(tinycnn.tensor(scores), tinycnn.tensor(target)).item()"


def with_import(*lines):
    """Gets `tinycnn` in the function."""
    body = ["sys.path.append(PACKAGE)", *lines, f"return {ANSWER}"]
    return FORWARD + "".join(f"    {line}\n" for line in body)


def with_source(source, *lines):
    """Gets the text of reference.py in the function."""
    body = ["m = {'__name__': 'm'}", *lines, f"exec({source}, m)", "return m['softmax_cross_entropy'](scores, target)"]
    return FORWARD + "".join(f"    {line}\n" for line in body)


def with_process(*lines):
    return FORWARD + "".join(f"    {line}\n" for line in lines)


IN_A_FILE = "sys.path.insert(0, PACKAGE)\nimport tinycnn.nn.functional\n"
USES_IT = f"{FORWARD}    return {ANSWER}\n"

IN_THE_FRAME = f"""
def opened():
    try:
        import tinycnn
    except ImportError as error:
        tb = error.__traceback__
        while tb is not None:
            for names in (tb.tb_frame.f_locals, tb.tb_frame.f_globals if tb.tb_next is None else {{}}):
                for name in list(names):
                    if not name.startswith("__") and name not in ("tb", "names", "name", "error"):
                        names[name] = None
            tb = tb.tb_next
{FORWARD}    sys.path.append(PACKAGE)
    opened()
    import tinycnn
    return {ANSWER}
"""

OF_STEP_9 = [
    ("an import", IN_A_FILE + USES_IT, {}, LIBRARY),
    ("an import in the function", with_import("import tinycnn.nn.functional"), {}, LIBRARY),
    ("from .. import", with_import("from tinycnn.nn import functional", "import tinycnn"), {}, LIBRARY),
    ("__import__", with_import("tinycnn = __import__('tinycnn')"), {}, LIBRARY),
    ("builtins", with_import("import builtins", "tinycnn = vars(builtins)['__imp' + 'ort__']('tinycnn')"), {}, LIBRARY),
    ("exec", with_import("exec('imp' + 'ort tinycnn', globals())", "tinycnn = globals()['tinycnn']"), {}, LIBRARY),
    ("importlib", with_import("import importlib", "tinycnn = importlib.import_module('tinycnn')"), {}, FILES),
    ("pkgutil", with_import("import pkgutil", "tinycnn = pkgutil.resolve_name('tinycnn')"), {}, FILES),
    ("pickle", with_import("import pickle", "pickle.loads(b'ctinycnn\\ntensor\\n.')", "import tinycnn"), {}, LIBRARY),
    ("a thread", with_import(
        "import threading", "t = threading.Thread(target=__import__, args=('tinycnn',))", "t.start(); t.join()",
        "tinycnn = sys.modules['tinycnn']"), {}, "can't start new thread|KeyError: 'tinycnn'"),
    ("a helper file", "from helper import tinycnn\n" + USES_IT, {"helper.py": IN_A_FILE}, LIBRARY),
    ("another step", "from step02_conv_forward_loops import tinycnn\n" + USES_IT,
     {"step02_conv_forward_loops.py": IN_A_FILE}, LIBRARY),
    ("a file of that name", with_import("import tinycnn"),
     {"tinycnn.py": "exec(open(PACKAGE + '/tinycnn/__init__.py').read())\n"}, FILES),
    ("other finders", with_import("sys.path_importer_cache.clear(); sys.meta_path.reverse()", "import tinycnn"), {},
     LIBRARY),
    ("the finder itself", with_import(
        "from importlib.machinery import PathFinder", "s = PathFinder.find_spec('tinycnn', [PACKAGE])",
        "tinycnn = s.loader.load_module()"), {}, FILES),
    ("runpy", with_import("import runpy", "tinycnn = type('', (), runpy.run_module('tinycnn'))"), {}, LIBRARY),
    ("a sub-interpreter", with_import("import _xxsubinterpreters as s", "s.run_string(s.create(), 'import tinycnn')"),
     {}, f"{PROCESS}|{LIBRARY}"),
    ("ctypes", with_import("import ctypes", "ctypes.pythonapi.PySys_SetObject(b'x', None)", "import tinycnn"),
     {}, PROCESS),
    ("another hook", with_import("sys.addaudithook(lambda *a: None)", "import tinycnn"), {}, f"{PROCESS}|{LIBRARY}"),
    ("the names that the guard looks up", with_import(
        "import builtins", "keep = builtins.type, builtins.str", "builtins.type = builtins.str = lambda *a: 0",
        "try: import tinycnn", "finally: builtins.type, builtins.str = keep"), {}, LIBRARY),
    ("the frame of the guard", IN_THE_FRAME, {}, f"{LIBRARY}|ended the whole process"),
    ("all objects, for the guard", with_import(
        "import gc", "f = [f for f in gc.get_objects() if getattr(f, '__name__', '') == 'guard']",
        "for g in f: g.__code__ = (lambda *a, **k: None).__code__", "import tinycnn"), {}, PROCESS),
    ("runpy of a file", with_process("import runpy", "m = runpy.run_path(FILE)",
                                     "return m['softmax_cross_entropy'](scores, target)"), {}, FILES),
    ("exec of a file", with_source("open(FILE).read()"), {}, FILES),
    ("a file by bytes", with_source("os.read(f, 10**6)", "f = os.open(FILE.encode(), 0)"), {}, FILES),
    ("a file by a path that changes", with_source(
        "io.FileIO(p).read()", "import io", "p = type('P', (), {'__fspath__': lambda s: FILE})()"), {},
     f"opens a file by something else|{FILES}"),
    ("a file by a str that lies", with_source(
        "io.FileIO(P(FILE)).read()", "import io", "P = type('P', (str,), {'startswith': lambda *a: True})"), {},
     f"opens a file by something else|{FILES}"),
    ("a file by dots", with_source("open(os.path.relpath(FILE)).read()"), {}, FILES),
    ("a file from its folder", with_source("open('reference.py').read()", "os.chdir(os.path.dirname(FILE))"),
     {}, PROCESS),
    ("a file by its loader", with_source(
        "L('r', FILE).get_data(FILE)", "from importlib.machinery import SourceFileLoader as L"), {}, FILES),
    ("a file by NumPy", with_source("np.fromfile(FILE, 'u1').tobytes()"), {}, FILES),
    ("a file by its lines", with_source("''.join(linecache.getlines(FILE))", "import linecache"), {},
     "KeyError: 'softmax_cross_entropy'"),
    ("a file in memory", with_source("m.read()", "import mmap", "f = os.open(FILE, 0)", "m = mmap.mmap(f, 0)"),
     {}, FILES),
    ("a subprocess", with_process("import subprocess as s", "return float(s.check_output(command(scores, target)))"),
     {},
     PROCESS),
    ("the shell", with_process("import shlex", "return float(os.popen(shlex.join(command(scores, target))).read())"),
     {},
     PROCESS),
    ("a fork", with_process(
        "r, w = os.pipe()", "os.fork() or (os.dup2(w, 1), os.execv(PYTHON, command(scores, target)))",
        "return float(os.read(r, 99))"), {}, PROCESS),
    ("another program in its place", with_process("os.execv(PYTHON, command(scores, target))"), {}, PROCESS),
    ("posix_spawn", with_process(
        "r, w = os.pipe()", "how = [(os.POSIX_SPAWN_DUP2, w, 1)]",
        "os.posix_spawn(PYTHON, command(scores, target), {}, file_actions=how)", "return float(os.read(r, 99))"), {},
     PROCESS),
    ("multiprocessing", with_process("import multiprocessing as m", "m.get_context('fork').Process().start()"),
     {}, PROCESS),
    ("the network", with_process("import socket", "return socket.create_connection(('127.0.0.1', 9)).recv(9)"),
     {}, PROCESS),
    ("another library", with_process("import scipy.special as s", "p = s.log_softmax(scores, 1)",
                                     "return -p[np.arange(len(p)), target].mean()"), {}, LIBRARY),
    ("a library, if there is one", with_process("try: import sklearn.metrics as s", "except ImportError: s = None",
                                                "return s.log_loss(target, scores)"), {}, "NoneType"),
    ("the grader's arguments", with_process("return open(f'/proc/{os.getppid()}/cmdline').read()"), {}, FILES),
    ("the grader's environment", with_process("return open(f'/proc/{os.getppid()}/environ').read()"), {}, FILES),
    ("the grader's memory", with_process("return open(f'/proc/{os.getppid()}/mem', 'rb').read(9)"), {}, FILES),
    ("expected values up the stack", with_process(
        "f = sys._getframe()", "while 'expected' not in f.f_locals: f = f.f_back", "return f.f_locals['expected']"), {},
     "'NoneType' object has no attribute 'f_locals'"),
]  # fmt: skip


def relu(*lines):
    return "import tinycnn\nfrom tinycnn import tensor\ndef relu_forward(x):\n" + "".join(f"    {x}\n" for x in lines)


OF_STEP_10 = [
    ("an operator", relu("return tinycnn.nn.functional.relu(tensor(x)).numpy()"), {}, OPERATOR),
    ("a method", relu("return tensor(x).relu().numpy()"), {}, OPERATOR),
    ("an operator's class", relu("return sys.modules['tinycnn.ops.unary'].Relu()(tensor(x)).numpy()"), {}, OPERATOR),
    ("an operator's forward", relu("return sys.modules['tinycnn.ops.unary'].Relu.forward(sys, x)"), {}, OPERATOR),
    ("a layer", relu("return tinycnn.nn.ReLU()(tensor(x)).numpy()"), {}, OPERATOR),
    ("a module loaded again", relu("from importlib import reload", "F = reload(tinycnn.nn.functional)",
                                   "return F.relu(tensor(x)).numpy()"), {}, FILES),
    ("the grader's reference", "from tinycnn.teaching.grade import lenet\n", {}, LIBRARY),
    ("a helper's operator", "from helper import relu_forward\n",
     {"helper.py": relu("return tinycnn.relu(tensor(x)).numpy()")}, OPERATOR),
    ("a matrix product", relu("one = (tensor([[1.0]]) @ tensor([[1.0]])).numpy()[0]", "return x * (x > 0) * one"), {},
     OPERATOR),
    ("a convolution", relu("one = tensor(np.ones((1, 1, 1, 1)))", "y = tinycnn.nn.functional.conv2d(one, one).numpy()",
                           "return x * (x > 0) * y.item()"), {}, OPERATOR),
]  # fmt: skip

CHEATS = [
    *((name, 9, code, files, said) for name, code, files, said in OF_STEP_9),
    *((name, 10, code, files, said) for name, code, files, said in OF_STEP_10),
]
