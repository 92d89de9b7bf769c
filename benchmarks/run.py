"""Every benchmark, one table each, and a JSON file with the figures, the machine and the versions.

python benchmarks/run.py [--json benchmarks/results.json]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import timing

from tinycnn._files import write_whole

HERE = Path(__file__).parent
SCRIPTS = ["training.py", "operators.py", "epoch.py", "overhead.py", "memory.py", "scaling.py"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=HERE / "results.json", help="where to write the figures")
    parser.add_argument("--only", nargs="+", choices=SCRIPTS, default=SCRIPTS, help="only these")
    options = parser.parse_args()
    results = {"environment": timing.environment(), "rows": []}
    with tempfile.TemporaryDirectory() as folder:
        for script in options.only:
            rows = Path(folder, f"{script}.json")
            if subprocess.run([sys.executable, HERE / script, "--json", rows], check=False).returncode:
                sys.exit(f"{script}: the measurement failed")
            results["rows"] += [row | {"benchmark": script} for row in json.loads(rows.read_text())]
            # After each, so that none is lost.
            write_whole(options.json, json.dumps(results, indent=1, ensure_ascii=False).encode())
    print(f"\nwritten to {options.json}")


if __name__ == "__main__":
    main()
