"""The former path of `tinycnn.diagnostics.inspection`."""

import sys

from tinycnn.diagnostics import inspection

sys.modules[__name__] = inspection
