"""The command: makes programs from seeds, compares, and prints a short program for each difference."""

from __future__ import annotations

import argparse
import collections
import sys
import time

from tests.fuzz.compare import first_difference
from tests.fuzz.difference import Difference
from tests.fuzz.grammar import generate
from tests.fuzz.minimise import minimise
from tests.fuzz.program import Program, script


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--programs", type=int, default=1000, help="how many; default 1000")
    parser.add_argument("--seed", type=int, default=0, help="of the first program; the next have the next seeds")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after this time")
    parser.add_argument("--dtype", choices=["float64", "float32", "float16", "mixed"], help="of most tensors")
    parser.add_argument("--show", type=int, default=10, help="minimise and print so many differences; default 10")
    return parser.parse_args(arguments)


def watched(seed: int) -> bool:
    """Every second program has its gradients watched by hooks: without hooks backward passes take shorter ways."""
    return seed % 2 == 0


def report(seed: int, program: Program, difference: Difference, shown: set) -> bool:
    """Prints the minimised program, unless one like it has been `shown`."""
    program, difference = minimise(program, difference, watched(seed))
    kind = difference.signature, tuple(s.operator for s in program if not s.leaf)
    if kind in shown:
        return False
    shown.add(kind)
    result = difference.name.removeprefix("d ") + (".grad" if difference.name.startswith("d ") else "")
    print(f"--- seed {seed}: {difference}\n\n{script(program, result or 'None')}", flush=True)
    return True


def main(arguments: list[str] | None = None) -> int:
    options = parsed(arguments)
    begin, shown, counts, kinds = time.monotonic(), set(), collections.Counter(), collections.Counter()
    tried = collections.Counter()
    seed = options.seed
    while seed < options.seed + options.programs and time.monotonic() - begin < 60 * options.minutes:
        program = generate(seed, options.dtype)
        counts["programs"] += 1
        counts["statements"] += len(program)
        difference = first_difference(program, watched(seed))
        if difference is not None:
            kinds[difference.signature] += 1
            if len(shown) < options.show and tried[difference.signature] < 3:
                tried[difference.signature] += 1
                report(seed, program, difference, shown)
        seed += 1
    seconds = time.monotonic() - begin
    print(f"seeds {options.seed} to {seed - 1}: {counts['programs']} programs of {counts['statements']} statements "
          f"in {seconds:.0f} s, {kinds.total()} differ from torch")  # fmt: skip
    for (kind, operator), count in kinds.most_common():
        print(f"  {count:5} {operator}: {kind}")
    return 1 if kinds else 0


if __name__ == "__main__":
    sys.exit(main())
