"""Writes docs/coming-from-pytorch.md from the table of idioms (tests/idioms):

    python tools/coming_from_pytorch.py [--print]

`--print` writes it to the terminal instead. Needs what the tests need, but not torch.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from tests.idioms.idiom import IDIOMS, NOTES, Idiom  # noqa: E402
from tests.idioms.run import IMPORTS, VISION  # noqa: E402
from tests.idioms.table import ABSENT  # noqa: E402

PAGE = REPOSITORY / "docs" / "coming-from-pytorch.md"

BEGINNING = """\
# Coming from PyTorch

Names, argument order, defaults and semantics are torch's. {count} idioms, as people write them, are tried with both
libraries: {equal} give the same values, shapes, dtypes, printed text and errors. [What differs](#what-differs) stands
below, each with what to do. This page is made from that table, [`tests/idioms`](../tests/idioms), by `make docs`.

## How to run a program

Unchanged, with `torch` and `torchvision` served by tinycnn in this one process:

```sh
python -m tinycnn.run train.py --epochs 3      # at its end: which names of torch it asked for and did not get
python -m tinycnn.run --check train.py         # runs nothing, lists the names that tinycnn lacks
```

Or with other imports:

| with torch | with tinycnn |
|---|---|
{imports}

Below `torch`, paths are the same: `torch.utils.data.DataLoader` is `tinycnn.utils.data.DataLoader`. A GPU is `"cuda"`;
see [README](../README.md) for what it needs.
"""

REST = """\
tinycnn is for convolutional nets and stays small. Asking for one of these names says so in one line:
"""

WEIGHTS = """\
## Weights in and out

| to | write |
|---|---|
| load torch's weights | `net.load_state_dict(tinycnn.load("net.pth"))`, which executes nothing of the file |
| save weights for torch | `tinycnn.save(net.state_dict(), "net.pth")`, which `torch.load` reads |
| load safetensors | `tinycnn.load("net.safetensors")`, or the `.index.json` of several files |
| save safetensors | `tinycnn.save(net.state_dict(), "net.safetensors")` |
| share a tensor's memory | `tinycnn.from_dlpack(x)` of NumPy, CuPy, torch or JAX, and their `from_dlpack` of ours |
| hand a net on as ONNX | `tinycnn.onnx.export(net, example, "net.onnx", dynamic_batch=True)` |

Keys and shapes are torch's and torchvision's. A whole net, which `torch.save(net)` pickles, is not read: save its
`state_dict()`.
"""


def short(statement: str) -> str:
    """An import, with at most two names."""
    module, _, names = statement.partition(" import ")
    return f"{module} import …" if names.count(",") > 1 else statement


def wrapped(text: str, first: str = "") -> str:
    return textwrap.fill(text, 120, initial_indent=first, subsequent_indent=" " * len(first), break_long_words=False,
                         break_on_hyphens=False)  # fmt: skip


def item(sentence: str, rows: list[Idiom]) -> str:
    """A difference of the list: what differs, and what to do."""
    return wrapped(" ".join([sentence, *dict.fromkeys(row.remedy for row in rows if row.remedy)]), "- ")


def page() -> str:
    imports = [f"| `{short(theirs)}` | `{short(ours)}` |" for theirs, ours in IMPORTS + VISION]
    equal = sum(not row.sentence for row in IDIOMS)
    parts = [BEGINNING.format(count=len(IDIOMS), equal=equal, imports="\n".join(imports)), "## What differs\n"]
    different = [row for row in IDIOMS if row.sentence and row.subject != ABSENT]
    subjects = dict.fromkeys([row.subject for row in different] + [subject for subject, _ in NOTES])
    for subject in subjects:
        sentences: dict[str, list[Idiom]] = {}
        for row in different:
            if row.subject == subject:
                sentences.setdefault(row.sentence, []).append(row)
        sentences |= {sentence: [] for where, sentence in NOTES if where == subject}
        parts += [f"### {subject}\n", "\n".join(item(*each) for each in sentences.items()) + "\n"]
    absent = [row.sentence for row in IDIOMS if row.subject == ABSENT]
    parts += [f"## {ABSENT}\n", REST, "\n".join(f"- {each}" for each in absent) + "\n", WEIGHTS]
    return "\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--print", action="store_true", dest="prints", help="to the terminal instead")
    if parser.parse_args().prints:
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
        sys.stdout.write(page())
    else:
        PAGE.write_text(page(), encoding="utf-8", newline="\n")
        print(PAGE.relative_to(REPOSITORY))


if __name__ == "__main__":
    main()
