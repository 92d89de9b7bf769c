"""Modules that have moved, under the paths that programs know: `tinycnn.reference` is `tinycnn.teaching.reference`.

`tinycnn/__init__.py` puts this folder on the path of the package, so that `import tinycnn.reference` and
`python -m tinycnn.grade` find them here.
"""

import importlib
import sys


def moved(name: str, to: str) -> None:
    """Makes the module `to` stand for the one that runs as `name`; as a program, runs its `main`."""
    module = importlib.import_module(to)
    if name == "__main__":
        sys.exit(module.main())
    for loaded, part in list(sys.modules.items()):  # not a second copy of what it consists of
        if loaded == to or loaded.startswith(f"{to}."):
            sys.modules[name + loaded[len(to) :]] = part
