"""What is asked: tasks cut windows from clips, displace their sound and know the answer.

A task asks, methods answer, metrics are pure. A question depends on the task's seed and on the
clip's key alone, so that every method is asked the same ones, whatever the order of the clips,
their number, or the other lengths and repeats asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from avbench import protocols
from avbench.data import JSON, Clip, Item
from avbench.distort import draw_offset, rng_for
from avbench.errors import UsageError
from avbench.protocols import Protocol

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class Question:
    """One window of one clip, whose offset is to be found."""

    key: str
    """Key of the clip."""
    length: int
    """Frames of picture, and of sound, that a method gets."""
    repeat: int
    window: int
    """Number of the window within its clip and repeat, from 0."""
    start: int
    """First video frame of the window in the clip."""
    displacement: int
    """Frames by which the sound is taken later in the clip, as in `Clip.window`."""
    offset: int
    """The true answer: the displacement plus the clip's own offset, in frames."""

    def cut(self, clip: Clip) -> Clip:
        """Cut the window out of its clip, truth included."""
        return clip.window(self.start, self.length, self.displacement)

    def rows(self) -> list[tuple[str | int, ...]]:
        """Return what is asked, one row per answer; `OffsetTask.COLUMNS`."""
        facts = (self.key, self.length, self.repeat, self.window)
        return [(*facts, self.start, self.displacement, self.offset)]


@dataclass(frozen=True)
class Refusal:
    """A clip that a task cannot ask about, and why."""

    key: str
    length: int | None
    """Window length that does not fit; None where the clip fits no length at all."""
    reason: str


@dataclass(frozen=True)
class Task:
    """What all tasks share: how much is asked, from which seed, by the rules of which protocol."""

    name: ClassVar[str]

    lengths: tuple[int, ...]
    search: int
    repeats: int
    windows_per_clip: int | None
    seed: int
    tolerances: tuple[int, ...]
    """Largest errors that count as correct, in frames."""
    family: str
    """Rules, less the search range."""

    def __post_init__(self) -> None:
        if len(set(self.lengths)) < len(self.lengths):
            raise UsageError(f"got window lengths {list(self.lengths)}, expected each once")
        least = min(self.search, self.repeats, self.windows_per_clip or 1)
        if least < 1 or self.windows_per_clip == 0:
            raise UsageError(
                f"got search {self.search}, repeats {self.repeats} and windows per clip "
                f"{self.windows_per_clip}, expected at least 1 of each"
            )
        if not self.tolerances or min(self.tolerances) < 0:
            raise UsageError(
                f"got tolerances {list(self.tolerances)}, expected some, none negative"
            )

    @classmethod
    def of(cls, protocol: Protocol, **changes: Any) -> Self:
        """Ask as a protocol says, but for ``changes`` (any field of the task that is not None)."""
        if not (protocol.task == cls.name and protocol.measured):
            raise UsageError(
                f"protocol {protocol.name} gives names to reported numbers and is not measured; "
                f"choose one of {', '.join(measurable())}"
            )
        as_published = cls(
            lengths=protocol.lengths,
            search=protocol.search,
            repeats=protocol.repeats,
            windows_per_clip=protocol.windows_per_clip,
            seed=0,
            tolerances=protocol.tolerances,
            family=protocol.family,
        )
        return replace(as_published, **{k: v for k, v in changes.items() if v is not None})

    @property
    def rules(self) -> Protocol:
        """The protocol, with this task's search range."""
        return protocols.of_family(self.family, self.search)

    @property
    def protocol(self) -> str:
        """Name of the rules: scores are comparable where it, and the data, are equal."""
        return self.rules.name

    @property
    def version(self) -> int:
        """Version of the rules."""
        return self.rules.version

    @property
    def reduction(self) -> str:
        """How questions become one number: ``micro`` or ``macro`` (mean within clips first)."""
        return self.rules.reduction

    def describe(self) -> dict[str, JSON]:
        """Return everything that decides the questions and the scores."""
        fields: Mapping[str, JSON] = asdict(self)
        lists = {name: list(v) if isinstance(v, tuple) else v for name, v in fields.items()}
        rules = self.rules.describe()
        return {
            "name": self.name,
            "version": self.version,
            "protocol": self.protocol,
            **lists,
            "rules": {k: rules[k] for k in ("sound", "edge", "truth", "reduction", "law")},
        }


