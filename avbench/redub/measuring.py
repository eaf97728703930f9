"""One pair measured: lips, frames, sound and time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import TypeVar

import numpy as np

from avbench.aligning import How, whole
from avbench.aligning.windows import ask
from avbench.data import Clip, Embeddings, FloatArray, IntArray
from avbench.methods import Aligner
from avbench.metrics import alignment, mouth
from avbench.metrics.alignment import Retiming
from avbench.metrics.mcd import mcd, mcd_dtw
from avbench.redub.landmarks import lips
from avbench.redub.truth import Planted, frame_map
from avbench.redub.vocoder import retime_sound
from avbench.timing import FPS

NONE, TRUTH = "no-alignment", "truth"
"""Every picture shown at its own time, as Table 4 begins; and what the phones ask for."""
TURN = 3.0
"""Of `Settings`: three times that of damaged pictures, as people hardly ever stop and leap. Chosen
on drawn speakers of the validation pool, among 1, 2, 3, 4, 6, 8 and 12."""
T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """How pairs are measured."""

    how: Mapping[str, How] = field(default_factory=dict)
    """From windows to a whole recording, method by method (`avbench.aligning.whole`);
    ``"weighted-chain"`` where nothing is said."""
    turn: float = TURN
    """Cost of leaving out or repeating a picture, for ``"viterbi"``."""
    version: mouth.Version = "axis"
    """Of the shapes of a mouth."""
    sound: bool = True
    """Also retime the voice to the picture, for the cepstral distortion (Table 6)."""

    def align(self, name: str, method: Aligner, rows: Embeddings) -> IntArray:
        """Return the frame of picture for each frame of sound."""
        how = self.how.get(name, "weighted-chain")
        return whole(method, rows, how, turn=self.turn).video_index


def usual_how(method: Aligner, rows: Embeddings) -> How:
    """Return ``"viterbi"`` for a method that tells probabilities, else ``"weighted-chain"``.

    Parameters
    ----------
    method
        It is asked about one window.
    rows
        Any embeddings of its own.
    """
    one = Embeddings(rows.video[:1], rows.audio[:1])
    told = next(ask(method, one)).log_posterior is not None
    return "viterbi" if told else "weighted-chain"


@dataclass(frozen=True, eq=False)
class Take:
    """One recording with all that its pairs need of it."""

    clip: Clip
    points: FloatArray
    """As from `avbench.redub.landmarks.lips`; shape (T, 68, 2)."""
    points_s: float
    """Time that finding them took."""
    planted: Planted | None = None

    def __len__(self) -> int:
        return len(self.clip)

    @classmethod
    def of(cls, clip: Clip, planted: Planted | None = None) -> Take:
        """Find the lips of a clip."""
        points, seconds = timed(lambda: lips(clip.frames))
        return cls(clip.without_truth(), points, seconds, planted)


@dataclass(frozen=True, eq=False)
class Measured:
    """What came of one pair with one method."""

    method: str
    pair: str
    frames: Retiming
    height: float
    """Correlation of the mouth's height with that of the voice's own picture; NaN: undefined."""
    width: float
    """That of its width."""
    seconds: float
    """Time of the alignment, once embeddings are there."""
    truth_height: float = math.nan
    """Correlation of the heights that were drawn, not found; NaN where they are unknown."""
    truth_width: float = math.nan
    errors: IntArray | None = None
    """Shown frame less the one that the phones ask for; shape (N,); None where unknown."""
    reached: float = math.nan
    """Share of the frames whose true picture lies within the aligner's range of one second."""
    mcd: float = math.nan
    """Of the voice retimed to the picture against the picture's own, in dB; NaN: not measured."""
    mcd_dtw: float = math.nan


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """Do some work and return what it gives and how many seconds it took."""
    started = perf_counter()
    done = work()
    return done, perf_counter() - started


def measure(
    name: str,
    pair: str,
    picture: Take,
    voice: Take,
    method: Aligner | None,
    rows: tuple[Embeddings, Embeddings] | None,
    settings: Settings,
) -> Measured:
    """Retime a picture to a voice and say what came of it.

    Parameters
    ----------
    name
        Of the method; `NONE` and `TRUTH` need no ``method``.
    pair
        Name of the pair.
    picture, voice
        Whose picture is shown, and who is heard.
    method
        The aligner.
    rows
        Its embeddings of the two recordings.
    settings
        How to measure.
    """
    found, seconds = timed(lambda: _places(name, picture, voice, method, rows, settings))
    shown = alignment.fill(found, len(picture), len(voice))
    known = picture.planted, voice.planted
    facts: dict[str, float] = {}
    errors = None
    if known[0] is not None and known[1] is not None:
        true = frame_map(known[0], known[1])
        errors = shown - true
        facts = {
            "truth_height": mouth.pearson(known[0].height[shown], known[1].height),
            "truth_width": mouth.pearson(known[0].width[shown], known[1].width),
            "reached": float(np.mean(np.abs(true - np.arange(len(true))) <= FPS)),
        }
    if settings.sound:
        facts |= _sound(name, picture, voice, method, rows, settings)
    retimed, wanted = picture.points[shown], voice.points
    return Measured(
        name,
        pair,
        alignment.retime(shown, len(picture)),
        mouth.pearson(*(mouth.height(p, settings.version) for p in (retimed, wanted))),
        mouth.pearson(*(mouth.width(p, settings.version) for p in (retimed, wanted))),
        seconds,
        errors=errors,
        **facts,
    )


def _places(
    name: str,
    picture: Take,
    voice: Take,
    method: Aligner | None,
    rows: tuple[Embeddings, Embeddings] | None,
    settings: Settings,
) -> IntArray:
    """Return the frame of picture for each frame of voice; indices may leave the picture."""
    if name == NONE:
        return np.arange(len(voice))
    if name == TRUTH:
        assert picture.planted is not None
        assert voice.planted is not None
        return frame_map(picture.planted, voice.planted)
    assert method is not None
    assert rows is not None
    mixed = Embeddings(rows[0].video, rows[1].audio)
    return settings.align(name, method, mixed)


def _sound(
    name: str,
    picture: Take,
    voice: Take,
    method: Aligner | None,
    rows: tuple[Embeddings, Embeddings] | None,
    settings: Settings,
) -> dict[str, float]:
    """Retime the voice to the picture, as the paper does: sound and picture change places."""
    if name in (NONE, TRUTH):
        places = _places(name, voice, picture, None, None, settings)
    else:
        assert method is not None
        assert rows is not None
        swapped = Embeddings(rows[1].audio, rows[0].video)
        places = settings.align(name, method, swapped)
    heard = alignment.fill(places, len(voice), len(picture))
    made = retime_sound(voice.clip.audio, heard)
    own = picture.clip.audio
    return {"mcd": mcd(own, made), "mcd_dtw": mcd_dtw(own, made)}
