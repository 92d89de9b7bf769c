"""The former path of `tinycnn.diagnostics.summary`.

`tinycnn.summary` is a function; an import sets that name to what this module leaves in `sys.modules`: the function,
which carries the names of the module.
"""

import sys

from tinycnn.diagnostics import summary

vars(summary.summary).update({name: value for name, value in vars(summary).items() if not name.startswith("_")})
sys.modules[__name__] = summary.summary  # type: ignore[assignment]
