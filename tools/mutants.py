"""Random mutants of the core, each against the tests that run its line: `make mutants COUNT=120 SEED=7`.

cosmic-ray makes the mutants (an operator swapped, a constant off by one, a condition turned round, ...) and runs the
tests; coverage.py says which tests run a line. This program draws the mutants, gives each process a copy of the tree,
and lists the survivors. Settings: [tool.mutants] of pyproject.toml. The exit status is 0 if at least `threshold` of
the mutants were killed.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import itertools
import multiprocessing
import os
import random
import re
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_and_test, mutate_code
from cosmic_ray.testing import run_tests
from cosmic_ray.work_item import MutationSpec, TestOutcome
from coverage import CoverageData

REPOSITORY = Path(__file__).resolve().parents[1]
SETTINGS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutants"]
MEMORY = 8 << 30  # bytes that a mutant may take; a size that is squared must not take the machine down
TIMEOUT = 900  # seconds for all the tests of a mutant
AT_FIRST = 150  # tests that are tried before all the others that run a line
PYTEST = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--timeout=60", *SETTINGS["pytest"]]
CPU, GPU = [*PYTEST, "-m", "not gpu and not torch"], ["env", "TINYCNN_EMULATE_GPU=1", *PYTEST, "-m", "gpu"]
SUITES = [CPU, GPU] if shutil.which("g++") else [CPU]


# --- drawing ----------------------------------------------------------------------------------------------


class _WithoutAnnotations(ast.NodeTransformer):
    def visit(self, node: ast.AST) -> ast.AST:
        for field in ("annotation", "returns"):
            if getattr(node, field, None) is not None:
                setattr(node, field, ast.Constant(None))
        return self.generic_visit(node)


def _meaning(code: str) -> str:
    return ast.dump(_WithoutAnnotations().visit(ast.parse(code)))


def _changes(before: str, mutant: MutationSpec) -> bool:
    """Whether the mutant is a program, and another one than before. `int | None` in an annotation is not run."""
    try:
        after = _meaning(mutate_code(before, plugins.get_operator(mutant.operator_name)(), mutant.occurrence))
    except SyntaxError:
        return False
    return after != _meaning(before)


def _places(paths: list[Path]) -> list[list[MutationSpec]]:
    """The mutants of each place in the source that has any."""
    wanted = re.compile("|".join(SETTINGS["operators"]))
    names = [name for name in plugins.operator_names() if wanted.fullmatch(name.removeprefix("core/"))]
    operators = {name: plugins.get_operator(name)() for name in names}
    unobservable = re.compile("|".join(SETTINGS["unobservable"]))
    places = defaultdict(list)
    for path in paths:
        code = path.read_text(encoding="utf-8")
        lines, nodes = code.splitlines(), list(ast_nodes(get_ast(code)))
        for name, operator in operators.items():
            positions = itertools.chain.from_iterable(operator.mutation_positions(node) for node in nodes)
            for occurrence, (start, end) in enumerate(positions):
                line = lines[start[0] - 1]
                if not unobservable.search(f"{line[: start[1]]}<{line[start[1] :]}"):
                    where = path.relative_to(REPOSITORY)
                    places[where, start].append(MutationSpec(where, name, occurrence, start, end))
    return list(places.values())


def draw(paths: list[Path], count: int, seed: int) -> Iterator[MutationSpec]:
    """Up to `count` mutants at different places, each place as likely as another."""
    rng = random.Random(seed)
    places = _places(paths)
    mutants = (rng.choice(mutants) for mutants in rng.sample(places, len(places)))
    return itertools.islice(
        (m for m in mutants if _changes((REPOSITORY / m.module_path).read_text(encoding="utf-8"), m)), count
    )


# --- running ----------------------------------------------------------------------------------------------


def _start_in_a_copy(scratch: str) -> None:
    """Gives this process a copy of the working tree to run in."""
    copy = Path(tempfile.mkdtemp(dir=scratch))
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (REPOSITORY / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, copy / name)
    os.chdir(copy)
    # CI: the examples of hypothesis are the same in every run.
    os.environ.update(PYTHONPATH=str(copy), CI="true", OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def _measure(suite: list[str]) -> dict[str, dict[int, set[str]]]:
    """The tests of a suite that run each line of each file: "" for an import."""
    os.environ["COVERAGE_FILE"] = file = os.path.abspath(f"covered_by_{SUITES.index(suite)}")
    Path("lines_only.ini").write_text("[run]\n", encoding="utf-8")  # branches would cost as much again
    options = ["--cov=tinycnn", "--cov-context=test", "--cov-report=", "--cov-config=lines_only.ini"]
    outcome, output = run_tests(shlex.join([*suite, *options, "tests"]), TIMEOUT)
    if outcome is not TestOutcome.SURVIVED:
        raise RuntimeError(f"{output}\nThe tests fail without any mutant")
    data = CoverageData(file)
    data.read()
    return {
        os.path.relpath(path): {
            line: {sys.intern(context.partition("|")[0]) for context in contexts}
            for line, contexts in data.contexts_by_lineno(path).items()
        }
        for path in data.measured_files()
    }


def _statement(code: str, line: int) -> range:
    """The lines of the innermost statement around a line: of an `if` or a `def` the lines before its body."""
    lines = range(line, line + 1)
    for node in ast.walk(ast.parse(code)):  # outer statements first
        if isinstance(node, ast.stmt) and node.lineno <= line <= node.end_lineno:
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if body and line < body[0].lineno else node.end_lineno
            lines = range(node.lineno, max(last, line) + 1)
    return lines


def _tests_of(mutant: MutationSpec, by_file: dict[str, dict[int, set[str]]]) -> set[str]:
    code = (REPOSITORY / mutant.module_path).read_text(encoding="utf-8")
    by_line = by_file.get(str(mutant.module_path), {})
    return set().union(*(by_line.get(line, ()) for line in _statement(code, mutant.start_pos[0])))


def _commands(mutant: MutationSpec, tests: list[set[str]]) -> Iterator[list[str]]:
    """What to run, one after the other, until something fails: first a sample of the tests that run the line."""
    for suite, found in zip(SUITES, tests):
        named = sorted(found - {""})
        files = Counter(name.partition("::")[0] for name in named)
        few = sorted(files, key=lambda file: (Path(file).name != f"test_{mutant.module_path.name}", -files[file]))[:3]
        some = [name for name in named if name.partition("::")[0] in few]  # of few files: collecting takes longest
        first = random.Random(0).sample(some, min(len(some), AT_FIRST))
        if first:
            chosen = Path("chosen_tests")
            chosen.write_text("\n".join(first), encoding="utf-8")
            yield [*suite, f"@{chosen}"]
        if "" in found:
            yield [*suite, "tests"]
        elif len(named) > len(first):
            yield [*suite, *files]


def _run(job: tuple[MutationSpec, list[set[str]]]) -> tuple[MutationSpec, bool, float]:
    mutant, tests = job
    started = time.monotonic()
    for command in _commands(mutant, tests):
        result = mutate_and_test([mutant], shlex.join(command), TIMEOUT)
        if result.test_outcome is TestOutcome.INCOMPETENT:
            raise RuntimeError(f"{mutant}: {result.output}")
        if result.is_killed:
            return mutant, True, time.monotonic() - started
    return mutant, False, time.monotonic() - started


def _changed_lines(mutant: MutationSpec) -> str:
    before = (REPOSITORY / mutant.module_path).read_text(encoding="utf-8")
    after = mutate_code(before, plugins.get_operator(mutant.operator_name)(), mutant.occurrence)
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return "\n".join(line for line in itertools.islice(lines, 3, None) if not line.startswith("@@"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=120, help="how many mutants (120)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of the draw; random by default")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes at once (one a core)")
    parser.add_argument("modules", nargs="*", default=SETTINGS["modules"], help="files or folders to mutate (the core)")
    options = parser.parse_args()

    given = [REPOSITORY / name for name in options.modules]
    paths = sorted({file for path in given for file in ([path] if path.is_file() else path.rglob("*.py"))})
    mutants = list(draw(paths, options.count, options.seed))
    print(f"{len(mutants)} mutants of {len(paths)} files, --seed {options.seed}", flush=True)
    survivors = []
    with (
        tempfile.TemporaryDirectory() as scratch,
        multiprocessing.get_context("spawn").Pool(options.jobs, _start_in_a_copy, [scratch]) as pool,
    ):
        tests = pool.map(_measure, SUITES, chunksize=1)
        jobs = ((mutant, [_tests_of(mutant, by_file) for by_file in tests]) for mutant in mutants)
        for mutant, killed, seconds in pool.imap_unordered(_run, jobs):
            where = f"{mutant.module_path}:{mutant.start_pos[0]}"
            name = mutant.operator_name.removeprefix("core/")
            print(f"{'killed' if killed else 'SURVIVED':8} {seconds:5.0f} s  {where:36} {name}", flush=True)
            if not killed:
                survivors.append(f"{where}\n{_changed_lines(mutant)}")
                print(_changed_lines(mutant), flush=True)
    print("\nSurvivors:", *sorted(survivors), sep="\n")
    share = 1 - len(survivors) / max(len(mutants), 1)
    print(f"{len(mutants) - len(survivors)} of {len(mutants)} mutants killed: {share:.1%}; --seed {options.seed}")
    return share < SETTINGS["threshold"]


if __name__ == "__main__":
    sys.exit(main())
