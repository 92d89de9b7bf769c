"""The former path of `tinycnn.diagnostics.gradcheck`.

`tinycnn.gradcheck` is a function; an import sets that name to what this module leaves in `sys.modules`: the function,
which carries the names of the module.
"""

import sys

from tinycnn.diagnostics import gradcheck

vars(gradcheck.gradcheck).update({name: value for name, value in vars(gradcheck).items() if not name.startswith("_")})
sys.modules[__name__] = gradcheck.gradcheck  # type: ignore[assignment]
