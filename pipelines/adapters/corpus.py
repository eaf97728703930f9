"""A corpus as an input of the build: a `Layout` opened at a root.

It is also the rule by which its files are divided into splits: as the corpus says, else drawn so
that what belongs together (a speaker, a recording) stays together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from avbench.data import JSON
from avbench.errors import DataError, UnknownName, UsageError
from pipelines import files, units
from pipelines.splits import ByShares, Place, Rule, parse_split, split_of
from pipelines.units import Process, Source

from .given import Given, mended, process_given
from .layout import Entry, Layout

RECENT = 256
"""Clips whose facts are kept in memory."""
Crops = Literal["auto", "own", "pipeline"]
"""auto: the corpus' own crops where it has them; own: those; pipeline: look for faces anew."""


@dataclass
class Corpus:
    """A layout at a root, its clips by their path."""

    layout: Layout
    root: Path
    entries: Mapping[str, Entry]
    own_crops: bool
    """Whether the pictures are taken as they are, as face crops."""
    rule: Rule
    """How the build divides files where the corpus does not say."""
    seed: int = 0
    shares: Mapping[str, float] = field(default_factory=dict)
    """Shares of the splits; empty where ``rule`` decides for every file."""
    _recent: dict[str, Entry] = field(default_factory=dict)
    _digests: dict[str, str] = field(default_factory=dict)
    """Of what is known of each clip; the facts of a million would not fit into memory."""

    def claim(self, found: Iterable[Source]) -> list[Source]:
        """Mark the files that are no clips of the corpus as passed over, before any is read."""
        stranger = f"no clip of {self.layout.name}"
        return [
            entry if entry.skip or entry.relative in self.entries else replace(entry, skip=stranger)
            for entry in found
        ]

    def entry(self, source: Source) -> Entry:
        """Return what is known of a clip, with what lies beside it.

        Raises
        ------
        DataError
            If a file beside it is damaged.
        """
        name = source.relative
        if name not in self._recent:
            known = self._beside(self.entries[name])
            if len(self._recent) >= RECENT:
                self._recent.clear()
            self._recent[name] = replace(known, facts=files.clean(dict(known.facts)))
        return self._recent[name]

    def _beside(self, entry: Entry) -> Entry:
        """Read what lies beside a clip; whatever makes no sense there is named with the clip."""
        try:
            return self.layout.read(self.root, entry)
        except DataError:
            raise
        except (ValueError, LookupError) as error:
            raise DataError(
                f"{entry.file}: the text beside it makes no sense ({error}); copy it again."
            ) from error

    def place(self, source: Source) -> Place:
        """Return the split and the speaker of a clip."""
        try:
            entry = self.entry(source)
        except DataError as error:
            return Place("", " ".join(str(error).replace(str(self.root), "").split()).lstrip("/"))
        known = self.rule.place(source)
        known = known._replace(speaker=known.speaker or entry.speaker)
        if not self.shares:
            return known
        return known._replace(split=self._split(entry), objection="")

    def _split(self, entry: Entry) -> str:
        """Return the official split of a clip, or draw one for all that belongs together."""
        if len(self.shares) == 1:
            return next(iter(self.shares))
        if entry.split:
            return entry.split
        shares = {name: share for name, share in self.shares.items() if name in entry.draw}
        whole = sum(shares.values())
        group = f"{self.layout.name}/{entry.group or entry.file}"
        return split_of(self.seed, group, {name: share / whole for name, share in shares.items()})

    def describe(self, sources: Sequence[Source]) -> dict[str, JSON]:
        """Return what a set built from these clips depends on, and what its card says."""
        layout = self.layout
        kept = [source for source in sources if source.relative in self.entries and not source.skip]
        parts = Counter(self.entries[source.relative].part or "clips" for source in kept)
        described = {source.relative: self._described(source) for source in kept}
        return {
            "layout": layout.name,
            "version": layout.version,
            "title": layout.title,
            "licence": layout.licence,
            "cite": layout.cite,
            "splits": layout.splits if self.shares else "by request, see below",
            "crops": "own" if self.own_crops else "pipeline",
            "parts": dict(sorted(parts.items())),
            "clips_in_corpus": len(self.entries),
            "sha256": files.digest_of(described),
        }

    def _described(self, source: Source) -> str:
        """Return a digest of all that is known of a clip."""
        name = source.relative
        if name not in self._digests:
            try:
                self._digests[name] = files.digest_of(vars(self.entry(source)) | {"draw": None})
            except DataError as error:
                self._digests[name] = str(error)
        return self._digests[name]

    def facts(self, source: Source) -> dict[str, JSON]:
        """Return what a sample says of where it comes from."""
        entry = self.entry(source)
        named = {"layout": self.layout.name, "part": entry.part, "offset_undone": entry.offset}
        return {**{name: value for name, value in named.items() if value}, **entry.facts}

    def recipe(self) -> dict[str, JSON]:
        """Return how its clips are divided into splits."""
        asked = self.rule.recipe()
        if len(self.shares) < 2:
            return asked
        named = {"by": "corpus", "corpus": self.layout.title}
        return {**named, "shares": asked["shares"], "seed": self.seed}

    def digest(self, source: Source) -> str:
        """Return what of `payload` the result depends on: not where the sound lies."""
        held = self.payload(source)
        return files.digest_of({name: value for name, value in held.items() if name != "sound"})

    def payload(self, source: Source) -> dict[str, JSON]:
        """Return what the facetracks of a clip depend on beside its own bytes and the settings."""
        entry = self.entry(source)
        sound = self.root / entry.sound if entry.sound else None
        return {
            "own_crops": self.own_crops,
            "sound": str(sound) if sound else "",
            "sound_sha256": files.hash_file(sound) if sound else "",
            "offset": entry.offset,
            "alignment": list(entry.alignment),
            "tracks": list(entry.tracks) if self.own_crops else [],
        }


