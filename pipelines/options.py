"""Every choice of a build, with its default, its check and what it means for the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args

import avbench
from avbench import media
from avbench.data import JSON
from avbench.distort import Law
from avbench.errors import UnknownName, UsageError
from avbench.timing import FPS

from .adapters import Corpus, Crops, find_layout, open_corpus
from .engine import EngineSettings
from .faces import check_weights
from .pack import Distortion, Kind
from .settings import FacetrackSettings
from .several import FaceRule
from .shots import check_finder
from .splits import ByList, ByShares, GroupBy, Rule, parse_split, read_list, read_periods
from .sync import Mode, SyncSettings
from .units import slug

T = TypeVar("T")
Crop = Literal["face", "mouth112", "mouth96"]
_MOUTH = {"mouth112": 112, "mouth96": 96}
"""Sides of mouth crops in pixels: nearly the 111 of the 2016 SyncNet paper, and that of the mouth
regions of audio-visual speech recognition."""


@dataclass(frozen=True)
class BuildOptions:
    """What to build and how; those from ``engine`` on cannot change the result."""

    dataset: str = "faces"
    split: str = "80/10/10"
    """Shares, the name of one split, or a list of files (``.csv``)."""
    split_by: GroupBy = "video"
    """What stays together in one split."""
    split_dates: str = ""
    """Instead of shares: the name of a division in time, or a table of one (``.csv``)."""
    about: Path | None = None
    """A table of the files' dates and speakers."""
    layout: str = ""
    """How the source, a public corpus, is laid out."""
    crops: Crops = "auto"
    """Whether the pictures of such a corpus are taken as face crops."""
    seed: int = 0
    limit: int | None = None
    """Use the first so many videos only."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Thresholds of the facetrack step by dotted name."""
    faces: FaceRule = "keep-all"
    """What is kept where several faces are seen at the same time."""
    crop: Crop = "face"
    """Whether mouths are cut beside the faces, and how large."""
    sync: Mode = "record"
    false_keep: float = SyncSettings.false_keep
    min_confidence: float | None = SyncSettings.min_confidence
    max_sync_offset: int = SyncSettings.max_offset
    correct_offset: bool = SyncSettings.correct
    checkpoint: Path | None = None
    distort: Kind = "none"
    max_offset: int = Distortion.max_offset
    law: Law = "symmetric"
    pairs: int = 0
    """Frames from one genuine pair of a clip to the next; none are written where 0."""
    find_duplicates: bool = True
    """Look for near-duplicates across splits."""
    drop_duplicates: bool = False
    """Leave one of each such pair out."""
    shard_clips: int = 1000
    shard_mb: int = 256
    engine: str = "ray"
    workers: int | None = None
    ray_address: str = "local"
    time_limit: float = EngineSettings.time_limit_s
    """Seconds granted to every video, on top of ten times its length."""
    memory_limit: int = 4096
    """MiB granted to every video, on top of what its worker holds already."""
    retry: bool = True
    """Try again what failed in an earlier run."""
    retry_reason: str = ""
    """But only where the reason holds these words."""
    keep_work: bool = True

    def __post_init__(self) -> None:
        if not slug(self.dataset + ".") == self.dataset or len(self.dataset) > 40:
            raise UsageError(
                f"got --dataset '{self.dataset}', expected at most 40 of a-z, 0-9 and single '-'"
            )
        if self.split_by not in get_args(GroupBy):
            raise UnknownName("split group", self.split_by, get_args(GroupBy))
        if self.faces not in get_args(FaceRule):
            raise UnknownName("rule for several faces", self.faces, get_args(FaceRule))
        if self.crop not in get_args(Crop):
            raise UnknownName("crop", self.crop, get_args(Crop))
        if self.faces == "best-sync" and self.sync == "off":
            raise UsageError(
                "--faces best-sync keeps the face that fits the sound best, which --sync off does "
                "not measure; leave one of them out"
            )
        if self.drop_duplicates and not self.find_duplicates:
            raise UsageError(
                "--drop-duplicates must find them first; leave out --no-find-duplicates"
            )
        if self.pairs < 0:
            raise UsageError(f"got --pairs {self.pairs}, expected 0 (none) or a number of frames")
        for name in ("limit", "shard_clips", "shard_mb", "memory_limit"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"got --{name.replace('_', '-')} {value}, expected at least 1")

    def facetrack_settings(self) -> FacetrackSettings:
        """Return the thresholds of the facetrack step.

        Raises
        ------
        UnknownName
            If a name or a detector does not exist.
        UsageError
            If a value is of the wrong kind, or they contradict each other.
        MissingDependency
            If the shot detector needs a package that is not installed.
        """
        settings = override(FacetrackSettings(), self.settings)
        if self.faces == "single":
            settings = replace(settings, single_face=True)
        if self.crop != "face":
            settings = replace(settings, mouth=replace(settings.mouth, size=_MOUTH[self.crop]))
        check_weights(settings.detector, settings.detector_weights)
        check_finder(settings.shot_detector)
        if settings.shot_scores and not self.keep_work:
            raise UsageError(
                "the scores of shots are kept in the work folder; leave out --no-keep-work or "
                "--shot-scores"
            )
        return settings

    def sync_settings(self) -> SyncSettings:
        """Return what to measure and what a clip must reach."""
        return SyncSettings(
            self.sync,
            self.false_keep,
            self.min_confidence,
            self.max_sync_offset,
            self.correct_offset,
            self.checkpoint,
        )

    def distortion(self) -> Distortion:
        """Return the synthetic fault."""
        return Distortion(self.distort, self.max_offset, self.law)

    def engine_settings(self) -> EngineSettings:
        """Return where and how units run."""
        return EngineSettings(self.engine, self.workers, self.ray_address, self.time_limit)

    def split_rule(self) -> Rule:
        """Return how files are divided into splits.

        Raises
        ------
        UsageError
            If a value makes no sense, contradicts another, or names no table that can be read.
        DataError
            If a table does not make sense.
        """
        from_list = self.split.endswith(".csv")
        if from_list and (self.split_dates or self.about is not None):
            raise UsageError(
                "a list of splits says everything itself, dates and speakers included; leave out "
                "--split-dates and --about"
            )
        if from_list:
            return ByList(read_list(Path(self.split)))
        about = None if self.about is None else read_list(self.about, with_splits=False)
        if self.split_dates:
            return replace(read_periods(self.split_dates), about=about)
        parse_split(self.split)
        if self.split_by == "speaker" and about is None:
            raise UsageError(
                "--split-by speaker needs --about, a CSV with the columns file and speaker; or "
                "have one folder per speaker and take --split-by folder"
            )
        return ByShares(self.split, self.split_by, self.seed, about)

    def corpus(self, sources: Sequence[Path]) -> Corpus | None:
        """Return the corpus that the sources are; None where they are just files.

        Raises
        ------
        UnknownName
            If there is no such layout.
        UsageError
            If the sources are not laid out like it.
        """
        if not self.layout:
            return None
        layout, rule = find_layout(self.layout), self.split_rule()
        return open_corpus(layout, sources, self.crops, rule, self.split, self.seed)

    def retries(self, reason: str) -> bool:
        """Return whether to try again what failed in an earlier run for a reason."""
        return self.retry and self.retry_reason.lower() in reason.lower()

    def recipe(self) -> dict[str, JSON]:
        """Return everything that the shards depend on, apart from the inputs."""
        recipe: dict[str, JSON] = {
            "dataset": self.dataset,
            "avbench": avbench.__version__,
            "decoder": media.decoder_versions(),
            "fps": FPS,
            "facetracks": self.facetrack_settings().as_json(),
            "faces": self.faces,
            "split": self.split_rule().recipe(),
            "distortion": {"kind": self.distort, "seed": self.seed},
            "sync": {"mode": self.sync},
            "shard": {"clips": self.shard_clips, "mb": self.shard_mb},
        }
        if self.pairs:
            recipe["pairs"] = {"every": self.pairs, "seed": self.seed}
        if self.find_duplicates:
            recipe["duplicates"] = "drop" if self.drop_duplicates else "report"
        if self.distort != "none":
            recipe["distortion"]["max_offset"] = self.max_offset
        if self.distort == "drop-duplicate":
            recipe["distortion"]["law"] = self.law
        if self.sync == "filter":
            fixed = self.min_confidence is not None
            name = "min_confidence" if fixed else "false_keep"
            recipe["sync"][name] = self.min_confidence if fixed else self.false_keep
            recipe["sync"]["max_offset"] = self.max_sync_offset
        if self.sync != "off" and self.correct_offset:
            recipe["sync"]["corrected"] = self.false_keep
        return recipe


