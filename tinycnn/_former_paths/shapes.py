"""The former path of `tinycnn.diagnostics.shapes`."""

import sys

from tinycnn.diagnostics import shapes

if __name__ == "__main__":
    sys.exit(shapes.main())
sys.modules[__name__] = shapes
