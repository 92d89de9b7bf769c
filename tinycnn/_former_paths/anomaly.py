"""The former path of `tinycnn.diagnostics.anomaly`."""

import sys

from tinycnn.diagnostics import anomaly

sys.modules[__name__] = anomaly
