"""Plausible wrong answers: those that the grader names on purpose, and rounds that were written without a look at it.

A row is (step, old, new, result, words): `new` takes the place of `old` in the step's solution, or is put behind it if
`old` is empty; `result` is then wrong, and the grader's name has these words, or any if there are none.

Rounds 5 and later are whole functions in text files, each after a line `=== step: result`; `, double` marks two
mistakes at once. docs/teaching.md says how many of each round were named at first try.
"""

from pathlib import Path

from wrong import known, round_1, round_2, round_3, round_4

HERE = Path(__file__).parent


def read(path):
    """The rows of a text file."""
    rows = []
    for block in path.read_text(encoding="utf-8").split("=== ")[1:]:
        title, _, code = block.partition("\n")
        step, result = title.removesuffix(", double").split(": ")
        rows.append((int(step), "", code, result, ""))
    return rows


KNOWN = known.MUTANTS
ROUNDS = [
    round_1.WRONG, round_2.WRONG, round_3.WRONG, round_4.WRONG,
    *(read(path) for path in sorted(HERE.glob("round_*.txt"))),
]  # fmt: skip
