"""The former path of `tinycnn.backend.precision`."""

import sys

from tinycnn.backend import precision

sys.modules[__name__] = precision
