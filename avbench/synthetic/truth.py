"""What is true of a made video, and how a truth file says it.

Conventions
-----------
Frames count from the start of the video at 25 fps, pixels from its upper left corner; ranges are
half-open; an offset is video index - audio index in frames (positive: audio leads).

A truth file is one JSON object: ``format``, ``key``, ``recipe`` (what makes the video again, with
seed and preset), ``num_frames``, ``height``, ``width``, ``offset`` (null where shots differ),
``cuts`` (first frame of each new shot), ``dissolves`` ([start, stop), ...), ``snr_db``, ``noise``
and ``shots``, which tile the video; two shots that dissolve meet in the middle of the dissolve.

A shot has ``start``, ``stop``, ``kind`` (speaking, dubbed, off-screen or silent), ``offset``,
``speaker`` and ``voice`` (who is heard), ``text`` (spoken for the shot, though it may be cut
short), ``phones`` ([name, start, stop] in seconds of the file's own sound: a mouth shows them
``offset`` frames later) and ``faces``. A face has ``identity``, ``role``, ``text`` (what the mouth
says), per frame ``boxes`` [x0, y0, x1, y1], ``mouth_centre`` [x, y], ``mouth_width_px`` and
``mouth`` (opening, width, rounding, tuck, tongue), its ``occluder`` (frames from the shot's start)
and its ``look``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from avbench.data import JSON, FloatArray
from avbench.synthetic.look import Look
from avbench.synthetic.motion import DrawnFace
from avbench.synthetic.mouth import MouthCurves, MouthShape
from avbench.synthetic.occluder import Occluder
from avbench.synthetic.voice import Phone, Voice
from avbench.timing import FPS, SAMPLE_RATE

FORMAT = "avbench-truth-1"
"""Written into every truth file."""


@dataclass(frozen=True, eq=False)
class FaceTruth:
    """One face through one shot; its arrays begin with the shot's first frame."""

    look: Look
    role: str
    """speaking (its sound is heard), dubbed (it speaks, another sentence is heard) or silent."""
    text: str | None
    """What the mouth says."""
    drawn: DrawnFace
    mouth: MouthCurves
    occluder: Occluder | None

    @property
    def identity(self) -> str:
        """Name of the person."""
        return self.look.identity

    def cut(self, start: int, stop: int) -> FaceTruth:
        """Return the truth of frames [start, stop) of the shot."""
        span = slice(start, stop)
        drawn = self.drawn
        return FaceTruth(
            self.look,
            self.role,
            self.text,
            DrawnFace(drawn.boxes[span], drawn.mouth_centre[span], drawn.mouth_width[span]),
            self.mouth.cut(start, stop),
            None if self.occluder is None else self.occluder.shifted(-start, stop - start),
        )

    def to_json(self) -> dict[str, JSON]:
        """Return the face as a JSON object."""
        return {
            "identity": self.identity,
            "role": self.role,
            "text": self.text,
            "boxes": _rounded(self.drawn.boxes, 1),
            "mouth_centre": _rounded(self.drawn.mouth_centre, 1),
            "mouth_width_px": _rounded(self.drawn.mouth_width, 1),
            "mouth": {name: _rounded(getattr(self.mouth, name), 3) for name in MouthShape._fields},
            "occluder": None if self.occluder is None else self.occluder.to_json(),
            "look": self.look.to_json(),
        }


@dataclass(frozen=True, eq=False)
class ShotTruth:
    """One shot: frames [start, stop) of the video."""

    start: int
    stop: int
    kind: str
    """speaking, dubbed, off-screen or silent."""
    offset: int
    """Video index - audio index in frames (positive: audio leads), the whole file's included."""
    faces: tuple[FaceTruth, ...]
    speaker: str | None
    """Identity of the voice that is heard."""
    voice: Voice | None
    text: str | None
    phones: tuple[Phone, ...]
    """What is heard, in seconds from the start of the file's sound."""

    def to_json(self) -> dict[str, JSON]:
        """Return the shot as a JSON object."""
        return {
            "start": self.start,
            "stop": self.stop,
            "kind": self.kind,
            "offset": self.offset,
            "speaker": self.speaker,
            "voice": None if self.voice is None else self.voice.to_json(),
            "text": self.text,
            "phones": [[p.name, round(p.start_s, 4), round(p.stop_s, 4)] for p in self.phones],
            "faces": [face.to_json() for face in self.faces],
        }


@dataclass(frozen=True, eq=False)
class Truth:
    """Everything that is true of one made video."""

    key: str
    recipe: Mapping[str, JSON]
    """The request that makes this video again: kind, pool, index, seed, preset, length, offset."""
    num_frames: int
    height: int
    width: int
    cuts: tuple[int, ...]
    """First frame of the new shot at every hard cut."""
    dissolves: tuple[tuple[int, int], ...]
    """Half-open frame ranges in which one shot fades into the next."""
    snr_db: float
    noise: str
    shots: tuple[ShotTruth, ...]

    @property
    def offset(self) -> int | None:
        """The offset of the whole video in frames, or None where shots differ."""
        offsets = {shot.offset for shot in self.shots}
        return offsets.pop() if len(offsets) == 1 else None

    def to_json(self) -> dict[str, JSON]:
        """Return the truth as a JSON object."""
        return {
            "format": FORMAT,
            "key": self.key,
            "recipe": dict(self.recipe),
            "fps": FPS,
            "sample_rate": SAMPLE_RATE,
            "num_frames": self.num_frames,
            "height": self.height,
            "width": self.width,
            "offset": self.offset,
            "cuts": list(self.cuts),
            "dissolves": [list(span) for span in self.dissolves],
            "snr_db": round(self.snr_db, 3),
            "noise": self.noise,
            "shots": [shot.to_json() for shot in self.shots],
        }


def _rounded(values: FloatArray, digits: int) -> JSON:
    return np.round(np.asarray(values, np.float64), digits).tolist()
