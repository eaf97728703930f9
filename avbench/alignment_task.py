"""The shift of every frame is asked: pictures dropped and duplicated, sound as it is.

The faults are those of `avbench.distort`, made from indices, so that the truth is exact and the
phase of the frames within 40 ms stays fixed: a picture is shown whole, sooner or later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from avbench import protocols
from avbench.data import Clip, IntArray, Item
from avbench.distort import Law, alignment_of, drop_duplicate, rng_for
from avbench.errors import UsageError
from avbench.tasks import OffsetTask, Refusal, Task, own_offset, truth_refusal
from avbench.timing import SAMPLES_PER_FRAME

WHOLE = 0
"""Length of a question about a whole clip."""
ROW_FRAMES = 5
"""Frames that one row of an embedding sees; the third is its centre."""
CENTRE = ROW_FRAMES // 2
_LAWS: dict[str, Law] = {"tae2020": "tae2020", "symmetric": "symmetric"}


@dataclass(frozen=True)
class AlignmentQuestion:
    """One damaged window of a clip, or the whole of it, whose frames of sound are to be placed."""

    key: str
    """Key of the clip."""
    length: int
    """Rows of picture that a method gets; `WHOLE` for a clip from its start to its end."""
    repeat: int
    window: int
    """Number of the window within its clip and repeat, from 0."""
    start: int
    """First video frame of the window in the clip."""
    displacement: int
    """Frames by which the sound is taken later in the clip: minus the clip's own offset."""
    shown: tuple[int, ...]
    """Frame of the clip that each position of the damaged window shows."""
    asked: range
    """Frames of the window's sound that are asked about."""
    offsets: tuple[int, ...]
    """The true answers: position that shows an asked frame, less its own, in frames."""

    @property
    def lead(self) -> int:
        """Rows of picture on either side of the rows of sound that are asked about."""
        return self.asked.start - CENTRE

    def cut(self, clip: Clip) -> Clip:
        """Make the damaged window, truth included, with the sound of its whole picture."""
        first = self.start + self.displacement
        samples = slice(first * SAMPLES_PER_FRAME, (first + len(self.shown)) * SAMPLES_PER_FRAME)
        return Clip(
            key=self.key,
            frames=clip.frames[list(self.shown)],
            audio=clip.audio[samples],
            alignment=alignment_of(np.array(self.shown) - self.start),
            meta=clip.meta,
        )

    def rows(self) -> list[tuple[str | int, ...]]:
        """Return what is asked, one row per frame of sound; `AlignmentTask.COLUMNS`."""
        facts = (self.key, self.length, self.repeat, self.window)
        where = (self.start, self.displacement)
        pairs = zip(self.asked, self.offsets, strict=True)
        return [(*facts, frame, *where, offset) for frame, offset in pairs]


