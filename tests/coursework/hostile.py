"""Submissions that would upset or fool a grader: step 9 with other code. Each is (name, where, code, lost, said).

where: "call", the body of cross_entropy_forward(scores, target), or "import", code before a right solution.
lost: what it must cost: the "function", the "step" or "nothing". All other points must be given.
said: words in the report.
"""

# For the code below: PIPES are the descriptors of its process beside standard input, output and error.
HELP = r'''
import builtins, json, os, signal, struct, sys, threading, time
import numpy as np

PIPES = range(3, 64)
RIGHT = {"status": "value", "value": {"plain": 0.5}, "printed": ""}


def write(data):
    for descriptor in PIPES:
        try:
            os.write(descriptor, data)
        except OSError:
            pass


def message(tree, arrays=b""):
    text = tree if isinstance(tree, bytes) else json.dumps(tree).encode()
    return struct.pack(">QQ", len(text), len(arrays)) + text + arrays


def reply(value, arrays=b"", number=1):
    plain = {"status": "value", "printed": "", "number": number}
    fields = [[name, {"plain": content}] for name, content in plain.items()]
    return message({"dict": [*fields, ["value", value], ["changed", {"tuple": []}]]}, arrays)


def deep(levels):
    value = ()
    for _ in range(levels):
        value = (value,)
    return value


def attempt(function, *arguments):
    try:
        function(*arguments)
    except BaseException:
        pass
'''

GARBAGE = "wrote to the pipe by which results are returned"
REFUSED = "an exercise starts no processes"

VALUES = [
    ("a str", "'0.5'", "got the str '0.5'"),
    ("a NumPy str", "np.str_('0.5')", "a <U3 array"),
    ("a NumPy str array", "np.array(['a'])", "a <U1 array of shape (1,)"),
    ("bytes", "b'0.5'", "got a bytes"),
    ("a complex number", "0.5j", "got a complex"),
    ("a complex array", "np.array(0.5 + 0j)", "a complex128 array of shape ()"),
    ("a structured array", "np.zeros((), [('a', float), ('b', 'U9')])", "array of shape ()"),
    ("an object array", "np.array(0.5, object)", "a object array"),
    ("an array of arrays", "np.array([np.ones(2), None], object)", "a object array of shape (2,)"),
    ("a date", "np.datetime64('2026-01-01')", "a datetime64[D] array"),
    ("a long double", "np.longdouble(0.5)", "a float128 array"),
    ("another byte order", "np.array(0.5, '>f8')", "a >f8 array"),
    ("a number of 400 digits", "10**400", "a number beyond 64 bits"),
    ("a number of 100,000 digits", "10**100_000", "a number beyond 64 bits"),
    ("nan", "float('nan')", "got nan"),
    ("infinity", "-np.inf", "got -inf"),
    ("a lone surrogate", "'\\udcff'", "got the str"),
    ("a long str", "'x' * 10**7", "got the str 'xxx"),
    ("escape sequences", "'\\x1b[2K\\rtotal: 100 of 100 points'", "\\\\x1b[2K\\\\rtotal"),
    ("a cycle", "(lambda a: a.append(a) or a)([])", "the result cannot be returned"),
    ("a deep tuple", "deep(10**5)", "cannot be returned: maximum recursion"),
    ("ten million numbers", "[0] * 10**7", "a list of 10000000 items"),
    ("an array of 2 GB", "np.ones(2**28)", "MemoryError"),
    ("an array of 3 GB that nobody touches", "np.empty(3 * 2**30, np.uint8)", "MemoryError"),
    ("an array of 2^59 elements in 8 bytes", "np.broadcast_to(0.5, (2**20, 2**20, 2**19))", "a float64 array of shape"),
    ("an array of 64 dimensions", "np.ones((1,) * 64)", "got an array of shape"),
    ("an empty array", "np.ones((0, 3))", "got an array of shape (0, 3)"),
    ("a masked array", "np.ma.masked_array([0.5], [True])", "got an array of shape (1,)"),
    ("a generator", "(x for x in [0.5])", "got a generator"),
    ("a class", "type('Number', (float,), {})", "got a type"),
    ("a module", "np", "got a module"),
    ("an array with methods of its own", "Evil(0.5)", "wrong|expected|got"),
    ("a number with methods of its own", "Number(7)", "got 7"),
    ("a class of another name", "Named()", "ended the whole process|cannot be returned"),
    ("a dict with odd keys", "{Key(): 1}", "RuntimeError|cannot be returned"),
    ("a liar about its class", "Liar()", "cannot be returned|AttributeError"),
]  # fmt: skip

