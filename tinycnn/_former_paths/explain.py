"""The former path of `tinycnn.teaching.explain`."""

import sys

from tinycnn.teaching import explain

if __name__ == "__main__":
    sys.exit(explain.main())
sys.modules[__name__] = explain
