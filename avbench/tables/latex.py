"""Tables as LaTeX: booktabs rules, numbers below numbers, and never wider than the column.

Nothing but the booktabs package is needed. Widths are estimated with those of Computer Modern,
whose letters are wider than those of Times, which most venues use.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from avbench import venues

if TYPE_CHECKING:
    from avbench.tables.model import Cell, Table


@dataclass(frozen=True)
class Layout:
    """What a LaTeX table has to fit."""

    width: float = venues.get("article").inches(1)
    """Inches."""
    spanning: bool = False
    """Whether it goes across both columns of the page (``table*``)."""
    label: str = ""
    """For ``\\ref``; none where empty."""


@dataclass(frozen=True)
class _Fit:
    """One way to set a table: letters of so many points, cells in one line or stacked."""

    points: int
    stacked: bool
    groups: int = 1
    """Number of tables that the columns are shared out to."""


_SEP, _GAP = 5.0, 3.5
"""Points on either side of a column, and between the parts of a cell."""
_TITLE = 170.0
"""Points that the title of a block may take in a narrower table, so that its words have room."""
_STEPS = ((10, False), (9, False), (8, False), (8, True), (7, False), (7, True))
"""Sizes of letters and whether stacked, in order of preference."""
_WIDER = {10: 1.0, 9: 1.028, 8: 1.063, 7: 1.14}
"""How much wider, relative to their size, the smaller fonts of Computer Modern are."""
_EM = {c: 0.5 for c in "0123456789"} | {
    c: w
    for chars, w in (
        ("ijl.,;:|'!", 0.28),
        (" ()[]frst-", 0.39),
        ("mwMW@%—", 0.95),
        ("±\u2212<>=+†", 0.78),
        ("ABCDEFGHIJKLNOPQRSTUVXYZ&", 0.74),
    )
    for c in chars
}


def render(table: Table, layout: Layout) -> str:
    """Write a table as LaTeX, set so that it fits the layout."""
    limit = layout.width * venues.POINTS_PER_INCH
    fit = _choose(table, limit)
    name = "table*" if layout.spanning else "table"
    lines = [r"% needs \usepackage{booktabs}", rf"\begin{{{name}}}", r"\centering"]
    lines.append(rf"\caption{{{tex(table.caption)}}}")
    lines += [rf"\label{{{layout.label}}}"] if layout.label else []
    lines += [_font(fit.points), rf"\setlength{{\tabcolsep}}{{{_SEP:g}pt}}"]
    for place, columns in enumerate(_shared(len(table.columns), fit.groups)):
        lines += [r"\par\medskip"] if place else []
        lines += _tabular(table, columns, fit, limit)
    if table.notes:
        lines += [r"\par\smallskip", r"\begin{minipage}{\linewidth}", _font(min(fit.points, 8))]
        lines += [r"\raggedright", *("\n\\par\n".join(map(tex, table.notes)).split("\n"))]
        lines += [r"\end{minipage}"]
    return "\n".join([*lines, rf"\end{{{name}}}"]) + "\n"


def _font(points: int) -> str:
    return rf"\fontsize{{{points}}}{{{1.2 * points:.1f}}}\selectfont"


def _choose(table: Table, limit: float) -> _Fit:
    """Return the most readable way that is not too wide."""
    fits = [
        _Fit(points, stacked, groups)
        for groups in range(1, len(table.columns) + 1)
        for points, stacked in _STEPS
    ]
    for fit in fits:
        shared = _shared(len(table.columns), fit.groups)
        if all(_width(table, columns, fit) <= limit for columns in shared):
            return fit
    return fits[-1]


def _shared(count: int, groups: int) -> list[range]:
    """Share columns out to groups that differ by one column at most.

    >>> _shared(5, 2)
    [range(0, 3), range(3, 5)]
    """
    edges = [-(-count * i // groups) for i in range(groups + 1)]
    return [range(a, b) for a, b in pairwise(edges) if a < b]


def _tabular(table: Table, columns: range, fit: _Fit, limit: float) -> list[str]:
    shapes = [_Shape.of([row[1][i] for b in table.blocks for row in b.rows], fit) for i in columns]
    span = 1 + sum(len(shape.spec) for shape in shapes)
    names = [tex(str(table.columns[i])) for i in columns]
    heads = [shape.over(name) for name, shape in zip(names, shapes, strict=True)]
    spec = "".join(shape.preamble() for shape in shapes)
    lines = [rf"\begin{{tabular}}{{@{{}}l{spec}@{{}}}}", r"\toprule"]
    lines.append(" & ".join([tex(table.corner.capitalize()), *heads]) + r" \\")
    width = max(_width(table, columns, fit), min(limit, _TITLE))
    for block in table.blocks:
        # A title that is longer than the table is broken, so that it does not widen it.
        long = em(block.title) * fit.points * _WIDER[fit.points] > width
        column = rf"@{{}}p{{{min(width, limit):.0f}pt}}@{{}}" if long else "@{}l@{}"
        title = rf"\raggedright {tex(block.title)}" if long else tex(block.title)
        lines += [r"\midrule"]
        if block.title:
            lines += [rf"\multicolumn{{{span}}}{{{column}}}{{{title}}} \\", r"\addlinespace[2pt]"]
        for label, cells in block.rows:
            lines += _row(tex(label), [cells[i] for i in columns], shapes)
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def _row(label: str, cells: Sequence[Cell | None], shapes: Sequence[_Shape]) -> list[str]:
    """Write one method: a line, or one for each part of its cells."""
    height = max(shape.lines for shape in shapes)
    parts = [shape.cell(cell, height) for cell, shape in zip(cells, shapes, strict=True)]
    lines = []
    for line in range(height):
        fields = [label if line == 0 else "", *(part[line] for part in parts)]
        if any(field.strip(" &") for field in fields):
            lines.append(" & ".join(fields) + (r" \\" if line == height - 1 else r" \\*"))
    lines[-1] = lines[-1].removesuffix("*")
    return [*lines, r"\addlinespace[2pt]"] if height > 1 else lines


@dataclass(frozen=True)
class _Shape:
    """How the cells of one column are set: which parts there are, beside or below each other."""

    spec: str
    """Alignment of the parts that stand beside each other."""
    lines: int
    used: tuple[bool, bool, bool]

    @classmethod
    def of(cls, cells: Sequence[Cell | None], fit: _Fit) -> _Shape:
        found = [cell.parts() for cell in cells if cell is not None]
        used = tuple(any(part[i] for part in found) for i in range(3))
        if not fit.stacked or sum(used) < 2:
            return cls("r" * max(1, sum(used)), 1, (True, used[1], used[2]))
        interval = any(part[1].startswith("[") for part in found)
        wide = "rl" if used[1] and not interval else "c"
        return cls(wide, 1 + int(used[1] and interval) + int(used[2]), (True, used[1], used[2]))

    def preamble(self) -> str:
        return rf"@{{\hspace{{{_GAP:g}pt}}}}".join(self.spec)

    def over(self, text: str) -> str:
        """Set something across all parts of the column."""
        if not text or self.spec == "c":
            return text
        if len(self.spec) == 1:
            return text
        return rf"\multicolumn{{{len(self.spec)}}}{{c}}{{{text}}}"

    def cell(self, cell: Cell | None, height: int) -> list[str]:
        """Return the fields of a cell, one for each line."""
        empty = " & " * (len(self.spec) - 1)
        if cell is None:
            return [self.over("--"), *[empty] * (height - 1)]
        mean, spread, gain = tex_parts(cell)
        if self.lines == 1:
            parts = zip((mean, spread, gain), self.used, strict=True)
            fields = [" & ".join(text for text, used in parts if used)]
        elif self.spec == "rl":
            fields = [f"{mean} & {spread}", self.over(gain) or empty]
        else:
            parts = zip((mean, spread, gain), self.used, strict=True)
            fields = [text for text, used in parts if used]
        return [*fields, *[empty] * (height - len(fields))]

    def width(self, cells: Sequence[Cell | None]) -> float:
        """Return the estimated width in em."""
        parts = [cell.parts() if cell else ("--", "", "") for cell in cells]
        bold = [1.15 if cell and cell.best else 1.0 for cell in cells]
        mean = max((b * em(part[0]) for b, part in zip(bold, parts, strict=True)), default=0.0)
        rest = [max((em(part[i]) for part in parts), default=0.0) for i in (1, 2)]
        if self.spec == "c":
            return max(mean, *rest)
        if self.lines > 1:
            return max(mean + rest[0], rest[1])
        return mean + sum(rest)


def _width(table: Table, columns: range, fit: _Fit) -> float:
    """Return the estimated width of a table of these columns, in points."""
    scale = fit.points * _WIDER[fit.points]
    labels = [table.corner, *(label for block in table.blocks for label, _ in block.rows)]
    total = scale * max(em(label) for label in labels)
    for i in columns:
        cells = [row[1][i] for block in table.blocks for row in block.rows]
        shape = _Shape.of(cells, fit)
        inner = scale * shape.width(cells) + _GAP * (len(shape.spec) - 1)
        total += 2 * _SEP + max(inner, scale * em(str(table.columns[i])))
    return 1.01 * total


def em(text: str) -> float:
    """Estimate the width of a text, in its own size."""
    return sum(_EM.get(c, 0.54) for c in text)


_TEX = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "±": r"$\pm$",
    "\u2212": r"$-$",
    "†": r"$^\dagger$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "\u00d7": r"$\times$",
    "\u2013": "--",
    "—": "---",
    "…": r"\dots{}",
    "“": "``",
    "”": "''",
    "\u2019": "'",
    "|": r"\textbar{}",
    '"': "''",
}


def tex(text: str) -> str:
    """Escape a text for LaTeX; what its standard fonts lack becomes a question mark."""
    return "".join(_characters(text))


def _characters(text: str) -> Iterator[str]:
    for c in text:
        if c in _TEX:
            yield _TEX[c]
        else:
            yield c if c.isascii() or c in _LATIN else "?"


_LATIN = "àáâãäåæçèéêëìíîïñòóôõöøùúûüýÿßÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝ"
"""Letters that LaTeX's standard input and fonts know."""


def tex_parts(cell: Cell) -> tuple[str, str, str]:
    """Return the parts of a cell in LaTeX, with a true minus for a loss."""
    mean, spread, gain = (tex(part) for part in cell.parts())
    # A hyphen would be set too short for a loss against the reference.
    mean, gain = mean.replace("-", "$-$"), gain.replace("-", "$-$")
    return (rf"\textbf{{{mean}}}" if cell.best else mean), spread.replace("[-", "[$-$"), gain