def override(settings: T, values: Mapping[str, str], prefix: str = "") -> T:
    """Return nested settings with some replaced, by dotted name.

    Parameters
    ----------
    settings
        A frozen dataclass of numbers, strings and further such dataclasses.
    values
        ``{"min_face": "64", "crops.crf": "20"}``; each takes the type of what it replaces.
    prefix
        What stands before the names in messages.

    Raises
    ------
    UnknownName
        If there is no such setting.
    UsageError
        If a value is not of the right type.
    """
    for name, text in values.items():
        head, _, rest = name.partition(".")
        known = {f.name for f in fields(cast("Any", settings))}
        if head not in known:
            raise UnknownName("setting", prefix + name, [prefix + each for each in known])
        old = getattr(settings, head)
        if is_dataclass(old):
            new = override(old, {rest: text}, f"{prefix}{head}.")
        elif rest:
            raise UnknownName("setting", prefix + name, [prefix + each for each in known])
        else:
            new = _parse(prefix + name, text, old)
        try:
            settings = cast("T", replace(cast("Any", settings), **{head: new}))
        except ValueError as error:
            raise UsageError(f"setting {prefix}{name}={text}: {error}") from error
    return settings


def _parse(name: str, text: str, old: Any) -> Any:
    try:
        if isinstance(old, bool):
            return {"true": True, "false": False}[text.lower()]
        return type(old)(text)
    except (ValueError, KeyError):
        raise UsageError(
            f"got {name}={text}, expected a value like {old!r} ({type(old).__name__})"
        ) from None
