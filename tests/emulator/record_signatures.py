"""Records what the real CuPy accepts, for the emulator to refuse the rest: run it where CuPy can be imported.

    python tests/emulator/record_signatures.py

Writes signatures.json: "same", the names that CuPy takes over from NumPy (dtypes, constants), and "takes", the
parameter names of every function and array method; "*" and "**" stand for any further ones.
"""

import inspect
import json
import re
from pathlib import Path

import cupy
import cupyx
import numpy as np

UFUNC = ["*", "out", "dtype", "casting"]  # what CuPy's ufuncs take: all other keywords are "Wrong arguments"
MARKS = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}


def parameters(function):
    """The parameter names of a function, or None where neither the function nor its docstring tells."""
    if isinstance(function, cupy.ufunc):
        return UFUNC
    try:
        return [MARKS.get(p.kind, p.name) for p in inspect.signature(function).parameters.values()]
    except (TypeError, ValueError):
        first_line = (function.__doc__ or "").strip().split("\n")[0]  # Cython writes the signature there
        match = re.match(r"[\w.]+\((.*)\)( ->.*)?$", first_line)
        if match is None:
            return None
        # of "_ndarray_base b=None" the name is b
        return [re.match(r"\*+", p)[0] if p[0] == "*" else re.split("[=:]", p)[0].split()[-1] for p in given(match[1])]


def given(text):
    return [p for p in map(str.strip, text.split(",")) if p not in ("", "/")]


def main():
    owners = {
        "": cupy,
        "ndarray.": cupy.ndarray,
        "linalg.": cupy.linalg,
        "random.": cupy.random,
        "random.Generator.": cupy.random.Generator,
        "cupyx.": cupyx,
    }
    same, takes = [], {}
    for prefix, owner in owners.items():
        for name in sorted(n for n in dir(owner) if not n.startswith("_")):
            value = getattr(owner, name)
            if prefix == "" and (value is getattr(np, name, dir) or isinstance(value, (float, type(None)))):
                same.append(name)
            elif callable(value) and not inspect.isclass(value):
                names = parameters(value)
                takes[prefix + name] = [n for n in names if n != "self"] if names is not None else ["*", "**"]
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(names)}" for name, names in takes.items())
    text = f'{{\n"cupy": "{cupy.__version__}",\n"same": {json.dumps(same)},\n"takes": {{\n{lines}\n}}\n}}\n'
    (Path(__file__).parent / "signatures.json").write_text(text)


if __name__ == "__main__":
    main()