@dataclass(frozen=True)
class AlignmentTask(Task):
    """Find the picture of every frame of sound, in clips whose pictures were dropped and doubled.

    A window is ``length`` rows of damaged picture (a row sees five frames) against the ``length -
    2 * search`` rows of sound in its middle: three seconds against one in Shalev and Wolf (2020).
    No picture that is shown is displaced by more than ``search`` frames, so that the answers lie
    in the window; the few dropped ones that would belong to a later picture belong to its last row.

    It is made from the ``length + 4 + search`` frames of the clip that follow its start: so many
    are left of them, whatever is dropped, that the window can be filled. A clip needs that many
    frames (104 for the window of the paper, and as many more as its own offset moves its sound);
    a shorter one is refused, and so is one whose alignment varies already.

    Without lengths, whole clips are damaged from their first frame on; where more was dropped
    than doubled, the sound is cut at the end of the picture.
    """

    name: ClassVar[str] = "alignment"
    COLUMNS: ClassVar[tuple[str, ...]] = (
        "key",
        "length",
        "repeat",
        "window",
        "frame",
        "start",
        "displacement",
        "offset",
    )
    """What `AlignmentQuestion.rows` holds."""

    lengths: tuple[int, ...] = (75,)
    """Rows of picture; none: whole clips."""
    search: int = 25
    """Largest true shift of a frame, in frames."""
    repeats: int = 1
    windows_per_clip: int | None = 1
    """Windows per clip, length and repeat; None: every start that fits, in order."""
    seed: int = 0
    tolerances: tuple[int, ...] = (0, 1)
    """Largest errors that count as correct, in frames."""
    family: str = "tae-local"
    """Rules."""

    def __post_init__(self) -> None:
        least = 2 * self.search + 1
        if self.lengths and min(self.lengths) < least:
            raise UsageError(
                f"got window lengths {list(self.lengths)}, expected each of at least {least} rows "
                f"of picture: a frame may be shifted by {self.search} either way"
            )
        if bool(self.lengths) != bool(self.rules.lengths):
            raise UsageError(
                f"protocol {self.family} asks about {'windows' if self.rules.lengths else 'clips'}"
                f"{'; give' if self.rules.lengths else ' as a whole; leave out'} their lengths"
            )
        if self.whole and self.windows_per_clip != 1:
            raise UsageError("a whole clip is one window; leave out the number of windows")
        super().__post_init__()

    @property
    def whole(self) -> bool:
        """Whether whole clips are asked about."""
        return not self.lengths

    def starts(self, num_frames: int, length: int, own: int = 0) -> range:
        """Return the starts of the windows that fit into a clip.

        Parameters
        ----------
        num_frames
            Frames of the clip.
        length
            Rows of picture.
        own
            The clip's own constant offset: its sound for frame v lies at v - own.
        """
        frames = length + ROW_FRAMES - 1
        last = min(num_frames - frames - self.search, num_frames - frames + own)
        return range(max(0, own), last + 1)

    def questions(self, clip: Clip | Item) -> list[AlignmentQuestion]:
        """Return everything that is asked about one clip; none where it is refused."""
        own = own_offset(clip)
        if own is None or (self.whole and self.refusals(clip)):
            return []
        if self.whole:
            made = (self._whole(clip.key, len(clip), own, r) for r in range(self.repeats))
            return list(made)
        return [
            self._window(clip.key, length, repeat, window, starts, own)
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
        if self.whole:
            # Half of the frames may go, and the rest must still hold a row.
            least = max(2 * ROW_FRAMES, self.search + ROW_FRAMES) + abs(own)
            short = len(clip) < least
            return [Refusal(clip.key, None, f"too short: {len(clip)} frames")] if short else []
        return [
            Refusal(clip.key, length, f"too short: {len(clip)} frames")
            for length in self.lengths
            if not self.starts(len(clip), length, own)
        ]

    def _draw(self, num_frames: int, *key: str | int) -> tuple[np.random.Generator, IntArray]:
        rng = rng_for(self.seed, self.name, *key)
        law = _LAWS[self.rules.law]
        return rng, drop_duplicate(num_frames, rng=rng, law=law, limit=self.search)

    def _window(
        self, key: str, length: int, repeat: int, window: int, starts: range, own: int
    ) -> AlignmentQuestion:
        frames = length + ROW_FRAMES - 1
        rng, shown = self._draw(frames + self.search, key, length, repeat, window)
        start = starts[window if self.windows_per_clip is None else int(rng.integers(len(starts)))]
        asked = range(self.search + CENTRE, frames - self.search - CENTRE)
        return _question(key, length, repeat, window, start, own, shown[:frames], asked)

    def _whole(self, key: str, num_frames: int, own: int, repeat: int) -> AlignmentQuestion:
        """Damage a clip, less the frames at its ends that have no sound of their own."""
        _, shown = self._draw(num_frames - abs(own), key, WHOLE, repeat, 0)
        asked = range(len(shown))
        return _question(key, WHOLE, repeat, 0, max(0, own), own, shown, asked)


def _question(
    key: str,
    length: int,
    repeat: int,
    window: int,
    start: int,
    own: int,
    shown: IntArray,
    asked: range,
) -> AlignmentQuestion:
    places = alignment_of(shown).video_index[asked.start : asked.stop]
    if length != WHOLE:  # a dropped frame may belong to one just past the last row
        places = places.clip(CENTRE, len(shown) - 1 - CENTRE)
    offsets = tuple(int(x) for x in places - np.arange(asked.start, asked.stop))
    frames = tuple(int(x) for x in shown + start)
    return AlignmentQuestion(key, length, repeat, window, start, -own, frames, asked, offsets)


AnyTask = OffsetTask | AlignmentTask
TASKS: dict[str, type[OffsetTask] | type[AlignmentTask]] = {
    task.name: task for task in (OffsetTask, AlignmentTask)
}


def task_of(protocol: protocols.Protocol, **changes: Any) -> AnyTask:
    """Return the task that asks by a protocol, but for ``changes`` (those that are not None).

    Raises
    ------
    UsageError
        If no task does.
    """
    return TASKS.get(protocol.task, OffsetTask).of(protocol, **changes)
