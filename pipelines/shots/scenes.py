"""PySceneDetect's detectors, fed frame by frame.

They find hard cuts only. Their command looks at pictures shrunk to 256 pixels, in BGR; so does
this, so that a cut falls where theirs does. Reference: https://www.scenedetect.com/docs/.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from scenedetect import AdaptiveDetector, ContentDetector, FrameTimecode, StatsManager
from scenedetect.detector import SceneDetector
from scenedetect.scene_manager import compute_downscale_factor

from avbench.data import FloatArray, UInt8Array
from avbench.timing import FPS

from .boundaries import Boundaries
from .registry import SceneSettings


class SceneFinder:
    """One of PySceneDetect's detectors behind the calls of ours.

    Parameters
    ----------
    detector
        A new one; it keeps its scores here.
    """

    def __init__(self, detector: SceneDetector) -> None:
        self._detector = detector
        self._stats = detector.stats_manager = StatsManager()
        self._cuts: set[int] = set()
        self._frames = 0

    @property
    def side(self) -> int:
        """Side of the grid of pixels that is enough of a picture; 0 for all of it."""
        return 0

    def push(self, image: UInt8Array) -> None:
        """Take the next picture; RGB, shape (H, W, 3)."""
        height, width = image.shape[:2]
        factor = compute_downscale_factor(max(height, width))
        if factor > 1:
            size = max(1, round(width / factor)), max(1, round(height / factor))
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)
        blue_first = np.ascontiguousarray(image[..., ::-1])
        self._note(self._detector.process_frame(self._time(self._frames), blue_first))
        self._frames += 1

    def settled(self) -> Boundaries:
        """Return no boundaries: these detectors are asked at the end."""
        return Boundaries(0, (), ())

    def finish(self) -> Boundaries:
        """Return the boundaries of the frames so far; to be called once, after the last."""
        if self._frames:
            self._note(self._detector.post_process(self._time(self._frames - 1)))
        return Boundaries(self._frames, tuple(sorted(self._cuts)), ())

    def table(self) -> Mapping[str, FloatArray]:
        """Return the scores of all frames so far by PySceneDetect's names; each of shape (T,).

        NaN where a frame has none: the first, and those at the ends of a window.
        """
        names = self._detector.get_metrics()
        rows = [self._stats.get_metrics(self._time(t), names) for t in range(self._frames)]
        values = np.array(rows, np.float64).reshape(self._frames, len(names))
        return dict(zip(names, values.T, strict=True))

    def _note(self, cuts: list[FrameTimecode]) -> None:
        self._cuts.update(cut.frame_num for cut in cuts)

    @staticmethod
    def _time(frame: int) -> FrameTimecode:
        return FrameTimecode(frame, float(FPS))


def open_scenes(name: str, settings: SceneSettings) -> SceneFinder:
    """Return the detector ``content`` or ``adaptive`` for one video."""
    if name == "content":
        return SceneFinder(
            ContentDetector(settings.content_threshold, min_scene_len=settings.min_scene)
        )
    return SceneFinder(
        AdaptiveDetector(
            settings.adaptive_threshold,
            min_scene_len=settings.min_scene,
            window_width=settings.adaptive_window,
            min_content_val=settings.adaptive_content,
        )
    )
