"""What a table holds, and how it is written as text and as Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from avbench.tables.latex import Layout, render


@dataclass(frozen=True)
class Cell:
    """One number, in the unit that it is shown in."""

    mean: float
    std: float | None = None
    """Standard deviation over the repeats; None where not shown."""
    rer: float | None = None
    """Relative error reduction in percent; None for the reference itself."""
    best: bool = False
    """The best of its column, or not told apart from it, among those that are ranked."""
    low: float | None = None
    high: float | None = None
    """95 % interval; None where not shown."""
    digits: int = 2
    """Decimals of the mean, the spread and the interval."""
    rer_digits: int = 2
    bound: str = ""
    """``>`` or ``<`` where the source prints only a bound."""
    doubt: bool = False
    """Whether a note under the table says why the number cannot be right."""

    def text(self) -> str:
        """Return the cell as the papers print it.

        >>> Cell(66.88, 0.35, 39.59).text()
        '66.88 ± 0.35 (39.59)'
        >>> Cell(66.88, rer=39.59, low=66.53, high=67.23).text()
        '66.88 [66.53, 67.23] (39.59)'
        """
        return " ".join(filter(None, self.parts()))

    def parts(self) -> tuple[str, str, str]:
        """Return value, spread or interval, and error reduction; empty where there is none."""
        spread = "" if self.std is None else f"± {self.std:.{self.digits}f}"
        if self.low is not None and self.high is not None:
            spread = f"[{self.low:.{self.digits}f}, {self.high:.{self.digits}f}]"
        gain = "" if self.rer is None else f"({self.rer:.{self.rer_digits}f})"
        return f"{self.bound}{self.mean:.{self.digits}f}{'†' * self.doubt}", spread, gain


@dataclass(frozen=True)
class Block:
    """The numbers of one metric under one protocol."""

    title: str
    rows: tuple[tuple[str, tuple[Cell | None, ...]], ...]
    """Label of the method, and a cell per column; None where nothing was measured."""


@dataclass(frozen=True)
class Table:
    """Blocks of numbers with the notes that they cannot be read without."""

    caption: str
    columns: tuple[int | str, ...]
    """Window lengths in frames, or metrics."""
    blocks: tuple[Block, ...]
    notes: tuple[str, ...] = ()
    corner: str = "frames"
    """What the columns are."""

    def to_text(self) -> str:
        """Render for a terminal: columns aligned, a star at the best, notes below."""
        lines = [self.caption]
        for block in self.blocks:
            labels = _column([self.corner, *(label for label, _ in block.rows)], str.ljust)
            columns = [
                _column([str(name), *_lined_up([cells[i] for _, cells in block.rows])], str.rjust)
                for i, name in enumerate(self.columns)
            ]
            head, *body = ("  ".join(row).rstrip() for row in zip(labels, *columns, strict=True))
            rule = "  ".join("-" * len(column[0]) for column in (labels, *columns))
            lines += ["", *filter(None, [block.title]), head, rule, *body]
        notes = [note.replace("Bold:", "With a star:", 1) for note in self.notes]
        lines += ["", *(textwrap.fill(note, 100) for note in notes)] if notes else []
        return "\n".join(lines) + "\n"

    def to_markdown(self) -> str:
        """Render as GitHub Markdown; the best of a column are bold."""
        lines = [f"**{_md(self.caption)}**"]
        for block in self.blocks:
            lines += ["", _md(block.title), ""] if block.title else [""]
            lines += [f"| {self.corner} | " + " | ".join(map(str, self.columns)) + " |"]
            lines += ["|---|" + "---:|" * len(self.columns)]
            for label, cells in block.rows:
                row = [f"**{_text(c)}**" if c and c.best else _text(c) for c in cells]
                lines.append(f"| {_md(label)} | " + " | ".join(row) + " |")
        for note in self.notes:
            lines += ["", _md(note)]
        return "\n".join(lines) + "\n"

    def to_latex(self, layout: Layout | None = None) -> str:
        """Render as a LaTeX table that needs only the booktabs package; the best are bold.

        Parameters
        ----------
        layout
            How wide it may become, and whether it spans the columns of the page. A table that
            is too wide is set smaller, then with a cell's parts one below the other, and at
            last in several tables that stand one below the other.
        """
        return render(self, layout or Layout())


def _text(cell: Cell | None) -> str:
    return "-" if cell is None else cell.text()


def _column(texts: Sequence[str], justify: Callable[[str, int], str]) -> list[str]:
    width = max(map(len, texts))
    return [justify(text, width) for text in texts]


def _lined_up(cells: Sequence[Cell | None]) -> list[str]:
    """Set value below value, spread below spread, reduction below reduction."""
    parts = [("-", "", "") if cell is None else cell.parts() for cell in cells]
    means, spreads, gains = zip(*parts, strict=True)
    numbers = _column([spread.removeprefix("± ") for spread in spreads], str.rjust)
    if any(spread.startswith("±") for spread in spreads):
        numbers = [
            ("± " if spread.startswith("±") else "  ") + number
            for spread, number in zip(spreads, numbers, strict=True)
        ]
    stars = ["*" if cell and cell.best else "" for cell in cells]
    starred = [star + mean for star, mean in zip(stars, means, strict=True)]
    columns = [_column(starred, str.rjust), numbers, _column(gains, str.rjust)]
    filled = [column for column in columns if any(map(str.strip, column))]
    return [" ".join(row) for row in zip(*filled, strict=True)]


def _md(text: str) -> str:
    return "".join(f"\\{c}" if c in r"\`*_|<>[]" else c for c in text)
