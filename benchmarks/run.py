"""Every benchmark, one table each, and a JSON file with the figures, the machine and the versions.

    python benchmarks/run.py [--json benchmarks/results.json]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import timing

from tinycnn._files import write_whole

HERE = Path(__file__).parent
SCRIPTS = {
    "lenet.py": ("Training and inference of small nets", [1, 2]),
    "epoch.py": ("One epoch of MNIST by the example's own loop", [1, 2]),
    "overhead.py": ("Overhead", [1]),
    "memory.py": ("Memory and growth", [1]),
    "operators.py": ("Single convolutions", [1, 2]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=HERE / "results.json", help="where to write the figures")
    parser.add_argument("--only", default="", help="only rows whose name contains this")
    options = parser.parse_args()
    results = {"environment": timing.environment(), "rows": []}
    for script, (title, threads) in SCRIPTS.items():
        rows = timing.in_processes(str(HERE / script), threads, options.only)
        if rows:
            timing.print_table(rows, title)
        results["rows"] += [row | {"benchmark": script} for row in rows]
        # After each, so that none is lost.
        write_whole(options.json, json.dumps(results, indent=1, ensure_ascii=False).encode())
    print(f"\nwritten to {options.json}")


if __name__ == "__main__":
    main()