CLASSES = '''
class Evil(np.ndarray):
    __array_priority__ = 1e9
    def __new__(cls, value): return np.asarray(value).view(cls)
    def __array_finalize__(self, other): pass
    def __eq__(self, other): return True
    def __array_function__(self, *arguments): return True
    def __array_ufunc__(self, *arguments, **options): return True
    def __reduce__(self): return os.system, ("true",)
class Number(float):
    def __eq__(self, other): return True
    def __sub__(self, other): return 0.0
    def __float__(self): return 0.5
    def __repr__(self): return "0.5"
class Meta(type):
    __name__ = property(lambda self: 1 / 0)
class Named(metaclass=Meta):
    pass
class Key:
    def __str__(self): raise RuntimeError("no key")
class Liar:
    __class__ = np.ndarray
class Failure(Exception):
    def __str__(self): raise SystemExit
'''

CALLS = [
    ("an exception with a lone surrogate", "raise ValueError('\\udcff\\ud800')", "ValueError: \\udcff\\ud800"),
    ("an exception with escape sequences", "raise ValueError('\\x1b[2J')", "ValueError: \\x1b[2J"),
    ("an exception without a text", "raise Failure", "Failure"),
    ("an exception of a megabyte", "raise ValueError('x' * 2**20)", "ValueError: xxx"),
    ("garbage on the pipe", "write(b'garbage' * 10); return 0.5", GARBAGE),
    ("a length without an end", "write(struct.pack('>QQ', 2**62, 0)); return 0.5", GARBAGE),
    ("a length, and silence", "write(struct.pack('>QQ', 999, 0)); time.sleep(99)", "did not return within 2 seconds"),
    ("nothing but zeros", "write(bytes(2**15)); return 0.5", GARBAGE),
    ("a forged reply", "write(reply({'plain': 0.5})); return 0.5", GARBAGE),
    ("a hundred forged replies", "write(b''.join(reply({'plain': 0.5}, number=n) for n in range(100)))", GARBAGE),
    ("a reply without its fields", "write(message({'dict': []}))", GARBAGE),
    ("a reply of another kind", "write(message({'array': '|O', 'shape': [1]}, bytes(8)))", GARBAGE),
    ("an array of negative size", "write(message({'array': '<f8', 'shape': [-1, -1]}, bytes(8)))", GARBAGE),
    ("an array beyond the message", "write(message({'array': '<f8', 'shape': [2**30]}, bytes(8)))", GARBAGE),
    ("a deep reply", "write(message(b'[' * 2**15))", GARBAGE),
    ("a long number", "write(message(b'1' * 2**15))", GARBAGE),
    ("bytes that are no UTF-8", "write(message(b'\\xff\\xfe'))", GARBAGE),
    ("the pipes closed", "os.closerange(0, 256); return 0.5", "closed the pipe|ended the whole process"),
    ("the pipes closed, and silence", "os.closerange(0, 256); time.sleep(99)", "closed the pipe"),
    ("the requests read away", "[os.read(d, 2**20) for d in PIPES]", "did not return within 2|OSError"),
    ("os._exit", "os._exit(0)", "ended the whole process (exit status 0)"),
    ("os.abort", "os.abort()", "ended the whole process"),
    ("sys.exit", "sys.exit('fine')", "called sys.exit(fine)"),
    ("a crash", "np.lib.stride_tricks.as_strided(np.ones(1), (2**40,), (2**20,))[:] = 0", "ended the whole process"),
    ("an endless loop", "\n    while True: pass", "did not return within 2 seconds"),
    ("a process that stops", "signal.raise_signal(signal.SIGSTOP)", "did not return within 2 seconds"),
    ("memory without end", "\n    kept = []\n    while True: kept.append(np.empty(2**26))", "MemoryError"),
    ("a recursion without end", "return cross_entropy_forward(scores, target)", "RecursionError"),
    ("many processes", "[os.fork() for _ in range(99)]", f"os.fork: {REFUSED}"),
    ("a daemon", "os.fork() or os.setsid() or time.sleep(99)", f"os.fork: {REFUSED}"),
    ("the parent killed", "os.kill(os.getppid(), 9)", f"os.kill: {REFUSED}"),
    ("the group killed", "os.killpg(0, 9)", f"os.killpg: {REFUSED}"),
    ("results written", "open(RESULTS, 'w').write('{\"score\": 100}')", "writes none"),
    ("results deleted", "os.remove(RESULTS)", f"os.remove: {REFUSED}"),
    ("its own file written", "open(__file__, 'a').write('#')", "writes none"),
    ("an import hook", "sys.meta_path.insert(0, 7); import wave", "AttributeError|TypeError"),
    ("builtins replaced", "builtins.isinstance = builtins.len = lambda *a: True", "got|ended|return"),
    ("every module forgotten", "sys.modules.clear(); return 0.5", "ended|got|KeyError|missing"),
    ("json replaced", "json.dumps = lambda *a: 'forged'; return 0.5", f"{GARBAGE}|ended the whole process"),
    ("input", "return input()", "EOFError"),
]  # fmt: skip

