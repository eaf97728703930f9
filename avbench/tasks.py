"""What is asked: tasks cut windows from clips, displace their sound and know the answer.

A task asks, methods answer, metrics are pure. A question depends on the task's seed and on the
clip's key alone, so that every method is asked the same ones, whatever the order of the clips,
their number, or the other lengths and repeats asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import ClassVar

from avbench.data import JSON, Clip
from avbench.distort import draw_offset, rng_for
from avbench.errors import UsageError


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


@dataclass(frozen=True)
class Refusal:
    """A clip that a task cannot ask about, and why."""

    key: str
    length: int | None
    """Window length that does not fit; None where the clip fits no length at all."""
    reason: str


@dataclass(frozen=True)
class OffsetTask:
    """Find the constant offset of a short window, given that window alone.

    The strict protocol of Kim et al. (2021): of a clip, ``length`` frames of picture and equally
    much sound, displaced by an offset uniform over ``-search .. search``; nothing is padded and
    nothing outside the window is seen. The whole is repeated with fresh draws.

    The start of a window is drawn so that picture and sound lie inside the clip for **every**
    candidate offset: it says nothing about the answer. A synced clip of T frames therefore offers
    the starts ``search .. T - length - search``, and needs ``length + 2 * search`` frames. A clip
    with a constant offset of its own is displaced by so much less; a clip whose alignment varies
    is refused.
    """

    name: ClassVar[str] = "offset"
    version: ClassVar[int] = 1
    """Raised whenever the same method could get another score."""

    lengths: tuple[int, ...] = (11, 13, 15, 20)
    """Window lengths in frames."""
    search: int = 5
    """Largest true offset, and range of candidates, in frames."""
    repeats: int = 10
    windows_per_clip: int = 1
    """Windows per clip, length and repeat."""
    seed: int = 0
    tolerances: tuple[int, ...] = (0, 1)
    """Largest errors that count as correct, in frames."""

    def __post_init__(self) -> None:
        if not self.lengths or min(self.lengths) < 5:
            raise UsageError(
                f"got window lengths {list(self.lengths)}, expected some, each of at least 5 "
                "frames (the shortest window that a method can compare)"
            )
        if len(set(self.lengths)) < len(self.lengths):
            raise UsageError(f"got window lengths {list(self.lengths)}, expected each once")
        if self.search < 1 or self.repeats < 1 or self.windows_per_clip < 1:
            raise UsageError(
                f"got search {self.search}, repeats {self.repeats} and windows per clip "
                f"{self.windows_per_clip}, expected at least 1 of each"
            )
        if not self.tolerances or min(self.tolerances) < 0:
            raise UsageError(
                f"got tolerances {list(self.tolerances)}, expected some, none negative"
            )

    @property
    def protocol(self) -> str:
        """Name of the rules: scores are comparable where it, and the data, are equal."""
        return f"kim-strict-{self.search}"

    def describe(self) -> dict[str, JSON]:
        """Return everything that decides the questions and the scores."""
        fields: Mapping[str, JSON] = asdict(self)
        lists = {name: list(v) if isinstance(v, tuple) else v for name, v in fields.items()}
        return {"name": self.name, "version": self.version, "protocol": self.protocol, **lists}

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

    def questions(self, clip: Clip) -> list[Question]:
        """Return everything that is asked about one clip; none where it is refused."""
        own = _own_offset(clip)
        if own is None:
            return []
        return [
            self._question(clip.key, length, repeat, window, starts, own)
            for length in self.lengths
            if (starts := self.starts(len(clip), length, own))
            for repeat in range(self.repeats)
            for window in range(self.windows_per_clip)
        ]

    def refusals(self, clip: Clip) -> list[Refusal]:
        """Say what cannot be asked about one clip, and why; empty where all can."""
        own = _own_offset(clip)
        if own is None:
            known = clip.alignment is not None
            reason = "its alignment is not a constant offset" if known else "its truth is unknown"
            return [Refusal(clip.key, None, reason)]
        return [
            Refusal(clip.key, length, f"too short: {len(clip)} frames")
            for length in self.lengths
            if not self.starts(len(clip), length, own)
        ]

    def _question(
        self, key: str, length: int, repeat: int, window: int, starts: range, own: int
    ) -> Question:
        rng = rng_for(self.seed, self.name, key, length, repeat, window)
        offset = draw_offset(rng, self.search)
        start = starts[int(rng.integers(len(starts)))]
        return Question(key, length, repeat, window, start, offset - own, offset)


def _own_offset(clip: Clip) -> int | None:
    return None if clip.alignment is None else clip.alignment.offset
