"""One face of a video: its embeddings, its alignment, and how well it agrees with the sound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice, repeat
from pathlib import Path

import numpy as np

from avbench.aligning.marginal import PATHS
from avbench.aligning.whole import CENTRE, ROW_FRAMES, AlignedRows, How, align_rows, to_frames
from avbench.data import Clip, Embeddings, FloatArray, IntArray, UInt8Array
from avbench.errors import DataError
from avbench.media import iter_frames
from avbench.media.retime import stored_images
from avbench.methods import Aligner, Embedder
from avbench.repairing.agreement import Surety, left_by, over_time, surety
from avbench.repairing.held import changes, held, missing
from avbench.shards import Sample
from avbench.timing import FPS, SAMPLES_PER_FRAME

BLOCK = 500
"""Frames that are decoded and embedded at once: what memory depends on."""
LEAST = 70
"""Frames that a face must be seen for."""


@dataclass(frozen=True, eq=False)
class FaceRepair:
    """What is to become of one face through one shot."""

    number: int
    """From 1, in the order of appearance."""
    start: int
    """First frame in the 25 fps video."""
    centre: tuple[float, float]
    """Median x and y of the face in pixels of the source."""
    video_index: IntArray
    """Frame of the file's picture for each frame of sound from ``start`` on; shape (A,)."""
    held: int
    """Pictures that show what the one before shows."""
    surety: Surety
    doubt: FloatArray
    """How far from the truth each frame of sound may be, in frames, as `Surety.doubt`; (A - 4,)."""
    before: FloatArray
    """Agreement around each frame of sound as it was; shape (A - 4,)."""
    after: FloatArray
    """The same measured anew in the pictures of the repair; shape (A - 4,)."""

    @property
    def stop(self) -> int:
        """One past the last frame of sound."""
        return self.start + len(self.video_index)


def embed(
    method: Embedder, images: Iterable[UInt8Array], count: int, audio: FloatArray
) -> Embeddings:
    """Embed pictures and sound that need not be of one length, block by block.

    Parameters
    ----------
    method
        Whose rows see nothing outside their five frames.
    images
        RGB, all of one size; ``count`` of them.
    audio
        Mono at 16 kHz, a whole number of frames; shape (A * 640,).

    Returns
    -------
    Embeddings
        ``count - 4`` rows of picture and A - 4 of sound.

    Raises
    ------
    DataError
        If there are fewer than five frames of either, or the method cannot embed them.
    """
    heard = len(audio) // SAMPLES_PER_FRAME
    if min(heard, count) < ROW_FRAMES:
        raise DataError(f"got {count} pictures and {heard} frames of sound, expected five of each")
    total = max(count, heard)
    audio = np.pad(audio, (0, total * SAMPLES_PER_FRAME - len(audio)))
    blocks = []
    for at, frames in _blocks(_lasting(images, total)):
        sound = audio[at * SAMPLES_PER_FRAME :][: len(frames) * SAMPLES_PER_FRAME]
        try:
            blocks.append(method.embed(Clip("repair", frames, sound)))
        except ValueError as error:
            raise DataError(f"a face cannot be embedded: {error}") from error
    video, sound = (np.concatenate([np.asarray(b[i]) for b in blocks]) for i in (0, 1))
    return Embeddings(video[: count - ROW_FRAMES + 1], sound[: heard - ROW_FRAMES + 1])


def _lasting(images: Iterable[UInt8Array], total: int) -> Iterator[UInt8Array]:
    """Yield so many pictures, the last one again where there are fewer."""
    image = None
    count = 0
    for image in islice(images, total):
        count += 1
        yield image
    if image is not None:
        yield from repeat(image, total - count)


