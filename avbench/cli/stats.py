"""``avbench stats``: count what shard sets hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from avbench.census import Census, SplitCount, Spread

FORMATS = ("text", "md", "latex", "json")
BAR = 40
"""Longest bar in characters."""
MOST = 20
"""Most near-duplicates that are listed by name."""
HEAD = (
    "set", "split", "dates", "sources", "speakers", "clips", "genuine pairs", "every window",
    "false pairs", "hours",
)  # fmt: skip
NOTES = (
    "Genuine pairs: five frames (0.2 s) with their own sound, side by side; every window: one at "
    "each frame. False pairs: such a window with the sound of another of the same clip, shifted "
    "by up to 2 s.",
    "Columns as in Chung and Zisserman, Out of time (2016), Table 1 (train 606, val 42, test 47 "
    "hours of facetracks; 3,707, 316 and 350 thousand pairs); the paper does not say how densely "
    "its windows lie.",
)


@click.command("stats")
@click.argument("shards", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="For the terminal, for a document, for a paper (the table alone), or for a program.",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File to write.")
def command(shards: tuple[Path, ...], form: str, out: Path | None) -> None:
    r"""Count what shard sets hold: the table that papers give of their data, and histograms.

    Per split: recording dates (from file names such as 20160105_172500_bbcone_news.mp4),
    sources, speakers, clips, training pairs and hours; then near-duplicates across splits, and
    how lengths, offsets, sync confidence and, where frames were dropped and duplicated, drift are
    spread. Pictures and sound are not read.

    \b
    Examples:
      avbench stats shards
      avbench stats train test --format md --out DATA.md
      avbench stats shards --format latex --out table1.tex
      avbench stats shards --format json
    """
    from avbench.census import take
    from avbench.shards import open_set, to_json, write_atomic

    found = [take(open_set(directory)) for directory in shards]
    if form == "json":
        text = to_json([as_json(census) for census in found])
    else:
        write = {"md": markdown, "latex": latex, "text": plain}[form]
        text = "\n".join(write(found)) + "\n"
    if out is None:
        click.echo(text, nl=False)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(out, text.encode())
    click.echo(f"{out}", err=True)


def as_json(census: Census) -> Mapping[str, object]:
    """Return a census as plain values, with the hours worked out."""
    from dataclasses import asdict

    splits = [{**asdict(split), "hours": split.hours} for split in census.splits]
    return {**asdict(census), "splits": splits}


def head(found: Sequence[Census]) -> list[str]:
    """Return the names of the columns; drawn pairs have one where a set stores any."""
    return [*HEAD, *(["drawn pairs"] if _drawn(found) else [])]


def _drawn(found: Sequence[Census]) -> bool:
    return any(split.drawn for census in found for split in census.splits)


def counts(found: Sequence[Census]) -> list[SplitCount]:
    """Return the lines of the table, a total under each set of several splits."""
    from avbench.census import total

    lines: list[SplitCount] = []
    for census in found:
        lines += [*census.splits, *([total(census.splits)] if len(census.splits) > 1 else [])]
    return lines


def rows(found: Sequence[Census]) -> list[list[str]]:
    """Return the lines of the table as text."""
    lines = [_row(count) for count in counts(found)]
    if _drawn(found):
        for line, count in zip(lines, counts(found), strict=True):
            line.append(" + ".join(f"{n:,}" for n in count.drawn) if count.drawn else "-")
    return lines


def _row(count: SplitCount) -> list[str]:
    dates = f"{count.first} to {count.last}" if count.first else "unknown"
    if count.first and count.dated < count.sources:
        dates += f" ({count.dated} of {count.sources})"
    numbers = (count.clips, count.genuine, count.windows, count.false)
    speakers = "-" if count.speakers is None else f"{count.speakers:,}"
    return [
        count.dataset,
        count.split,
        dates,
        f"{count.sources:,}",
        speakers,
        *(f"{number:,}" for number in numbers),
        _hours(count.hours),
    ]


def plain(found: Sequence[Census]) -> Iterator[str]:
    """Yield the statistics for a terminal."""
    lines = [head(found), *rows(found)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(lines[0]))]
    for line in lines:
        cells = [
            cell.ljust(width) if n < 3 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
    for note in NOTES:
        yield from ("", click.wrap_text(note, 100))
    for census in found:
        if census.duplicates is not None:
            yield from ("", *shared(census))
        for spread in census.spreads:
            yield ""
            yield f"{census.dataset}: {_title(spread)}"
            yield from _bars(spread)


def shared(census: Census) -> Iterator[str]:
    """Yield what is known of near-duplicates across the splits of a set."""
    pairs = census.duplicates or ()
    gone = sum(bool(pair["dropped"]) for pair in pairs)
    left = f"; {gone} parted by leaving a clip out" if gone else ""
    what = "pair" if len(pairs) == 1 else "pairs"
    yield f"{census.dataset}: {len(pairs)} {what} of near-duplicates across splits{left}"
    for pair in pairs[:MOST]:
        what = {"both": "picture and sound"}.get(str(pair["kind"]), str(pair["kind"]))
        words = f"{pair['key']} ({pair['split']}) and {pair['other']} ({pair['other_split']})"
        yield f"  {words}: same {what} for {pair['shared_s']:.1f} s"
    if len(pairs) > MOST:
        yield f"  and {len(pairs) - MOST} more, in duplicates.parquet"


def _title(spread: Spread) -> str:
    unit = f", {spread.unit}" if spread.unit else ""
    middle = spread.quantiles
    return (
        f"{spread.name}{unit}; median {middle['50 %']:g}, "
        f"80 % of {spread.of} from {middle['10 %']:g} to {middle['90 %']:g}"
    )


def _bars(spread: Spread) -> Iterator[str]:
    most = max(spread.counts.values())
    width = max(len(value) for value in spread.counts)
    for value, count in spread.counts.items():
        bar = "#" * (max(1, round(BAR * count / most)) if count else 0)
        yield f"  {value:>{width}} {count:8,d} {bar}".rstrip()


def markdown(found: Sequence[Census]) -> Iterator[str]:
    """Yield the statistics for a document."""
    names = head(found)
    yield "| " + " | ".join(names) + " |"
    yield "|" + "---|" * 3 + "--:|" * (len(names) - 3)
    for line in rows(found):
        yield "| " + " | ".join(line) + " |"
    for note in NOTES:
        yield from ("", note)
    for census in found:
        if census.duplicates is not None:
            title, *others = shared(census)
            yield from ("", title, "", *(f"- {line.strip()}" for line in others))
        for spread in census.spreads:
            yield from ("", f"**{census.dataset}**: {_title(spread)}", "")
            yield f"| {spread.name} | {spread.of} |"
            yield "|--:|--:|"
            for value, count in spread.counts.items():
                yield f"| {value} | {count:,} |"


def latex(found: Sequence[Census]) -> Iterator[str]:
    """Yield the table of the 2016 paper for a paper: dates, pairs and hours of each split."""
    from avbench.tables.latex import tex

    several = len(found) > 1
    yield r"% needs \usepackage{booktabs}"
    yield r"\begin{tabular}{@{}" + "l" * (2 + several) + r"rrr@{}}"
    yield r"\toprule"
    yield ("Data & " if several else "") + r"Set & Dates & Clips & Pairs & Hours \\"
    yield r"\midrule"
    for count in counts(found):
        pairs = sum(count.drawn) if count.drawn else count.genuine + count.false
        dates = f"{count.first}--{count.last}" if count.first else "unknown"
        cells = [count.dataset] * several + [count.split, dates]
        numbers = (f"{count.clips:,}", f"{pairs:,}", _hours(count.hours))
        yield " & ".join([*map(tex, cells), *numbers]) + r" \\"
    yield r"\bottomrule"
    yield r"\end{tabular}"


def _hours(hours: float) -> str:
    return f"{hours:.3f}" if hours < 10 else f"{hours:,.0f}"
