"""The examples are programs, not a package: they find each other because they lie in one folder."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
