"""A row of the table of idioms: a few lines as people write them for torch, and what is to be said about them.

`torch`, `nn`, `F`, `optim` and the other names of `run.IMPORTS` are there already, as are `np`, `math`, `copy`, `io`,
`os` and `random`. `numbers(2, 3)` is a float32 tensor of fixed numbers, and `fixed(net)` gives a module's parameters
and buffers fixed values: random numbers differ between the libraries. Every name that the lines define is compared
(see `run.described`), and what they print.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

IDIOMS: list[Idiom] = []
NOTES: list[tuple[str, str]] = []  # subjects and sentences of the page that no row tries


@dataclass(frozen=True)
class Idiom:
    """Equal in both libraries, unless `sentence` says on the page what differs; then `instead` is code that gives, with
    tinycnn, what the idiom gives with torch, or `remedy` says what to do."""

    subject: str
    title: str
    code: str
    draws: tuple[str, ...]  # names of which only shapes and dtypes are compared
    raises: str  # the type of torch's error, where it raises one
    sentence: str
    instead: str
    remedy: str
    vision: bool  # needs torchvision

    @property
    def name(self) -> str:
        return f"{self.subject}: {self.title}"


class Subject:
    """Rows of one subject, in the order of the page."""

    def __init__(self, name: str):
        self.name = name

    def same(
        self, title: str, code: str, *, before: str = "", draws: str = "", raises: str = "", vision: bool = False
    ) -> None:
        """An idiom that gives the same in both libraries, or the same type of error. `before` is code, too."""
        self._add(title, before, code, draws, raises, "", "", "", vision)

    def differs(
        self, title: str, code: str, sentence: str, *, before: str = "", instead: str = "", remedy: str = "",
        draws: str = "", raises: str = "", vision: bool = False,
    ) -> None:  # fmt: skip
        """An idiom that gives something else, or that one of the libraries refuses."""
        assert sentence.endswith("."), title
        self._add(title, before, code, draws, raises, sentence, instead, remedy, vision)

    def note(self, sentence: str, *, untried: str) -> None:
        """A difference that no row tries, and why."""
        assert untried
        NOTES.append((self.name, sentence))

    def _add(
        self, title: str, before: str, code: str, draws: str, raises: str, sentence: str, instead: str, remedy: str,
        vision: bool,
    ) -> None:  # fmt: skip
        assert all((self.name, title) != (row.subject, row.title) for row in IDIOMS), f"two rows {self.name}: {title}"
        before, code, instead = (textwrap.dedent(part).strip() for part in (before, code, instead))
        both = f"{before}\n{code}".strip()
        IDIOMS.append(Idiom(self.name, title, both, tuple(draws.split()), raises, sentence, instead, remedy, vision))
