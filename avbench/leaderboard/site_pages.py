"""The pages of the leaderboard site: what the model says, filled into the templates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import count, groupby

import jinja2

from avbench import __version__
from avbench.data import JSON
from avbench.leaderboard import site_words as words
from avbench.leaderboard.rows import MEASURED, Row, unit_of
from avbench.leaderboard.site_model import Board, Section, Value, has_interval
from avbench.leaderboard.site_pairs import Comparisons, Pair, telling

ASSETS = "avbench.leaderboard.site_assets"
"""Package with the templates, the style and the script."""


@dataclass(frozen=True)
class Card:
    """A run of which there are numbers, and the files that it left."""

    name: str
    source: str
    """As in `Row.source`."""
    ids: tuple[str, ...]
    """What its rows call it."""
    page: str
    files: tuple[str, ...]
    """Where its files are in the site."""
    block: Mapping[str, JSON]
    """The contents of ``run.json``."""
    comparisons: Comparisons


class Renderer:
    """Fills the templates; what they say of the site itself is the same on every page."""

    def __init__(self, digest: str) -> None:
        self._templates = jinja2.Environment(
            loader=jinja2.FunctionLoader(lambda name: (files(ASSETS) / name).read_text("utf-8")),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._shared = {"version": __version__, "digest": digest, "dash": words.DASH}

    def _page(self, template: str, root: str, **context: object) -> bytes:
        text = self._templates.get_template(template).render(self._shared, root=root, **context)
        return text.encode()

    def index(
        self, found: Sequence[Board], cards: Mapping[str, Card], copies: Iterable[str]
    ) -> bytes:
        """Return the page that lists every group."""
        number = count()
        own, others = [], []
        for name, same in groupby(found, key=lambda board: board.protocol):
            groups = [_group(next(number), b, s) for b in same for s in b.sections]
            said = words.protocol_words(name, None)
            if said:
                own.append({"name": name, "words": said, "groups": groups})
            else:
                others += groups
        rows = [row for board in found for row in board.rows()]
        return self._page(
            "index.html",
            "",
            protocols=own,
            others=others,
            drawn=any(board.drawn for board in found),
            choices=_choices(rows, everywhere=True),
            entries=_index_entries(found),
            cards=list(cards.values()),
            reported_files=[name for name in copies if name.startswith("data/reported/")],
        )

    def board(
        self, board: Board, cards: Mapping[str, Card], papers: Iterable[Mapping[str, JSON]]
    ) -> bytes:
        """Return the page of a board."""
        rows = board.rows()
        cited = {note.source for note in board.notes}
        number = count()
        used = [
            cards[source] for source in dict.fromkeys(r.source for r in rows if r.kind == MEASURED)
        ]
        sections = [_section(section, number, used) for section in board.sections]
        unranked = {row.method for row in rows if not row.ranked}
        pairs = [pair for card in used for pair in telling(card.comparisons.pairs, unranked)]
        return self._page(
            "board.html",
            "../",
            board=board,
            words=words.protocol_words(board.protocol, board.version),
            sections=sections,
            numbers=[(next(number), _number(row, cards)) for row in rows],
            cards=cards,
            used=used,
            papers=[paper for paper in papers if paper["source"] in cited],
            pairs=[(next(number), _pair(pair)) for pair in pairs],
            rules=list(dict.fromkeys(c.comparisons.rule for c in used if c.comparisons.rule)),
            framed=bool(unranked),
            choices=_choices(rows),
            entries=_board_entries(board, pairs),
        )

    def card(self, card: Card, found: Iterable[Board]) -> bytes:
        """Return the page of a run."""
        plain = {k: v for k, v in card.block.items() if not isinstance(v, dict | list)}
        blocks = {
            k: v for k, v in card.block.items() if isinstance(v, dict | list) and k != "methods"
        }
        methods = card.block.get("methods", {})
        return self._page(
            "run.html",
            "../",
            card=card,
            drawn=bool(card.block.get("synthetic")),
            boards=[b for b in found if any(row.source == card.source for row in b.rows())],
            plain=[(_said(k), v) for k, v in plain.items()],
            methods=[(k, _named(v)) for k, v in methods.items()],
            blocks=[(_said(k), _named(v)) for k, v in blocks.items()],
        )


def _index_entries(found: Sequence[Board]) -> list[JSON]:
    """Return what the filters of the index need to know about each group, in the order shown."""
    return [
        _entry(board, section.metric, section.rows())
        for board in found
        for section in board.sections
    ]


def _board_entries(board: Board, pairs: Iterable[Pair]) -> list[JSON]:
    """Return what filters and sorting of a board need: its lines, its numbers, its pairs."""
    lines: list[JSON] = []
    for section in board.sections:
        for line in section.lines:
            rows = [value.row for cell in line.cells for value in cell]
            keys = [line.method.lower(), *(_sort_key(cell) for cell in line.cells)]
            lines.append(_entry(board, section.metric, rows) | {"sort": keys})
    compared = [
        _facts(board, pair.metric, [(f"{pair.a} {pair.b}".lower(), MEASURED, pair.window)])
        for pair in pairs
    ]
    return [*lines, *(_entry(board, row.metric, [row]) for row in board.rows()), *compared]


def _sort_key(cell: Sequence[Value]) -> float | None:
    known = [value.row.value for value in cell if value.row.value is not None]
    return known[0] if known else None


def _entry(board: Board, metric: str, rows: Iterable[Row]) -> dict[str, JSON]:
    facts = [
        (" ".join(filter(None, (r.method, r.printed_name, r.condition))).lower(), r.kind, r.window)
        for r in rows
    ]
    return _facts(board, metric, facts)


def _facts(
    board: Board, metric: str, facts: Iterable[tuple[str, str, int | None]]
) -> dict[str, JSON]:
    return {
        "protocol": board.protocol,
        "dataset": board.dataset,
        "metric": metric,
        "facts": [list(fact) for fact in dict.fromkeys(facts)],
    }


def _group(number: int, board: Board, section: Section) -> dict[str, object]:
    windows = dict.fromkeys(c.window for c in section.columns if c.window is not None)
    return {
        "entry": number,
        "board": board,
        "section": section,
        "title": words.metric_words(section.metric),
        "windows": ", ".join(map(str, sorted(windows))),
        "measured": section.methods("measured"),
        "reported": section.methods("reported"),
    }


def _section(section: Section, number: Iterator[int], used: Iterable[Card]) -> dict[str, object]:
    sides = [(side, len(list(same))) for side, same in groupby(c.side for c in section.columns)]
    starts = [next(c for c in section.columns if c.side == side) for side, _ in sides]
    ends = section.scale and tuple(f"{end:g}" for end in section.scale)
    return {
        "group": section,
        "title": words.metric_words(section.metric),
        "summary": words.metric_summary(section.metric),
        "unit": words.unit_words(section.unit),
        "lines": [(next(number), line) for line in section.lines],
        "sides": sides,
        "starts": starts,
        "framed": any(column.window is not None for column in section.columns),
        "scale": ends,
        "cautions": _cautions(section, used),
    }


def _cautions(section: Section, used: Iterable[Card]) -> list[str]:
    """Return what the comparisons warn of, once each."""
    said = [text for card in used for text in card.comparisons.cautions.get(section.metric, ())]
    asked = {row.questions for row in section.rows() if row.kind == MEASURED}
    if len(asked) > 1:
        said.append("The runs asked different questions; ranks hold within a run.")
    return list(dict.fromkeys(said))


def _number(row: Row, cards: Mapping[str, Card]) -> dict[str, str]:
    card = cards.get(row.source) if row.kind == MEASURED else None
    ends = [words.number(end, row.unit) for end in (row.low, row.high)]
    name = f"{row.method} ({row.condition})" if row.condition else row.method
    return {
        "method": name,
        "metric": row.metric,
        "window": words.DASH if row.window is None else str(row.window),
        "kind": row.kind,
        "value": row.printed or words.number(row.value, row.unit),
        "interval": f"{ends[0]} to {ends[1]}" if has_interval(row) else words.DASH,
        "made": row.interval,
        "spread": row.printed_std or words.number(row.std, row.unit),
        "questions": words.DASH if row.n is None else f"{row.n:,}",
        "failed": words.DASH if row.n_failed is None else f"{row.n_failed:,}",
        "source": row.source,
        "suspect": row.suspect,
        "page": card.page if card else "",
    }


def _pair(pair: Pair) -> dict[str, str]:
    unit = unit_of(pair.metric)
    low, high, difference = (
        words.number(value, unit) for value in (pair.low, pair.high, pair.difference)
    )
    return {
        "metric": pair.metric,
        "window": str(pair.window),
        "a": pair.a,
        "b": pair.b,
        "difference": difference,
        "interval": f"{low} to {high}",
        "p": f"{pair.p:.2g}",
        "verdict": "differ" if pair.differ else "cannot be told apart",
        "detectable": words.number(pair.detectable, unit),
        "test": pair.test,
    }


def _choices(rows: Sequence[Row], *, everywhere: bool = False) -> dict[str, list[tuple[str, str]]]:
    """Return what the filters offer: value and text."""
    kinds = {row.kind for row in rows}
    offered = [(MEASURED, MEASURED)] if MEASURED in kinds else []
    others = sorted(kinds - {MEASURED})
    offered += [("reported", "reported")] if others else []
    offered += [(kind, f"reported: {kind}") for kind in others] if len(others) > 1 else []
    metrics = sorted({row.metric for row in rows}, key=words.metric_order)
    windows = sorted({row.window for row in rows if row.window is not None})
    named = {name: sorted({getattr(row, name) for row in rows}) for name in ("dataset", "protocol")}
    return {
        "kind": offered,
        "metric": [(metric, words.metric_words(metric)) for metric in metrics],
        "window": [(str(window), f"{window} frames") for window in windows],
        **{name: [(x, x) for x in found] if everywhere else [] for name, found in named.items()},
    }


def _said(name: str) -> str:
    """Return the name of a field in words; messages and paths stay as they are."""
    return name.replace("_", " ") if name.isidentifier() else name


def _named(value: JSON) -> JSON:
    """Return nested facts with their names in words."""
    if isinstance(value, dict):
        return {_said(str(name)): _named(item) for name, item in value.items()}
    return [_named(item) for item in value] if isinstance(value, list) else value