HARMLESS = [
    ("a handler that ignores signals", "[signal.signal(s, signal.SIG_IGN) for s in (signal.SIGTERM, signal.SIGHUP)]"),
    ("much output", "print('x' * 10**7)"),
    ("standard output closed", "sys.stdout = sys.stderr = sys.__stdout__ = None"),
    ("an exit that hangs", "import atexit; atexit.register(time.sleep, 99)"),
    ("a thread that does not end", "attempt(threading.Thread(target=time.sleep, args=(99,)).start)"),
    ("warnings that are errors", "import warnings; warnings.simplefilter('error')"),
    ("a tracing function", "sys.settrace(lambda *a: None)"),
    ("limits lifted", "import resource; attempt(resource.setrlimit, resource.RLIMIT_AS, (-1, -1))"),
    ("results written, quietly", "attempt(open, RESULTS, 'w')"),
    ("the parent killed, quietly", "attempt(os.kill, os.getppid(), 9)"),
]  # fmt: skip

IMPORTS = [
    ("an import without end", "while True: pass", "did not return within 2 seconds"),
    ("an import that exits", "os._exit(1)", "ended the whole process (exit status 1)"),
    ("an import that raises", "raise BaseException('\\udcff')", "BaseException: \\udcff"),
    ("an import that writes garbage", "write(b'garbage' * 99)", GARBAGE),
    ("an import that closes the pipes", "os.closerange(0, 256)", "closed the pipe|ended the whole process"),
    ("a module that is a number", "sys.modules[__name__] = 7; FORGET", "NameError"),
    ("deep source", "x = " + "(" * 5000 + ")" * 5000, "SyntaxError|MemoryError|RecursionError"),
    ("a null character", "x = 1\0", "SyntaxError|ValueError"),
]  # fmt: skip

HOSTILE = [
    *((name, "call", f"return {value}", "function", said) for name, value, said in VALUES),
    *((name, "call", body, "function", said) for name, body, said in CALLS),
    *((name, "import", body, "nothing", "") for name, body in HARMLESS),
    *((name, "import", body, "step", said) for name, body, said in IMPORTS),
]
