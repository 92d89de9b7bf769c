"""Writes the grader's results.json as Markdown, for the summary of a job of GitHub Actions."""

import html
import json
import sys
from pathlib import Path

LONGEST = 2000  # characters of one check; a summary may have a million


def points(number: float) -> str:
    return f"{number:g}"


def summary(results: dict) -> str:
    """A table of the checks with their points, then what the grader says about those that are wrong."""
    lines = [f"## {points(results['score'])} of {points(results['max_score'])} points", ""]
    lines += ["| | check | points |", "|---|---|---|"]
    wrong = []
    for test in results["tests"]:
        passed, name = test["status"] == "passed", html.escape(test["name"]).replace("|", "\\|")
        counts = test.get("max_score") is not None  # an optional step has no points
        score = f"{points(test['score'])} / {points(test['max_score'])}" if counts else "optional"
        lines.append(f"| {'✅' if passed else '❌'} | {name} | {score} |")
        if not passed:
            said = html.escape(test["output"][:LONGEST])
            wrong.append(f"<details><summary>{name}</summary>\n<pre>{said}</pre>\n</details>")
    return "\n".join([*lines, "", *wrong]) + "\n"


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    print(summary(json.loads(Path(sys.argv[1]).read_text("utf-8"))), end="")