def corpus_unit(process: Process, settings: Any, payload: Mapping[str, JSON]) -> JSON:
    """Run the facetrack step on one clip of a corpus; see `pipelines.units.facetrack_unit`.

    Parameters
    ----------
    process, settings
        As there; ``process`` is used where faces are looked for anew.
    payload
        As there, and ``corpus``: what `Corpus.payload` returned.
    """
    return units.facetrack_unit(partial(_process, process, payload["corpus"]), settings, payload)


def _process(
    process: Process,
    corpus: Mapping[str, JSON],
    path: Path,
    video_id: str,
    out: Path,
    settings: Any,
) -> Any:
    sound = Path(corpus["sound"]) if corpus["sound"] else None
    with mended(path, sound, corpus["offset"]) as video:
        if not corpus["own_crops"] and corpus["alignment"]:
            raise DataError(
                f"{path.name}: its text says that it is not in sync, which is known of its own "
                "crops alone; leave out --crops pipeline."
            )
        if not corpus["own_crops"]:
            return process(video, video_id, out, settings)
        given = [Given(**track) for track in corpus["tracks"]] or None
        offset, alignment = max(corpus["offset"], 0), corpus["alignment"]
        return process_given(video, video_id, out, settings, given, offset, alignment)


def open_corpus(
    layout: Layout, sources: Sequence[Path], crops: Crops, rule: Rule, split: str, seed: int
) -> Corpus:
    """Open a layout at the one folder among the sources.

    Parameters
    ----------
    layout
        How the folder is laid out.
    sources
        The folder alone.
    crops
        Whether its pictures are taken as face crops.
    rule, split, seed
        How the build divides files: its rule, the text of its shares, which count only for clips
        that the corpus puts nowhere, and its seed.

    Raises
    ------
    UsageError
        If there is not one folder, or it is not laid out like this.
    """
    if crops not in get_args(Crops):
        raise UnknownName("kind of crops", crops, get_args(Crops))
    if len(sources) != 1 or not sources[0].expanduser().is_dir():
        raise UsageError(
            f"--layout {layout.name} takes one folder, the root of the corpus: "
            f"{layout.expected}; got {', '.join(map(str, sources))}"
        )
    if crops == "own" and not layout.crops:
        raise UsageError(
            f"{layout.title} shows more than faces, so its pictures are no crops; leave out "
            "--crops own"
        )
    root = sources[0].expanduser().absolute()
    entries = {files.clean(entry.file): entry for entry in layout.clips(root)}
    if not entries:
        raise layout.wrong_root(root, "none of its clips is in a list of splits")
    shares = parse_split(split) if isinstance(rule, ByShares) else {}
    own = crops == "own" or (crops == "auto" and layout.crops)
    return Corpus(layout, root, entries, own, rule, seed, shares)
