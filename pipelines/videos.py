"""One input file of a build, and what the phases found out about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from avbench.data import JSON

from . import ledger, several, splits
from .ledger import Row
from .pack import Packed
from .units import Source


@dataclass
class Video:
    """One input file on its way through the phases."""

    source: Source
    row: Row
    facetracks: Path = field(default_factory=Path)
    """Folder of its clips."""
    frames: Mapping[str, int] = field(default_factory=dict)
    """Frames in no facetrack, by reason."""
    tracks: Sequence[Mapping[str, JSON]] = ()
    scores: dict[str, Mapping[str, JSON]] = field(default_factory=dict)
    decisions: dict[str, str] = field(default_factory=dict)
    """Reason for leaving a facetrack out, by key."""
    prepared: dict[str, Path] = field(default_factory=dict)
    """Folder of a clip that is ready to be written, by key."""
    split: str = ""
    speaker: str = ""
    date: str = ""

    def place(self, rule: splits.Rule) -> str:
        """Take note of where it belongs; return why it stays out, empty where it does not."""
        self.split, objection, self.speaker, self.date = rule.place(self.source)
        return objection

    @property
    def keys(self) -> list[str]:
        """Facetracks that are still in, in key order."""
        return sorted(t["key"] for t in self.tracks if t["key"] not in self.decisions)

    @property
    def corrections(self) -> dict[str, int]:
        """Frames by which the sound of a facetrack is moved to where it belongs, by key."""
        found = {key: self.scores.get(key, {}).get("correction", 0) for key in self.keys}
        return {key: offset for key, offset in found.items() if offset}

    def close(self, state: str, step: str, reason: str, attempts: int) -> None:
        """End its way here, with nothing kept."""
        self.decisions = {track["key"]: f"{step}: {state}" for track in self.tracks}
        self.settle()
        self.row = replace(self.row, status=state, step=step, reason=reason, attempts=attempts)

    def choose(self) -> None:
        """Of tracks that share frames, leave out all but the one that fits the sound best."""
        for key, winner in several.outdone(self.tracks, self.scores).items():
            self.decisions[key] = several.OUTDONE if winner else several.UNDECIDED
            self.scores[key] = {**self.scores[key], "winner": winner}

    def packed(self, rule: str, corpus: Mapping[str, JSON]) -> Iterator[Packed]:
        """Yield the clips that are still in, with the rule for several faces they passed."""
        about = self.source
        for track in self.tracks:
            key = str(track["key"])
            if key in self.decisions:
                continue
            yield Packed(
                key=key,
                split=self.split,
                facetracks=self.facetracks,
                prepared=self.prepared[key],
                source={"source": about.root, "path": about.relative, "sha256": about.sha256},
                sync=self.scores.get(key, {"note": "not scored"}),
                speaker=self.speaker,
                date=self.date,
                corpus=corpus,
                faces={
                    "rule": rule,
                    "runner_up": several.runner_up(track, self.tracks, self.scores),
                },
            )

    def settle(self, spans: Mapping[str, tuple[int, int]] | None = None) -> None:
        """Account for its frames; ``spans`` are those that packed clips show, by key."""
        self.row = ledger.account(
            self.row, self.frames, self.tracks, self.decisions, self.split, spans
        )
