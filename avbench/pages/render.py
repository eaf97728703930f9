"""From what is known of a set to its pages: the drawings and words, filled into the templates."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files

import jinja2
from markupsafe import Markup

from avbench import __version__
from avbench.data import JSON
from avbench.pages import draw
from avbench.pages.clips import Measure, beside_facts, sync_facts, truth_words, view
from avbench.pages.model import Entry, Source, Track
from avbench.shards import ShardSet

ASSETS = "avbench.pages.assets"
_SAFE = re.compile(r"[a-z0-9]+(-+[a-z0-9]+)*")


@dataclass
class Tally:
    """What the index says of all sources, gathered while they pass by."""

    sources: int = 0
    named: Counter[str] = field(default_factory=Counter)
    """Rejected tracks by reason."""
    kept: int = 0
    lengths: list[int] = field(default_factory=list)
    offsets: Counter[int] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    entries: dict[str, Entry] = field(default_factory=dict)

    def add(self, source: Source) -> None:
        """Count one source in."""
        self.sources += 1
        self.kept += len(source.kept)
        self.named.update(track.reason for track in source.rejected)
        measured = [t.sync["offset"] for t in source.kept if t.sync.get("offset") is not None]
        self.offsets.update(int(offset) for offset in measured)
        self.missing.update(source.missing)
        self.entries[source.entry.video_id] = source.entry


def page_of(video_id: str) -> str:
    """Return the name of a source's page; ids that are no plain names are hashed."""
    if _SAFE.fullmatch(video_id) and len(video_id) <= 100 and video_id != "index":
        return f"{video_id}.html"
    return f"source-{hashlib.sha256(video_id.encode()).hexdigest()[:16]}.html"


class Renderer:
    """Fills the templates for one set."""

    def __init__(self, found: ShardSet, measure: Measure | None = None) -> None:
        self._templates = jinja2.Environment(
            loader=jinja2.FunctionLoader(_asset),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._measure = measure
        self._rules: Mapping[str, JSON] = found.manifest["recipe"].get("sync", {})
        style, script = _asset("pages.css"), _asset("pages.js")
        self._shared = {
            "version": __version__,
            "dataset": found.name,
            "identity": found.sha256[:12],
            "synthetic": found.synthetic,
            # Written by this package, and named by their hashes in the policy of the page.
            "style": Markup(style),
            "script": Markup(script),
            "style_hash": _hash(style),
            "script_hash": _hash(script),
            "span": draw.span_words,
            "clock": draw.clock,
            "percent": draw.percent,
        }

    def source(self, source: Source, films: Mapping[str, str]) -> bytes:
        """Return the page of one source; ``films`` are the addresses of its clips by key."""
        entry = source.entry
        kept = [self._clip(track, films) for track in source.kept]
        rejected = [
            {
                "anchor": f"rejected-{n}",
                "track": track,
                "label": track.key or f"shot {track.shot}",
                "sync": _briefly(track.sync),
                "clip": self._clip(track, films) if track.sample is not None else None,
            }
            for n, track in enumerate(source.rejected)
        ]
        anchors = {id(track): f"#clip-{track.key}" for track in source.kept}
        anchors |= {id(t): f"#rejected-{n}" for n, t in enumerate(source.rejected)}
        places = {n: anchors[id(track)] for n, track in enumerate(source.tracks)}
        measured = any("confidence" in track.sync for track in source.tracks)
        return self._page(
            "source.html",
            source=source,
            entry=entry,
            kept=kept,
            rejected=rejected,
            reasons=Counter(track.reason for track in source.rejected).most_common(),
            timeline=draw.timeline(source, places) if source.frames else None,
            scatter=draw.scatter(source.tracks, places, self._rules) if measured else None,
            rules=self._rules,
            balance=draw.balance(entry.frames, entry.kept_frames, [entry.rejected_frames]),
        )

    def index(
        self, tally: Tally, ledger: Sequence[Entry] | None, passed: Mapping[str, int]
    ) -> bytes:
        """Return the page that lists every source, with the funnel.

        Parameters
        ----------
        tally
            Of all sources that have a page.
        ledger
            Every input file; None where the set has no ledger.
        passed
            Files passed over for their name, by reason.
        """
        entries = list(tally.entries.values()) if ledger is None else list(ledger)
        rows = [
            (entry, page_of(entry.video_id) if entry.video_id in tally.entries else "")
            for entry in sorted(entries, key=lambda e: (e.name, e.video_id))
        ]
        frames = sum(entry.frames for entry in entries)
        kept_frames = sum(entry.kept_frames for entry in entries)
        lost = [entry.rejected_frames for entry in entries]
        by_frame = draw.balance(frames, kept_frames, lost)
        colours = [name for name, *_ in by_frame.parts[1:]]
        tracks = tally.kept + tally.named.total()
        return self._page(
            "index.html",
            rows=rows,
            known=ledger is not None,
            funnel=draw.funnel(_steps(entries, passed)) if ledger else [],
            frames=by_frame,
            tracks=draw.balance(tracks, tally.kept, [tally.named], colours),
            unbalanced=[entry.name for entry in entries if not entry.balanced],
            offsets=draw.histogram(tally.offsets, "offset") if tally.offsets else None,
            missing=sorted(tally.missing.items()),
            complete=not ledger or all(page for entry, page in rows if entry.frames),
        )

    def _clip(self, track: Track, films: Mapping[str, str]) -> dict[str, object]:
        sample = track.sample
        assert sample is not None
        shown = view(sample, films.get(track.key, ""), self._measure)
        return {
            "track": track,
            "view": shown,
            "length": len(sample.alignment),
            "facts": sync_facts(track.sync) + beside_facts(sample.info.get("faces") or {}),
            "truth": "" if track.reason else truth_words(sample),
            "speaker": str(sample.info.get("speaker", "")),
            "curve": draw.curve(shown.curve, shown.best) if shown.curve else None,
            "drift": draw.drift(shown.drift) if shown.drift else None,
        }

    def _page(self, template: str, **context: object) -> bytes:
        return self._templates.get_template(template).render(self._shared, **context).encode()


def _briefly(sync: Mapping[str, JSON]) -> str:
    if "offset" in sync and "confidence" in sync:
        return f"{int(sync['offset']):+d} frames, confidence {sync['confidence']:g}"
    return str(sync.get("note", ""))


def _steps(entries: Sequence[Entry], passed: Mapping[str, int]) -> list[tuple[str, int, str]]:
    """Return the funnel of files: name, count, and what became of the rest."""
    tried = len(entries)
    readable = [entry for entry in entries if entry.frames]
    faced = [entry for entry in readable if entry.has_faces]
    tracked = [entry for entry in faced if entry.tracks]
    kept = [entry for entry in tracked if entry.clips]

    def left(before: Sequence[Entry], after: Sequence[Entry], what: str) -> str:
        return f"{len(before) - len(after)} {what}" if len(before) > len(after) else ""

    passing = ", ".join(f"{count} {reason}" for reason, count in sorted(passed.items()))
    return [
        ("files found", tried + sum(passed.values()), passing),
        ("files tried", tried, left(entries, readable, "gave no frames")),
        ("readable", len(readable), left(readable, faced, "without a face")),
        ("with a face", len(faced), left(faced, tracked, "without a track that passed")),
        ("with a track", len(tracked), left(tracked, kept, "without a clip that was kept")),
        ("with a kept clip", len(kept), ""),
    ]


def _asset(name: str) -> str:
    return (files(ASSETS) / name).read_text("utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