@dataclass(frozen=True)
class OffsetTask(Task):
    """Find the constant offset of a short window of a clip.

    What a window is, what sound comes with it and where the truth lies are the rules of a
    protocol (`avbench.protocols`), the strict one of Kim et al. (2021) unless another is named.

    The start of a window is drawn so that picture and sound lie inside the clip for **every**
    candidate offset: it says nothing about the answer. A synced clip of T frames therefore offers
    the starts ``search .. T - length - search``, and needs ``length + 2 * search`` frames. A clip
    with a constant offset of its own is displaced by so much less; a clip whose alignment varies
    is refused.
    """

    name: ClassVar[str] = "offset"
    COLUMNS: ClassVar[tuple[str, ...]] = (
        "key",
        "length",
        "repeat",
        "window",
        "start",
        "displacement",
        "offset",
    )
    """What `Question.rows` holds."""

    lengths: tuple[int, ...] = (11, 13, 15, 20)
    """Window lengths in frames."""
    search: int = 5
    """Largest true offset, and range of candidates, in frames."""
    repeats: int = 10
    windows_per_clip: int | None = 1
    """Windows per clip, length and repeat; None: every one that fits, in order."""
    seed: int = 0
    tolerances: tuple[int, ...] = (0, 1)
    """Largest errors that count as correct, in frames."""
    family: str = "kim-strict"
    """Rules, less the search range."""

    def __post_init__(self) -> None:
        if not self.lengths or min(self.lengths) < 5:
            raise UsageError(
                f"got window lengths {list(self.lengths)}, expected some, each of at least 5 "
                "frames (the shortest window that a method can compare)"
            )
        super().__post_init__()

    def starts(self, num_frames: int, length: int, clip_offset: int = 0) -> range:
        """Return the window starts at which every candidate offset stays inside the clip.

        Parameters
        ----------
        num_frames
            Frames of the clip.
        length
            Frames of the window.
        clip_offset
            The clip's own constant offset, in frames.
        """
        lowest, highest = -self.search - clip_offset, self.search - clip_offset
        return range(max(0, -lowest), num_frames - length - max(0, highest) + 1)

    def questions(self, clip: Clip | Item) -> list[Question]:
        """Return everything that is asked about one clip; none where it is refused."""
        own = own_offset(clip)
        if own is None:
            return []
        centred = self.rules.truth == "centre"
        return [
            self._question(clip.key, length, repeat, window, starts, own, centred)
            for length in self.lengths
            if (starts := self.starts(len(clip), length, own))
            for repeat in range(self.repeats)
            for window in range(self.windows_per_clip or len(starts))
        ]

    def refusals(self, clip: Clip | Item) -> list[Refusal]:
        """Say what cannot be asked about one clip, and why; empty where all can."""
        own = own_offset(clip)
        if own is None:
            return [truth_refusal(clip)]
        return [
            Refusal(clip.key, length, f"too short: {len(clip)} frames")
            for length in self.lengths
            if not self.starts(len(clip), length, own)
        ]

    def _question(
        self,
        key: str,
        length: int,
        repeat: int,
        window: int,
        starts: range,
        own: int,
        centred: bool,
    ) -> Question:
        rng = rng_for(self.seed, self.name, key, length, repeat, window)
        drawn = draw_offset(rng, self.search)
        offset = 0 if centred else drawn
        start = starts[window if self.windows_per_clip is None else int(rng.integers(len(starts)))]
        return Question(key, length, repeat, window, start, offset - own, offset)


def measurable() -> list[str]:
    """Return the names of the protocols that a task of avbench can ask."""
    return [name for name in protocols.available() if protocols.get(name).measured]


def own_offset(clip: Clip | Item) -> int | None:
    """Return the constant offset that a clip has already, None where it is not known to be one."""
    return None if clip.alignment is None else clip.alignment.offset


def truth_refusal(clip: Clip | Item) -> Refusal:
    """Refuse a clip that is not known to be in sync but for a constant offset."""
    known = clip.alignment is not None
    reason = "its alignment is not a constant offset" if known else "its truth is unknown"
    return Refusal(clip.key, None, reason)
