"""What one speaker's picture must show for another's voice, where the phones of both are known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np

from avbench.data import FloatArray, IntArray
from avbench.errors import DataError
from avbench.timing import FPS

LEAST_SHARED = 0.5
"""Share of the voice's phones that the picture must have too, in order; fewer are no same
sentence."""


@dataclass(frozen=True)
class Spoken:
    """A phone with its time, in seconds of the recording."""

    name: str
    start_s: float
    stop_s: float


@dataclass(frozen=True, eq=False)
class Planted:
    """What is true of one made recording."""

    phones: tuple[Spoken, ...]
    height: FloatArray
    """How far the mouth is open in each frame, 0 to 1; shape (T,)."""
    width: FloatArray
    """Width of the mouth against that of the face in each frame; shape (T,)."""

    def __len__(self) -> int:
        return len(self.height)


def read_planted(path: Path) -> Planted:
    """Read the truth file of a made recording with one shot and one face.

    Raises
    ------
    DataError
        If it is absent, damaged, or of another kind of video.
    """
    try:
        (shot,) = json.loads(path.read_text("utf-8"))["shots"]
        (face,) = shot["faces"]
        boxes = np.array(face["boxes"], dtype=np.float64)
        return Planted(
            tuple(Spoken(str(name), float(a), float(b)) for name, a, b in shot["phones"]),
            np.array(face["mouth"]["opening"], dtype=np.float64),
            np.array(face["mouth_width_px"], dtype=np.float64) / (boxes[:, 2] - boxes[:, 0]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is no truth file of one speaker ({type(error).__name__}); give the folder "
            "that avbench synth --kind redub wrote"
        ) from error


def frame_map(picture: Planted, voice: Planted) -> IntArray:
    """Return the picture frame that belongs to each frame of another's voice.

    Phones that both say are matched in order; between their starts and stops time runs evenly.
    What only one of them says is passed over evenly too.

    Parameters
    ----------
    picture
        Whose pictures are shown.
    voice
        Who is heard.

    Returns
    -------
    IntArray
        In ``[0, M)``, never going back; shape (N,), N frames of voice, M of picture.

    Raises
    ------
    DataError
        If they do not say the same sentence.
    """
    said, shown = voice.phones, picture.phones
    names = [[phone.name for phone in phones] for phones in (said, shown)]
    blocks = SequenceMatcher(None, names[0], names[1], autojunk=False).get_matching_blocks()
    matched = [(b.a + i, b.b + i) for b in blocks for i in range(b.size)]
    if len(matched) < LEAST_SHARED * max(len(said), len(shown)) or not matched:
        raise DataError(
            f"the two recordings share {len(matched)} of {max(len(said), len(shown))} phones; "
            "they do not say the same sentence"
        )
    knots = [(0.0, 0.0), (len(voice) / FPS, len(picture) / FPS)]
    for heard, seen in matched:
        knots += [(said[heard].start_s, shown[seen].start_s)]
        knots += [(said[heard].stop_s, shown[seen].stop_s)]
    return _through(sorted(set(knots)), len(voice), len(picture))


def _through(knots: Sequence[tuple[float, float]], num_voice: int, num_picture: int) -> IntArray:
    """Lay even time between knots and return whole frames."""
    heard, seen = np.array(knots).T
    times = np.interp(np.arange(num_voice) / FPS, heard, np.maximum.accumulate(seen))
    return np.asarray(np.rint(times * FPS).clip(0, num_picture - 1), dtype=np.int64)
