"""The first look at a video: where its shots end, and which faces it shows where.

Pictures are taken one at a time and given up again. As soon as it is certain that a shot is over,
all that was seen of it comes out as a `Stretch`, so that nothing grows with the video's length;
of a very long shot, a part comes out before its end.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from avbench.data import FloatArray, Shot
from avbench.media import Frame

from .faces import CloseDetector, Detections, Detector, assign, load_detector
from .flow import Flows, Follower
from .regions import Held
from .settings import FacetrackSettings
from .shots import Boundaries, open_finder
from .spoilt import Spoilt

_SETTLE = 25
"""Frames from one question whether a shot is over to the next."""
_FEW = 2
"""Most faces that are looked for one by one; the whole picture takes about as long as three."""


@dataclass(frozen=True, eq=False)
class Stretch:
    """What was seen of a shot, or of a part of a very long one."""

    shot: Shot
    """With the number of the shot, and the frames of this stretch."""
    faces: Mapping[int, Detections]
    """Frame -> faces, perhaps none, for the frames in which faces were looked for."""
    flows: Flows
    held: Held
    """Good until the next stretch comes."""


class Looking:
    """The first look at one video.

    Parameters
    ----------
    video_id
        Its name.
    settings
        The thresholds.
    with_faces
        Whether to look for faces at all.
    """

    boundaries: Boundaries
    """Of the whole video; known at its end."""

    def __init__(self, video_id: str, settings: FacetrackSettings, with_faces: bool) -> None:
        self._video_id, self._settings = video_id, settings
        self._finder = open_finder(settings.shot_detector, settings.shots, settings.scenes)
        self._watch = _Watch(settings) if with_faces else None
        self.pts_s: list[float] = []
        """Time in seconds of the source picture that each frame shows."""
        self.spoilt = Spoilt()
        self._shots, self._start = 0, 0

    def over(self, frames: Iterable[Frame]) -> Iterator[Stretch]:
        """Look at all frames; every frame of a shot is in one of the stretches."""
        for frame in frames:
            self.pts_s.append(frame.pts_s)
            self.spoilt.see(frame)
            side = self._finder.side
            self._finder.push(frame.whole.sampled(side) if side else frame.image)
            if self._watch is not None:
                self._watch.take(frame)
            if frame.index % _SETTLE == 0:
                found = self._finder.settled()
                yield from self._stretches(found, found.num_frames - 1)
        self.boundaries = self._finder.finish()
        yield from self._stretches(self.boundaries, self.boundaries.num_frames)

    def scores(self) -> Mapping[str, FloatArray]:
        """Return the shot detector's scores of every frame, by name."""
        return self._finder.table()

    @property
    def shown(self) -> list[int]:
        """The frames in which a face was found."""
        return [] if self._watch is None else self._watch.shown

    def _stretches(self, found: Boundaries, last: int) -> Iterator[Stretch]:
        """Yield what is new about the shots that end at ``last`` or before."""
        for shot in found.shots(self._video_id)[self._shots :]:
            self._start = max(self._start, shot.start)
            if shot.stop > last:
                yield from self._divided(shot)
                return
            yield self._stretch(shot, shot.stop)
            self._shots += 1

    def _divided(self, shot: Shot) -> Iterator[Stretch]:
        """Yield parts of a shot that goes on, each as long as a track may be."""
        settings = self._settings
        longest = settings.longest_shot
        while self._watch is not None and shot.stop - self._start >= longest:
            yield self._stretch(shot, self._watch.last_look(self._start + settings.max_track))

    def _stretch(self, shot: Shot, stop: int) -> Stretch:
        part = Shot(shot.video_id, shot.index, self._start, stop)
        if self._watch is None:
            self._start = stop
            return Stretch(part, {}, Flows(), Held(0))
        self._watch.forget(self._start)
        self._start = stop
        return self._watch.stretch(part)


class _Watch:
    """Looks for faces now and then, and follows them in between."""

    def __init__(self, settings: FacetrackSettings) -> None:
        self._settings = settings
        self._detector: Detector = load_detector(
            settings.detector, settings.confidence, settings.detector_weights
        )
        tracking = settings.tracking
        longest = tracking.max_gap + settings.detect_every
        self._follower = Follower(settings.flow, tracking.min_iou, longest)
        self._faces: dict[int, Detections] = {}
        self._past: list[Frame] = []
        self._searched = 0
        self.shown: list[int] = []

    def take(self, frame: Frame) -> None:
        """Follow the faces into a frame, and look for faces if it is time to."""
        lost = self._follower.step(frame)
        if lost or len(self._past) + 1 >= self._settings.detect_every or not self._faces:
            found = self._look(frame, lost)
            self._faces[frame.index] = found
            self._follower.meet(frame, found, self._past[::-1])
            self._past.clear()
            if len(found):
                self.shown.append(frame.index)
        else:
            self._past.append(frame)

    def _look(self, frame: Frame, lost: bool) -> Detections:
        """Look around the faces that are followed, or at the whole picture if that is due."""
        boxes, detector = self._follower.boxes, self._detector
        due = lost or frame.index - self._searched >= self._settings.search_every
        if not due and 0 < len(boxes) <= _FEW and isinstance(detector, CloseDetector):
            found = detector.near(frame.image, boxes)
            if len(assign(boxes, found.boxes, self._settings.tracking.min_iou)) == len(boxes):
                return found
        self._searched = frame.index
        return detector(frame.image)

    def last_look(self, stop: int) -> int:
        """Return the last frame looked at up to ``stop``."""
        looked = list(self._faces)
        return looked[bisect_right(looked, stop) - 1]

    def forget(self, stop: int) -> None:
        """Let go of what was seen before ``stop``, apart from the look before it."""
        self._follower.forget(stop)
        for frame in [frame for frame in self._faces if frame < stop]:
            del self._faces[frame]

    def stretch(self, shot: Shot) -> Stretch:
        """Return what was seen of a shot."""
        return Stretch(shot, dict(self._faces), self._follower.flows, self._follower.held)