def _blocks(images: Iterator[UInt8Array]) -> Iterator[tuple[int, UInt8Array]]:
    """Yield pictures by the block, each with the first four of the next; and where it begins."""
    at, held = 0, list(islice(images, BLOCK + ROW_FRAMES - 1))
    while len(held) >= ROW_FRAMES:
        yield at, np.stack(held)
        at, rest = at + BLOCK, held[BLOCK:]
        held = list(chain(rest, islice(images, BLOCK)))


def picked(images: Iterable[UInt8Array], index: IntArray) -> Iterator[UInt8Array]:
    """Yield the pictures of these numbers, which never fall, holding one at a time."""
    source = enumerate(images)
    number, image = next(source)
    for wanted in index:
        while number < wanted:
            number, image = next(source)
        yield image


def align_face(
    number: int,
    sample: Sample,
    video: Path,
    audio: FloatArray,
    num_video: int,
    method: Aligner,
    how: How,
) -> FaceRepair | str:
    """Align the sound with one face.

    Parameters
    ----------
    number
        Of the face.
    sample
        The face through one shot, cut out.
    video
        The file it was cut from; it is only read.
    audio
        All of the sound, mono at 16 kHz from the first picture on; shape (A * 640,).
    num_video
        Frames of picture in the file.
    method, how
        As for `avbench.aligning.whole`.

    Returns
    -------
    FaceRepair or str
        Why there is none, as a sentence without its full stop.
    """
    track = sample.info["facetrack"]
    boxes = np.asarray(track["boxes"], np.float64)
    start, count = int(track["start"]), len(sample.alignment)
    sound = _sound_of(audio, start, count, num_video)
    heard = len(sound) // SAMPLES_PER_FRAME
    if min(count, heard) < LEAST:
        return f"it is seen for {min(count, heard) / FPS:.1f} s on end only"
    if not np.any(sound):
        return "the sound is silent while it is seen"
    moved = changes((f.image for f in iter_frames(video, start=start)), boxes)
    shown = held(moved)
    new = np.flatnonzero(np.diff(shown, prepend=-1))
    if len(new) < LEAST // 2:
        return "its picture does not move"
    images = partial(stored_images, sample.video)
    rows = embed(method, picked(images(), new), len(new), sound)
    place = (np.arange(heard - ROW_FRAMES + 1) + CENTRE).clip(max=count - 1)
    expected = (shown[place] - CENTRE).clip(0, len(rows.video) - 1)

    gone = missing(moved[new])[CENTRE : CENTRE + len(rows.video)]

    def align(some: Embeddings, due: IntArray) -> AlignedRows:
        first = len(rows.video) - len(some.video)
        return align_rows(method, some, how, expected=due, missing=gone[first:])

    aligned = align_rows(method, rows, how, expected=expected, draws=PATHS, missing=gone)
    path, drawn = aligned.video_rows, aligned.drawn
    index = new[to_frames(path, len(new))]
    unchanged = np.arange(heard).clip(max=count - 1)
    whole = rows if len(new) == count else embed(method, images(), count, sound)
    fixed = embed(method, picked(images(), index), heard, sound)
    steps = np.arange(len(path))
    middle = np.median((boxes[:, :2] + boxes[:, 2:]) / 2, axis=0)
    return FaceRepair(
        number=number,
        start=start,
        centre=(float(middle[0]), float(middle[1])),
        video_index=index + start,
        held=count - len(new),
        surety=surety(rows, expected, aligned, align),
        doubt=aligned.doubt if drawn is None else left_by(path, drawn),
        before=over_time(whole, unchanged[: len(path)].clip(max=len(whole.video) - 1)),
        after=over_time(fixed, steps),
    )


def _sound_of(audio: FloatArray, start: int, count: int, num_video: int) -> FloatArray:
    """Return the sound that a face may belong to: while it is seen, and after the last picture."""
    total = len(audio) // SAMPLES_PER_FRAME
    last = start + count >= num_video - 1
    stop = total if last else min(start + count, total)
    return audio[start * SAMPLES_PER_FRAME : max(stop, start) * SAMPLES_PER_FRAME]
