"""Shot boundaries: our detector on colour histograms, and PySceneDetect's behind the same calls."""

from .boundaries import Boundaries, ShotFinder, write_scores
from .histogram import (
    ShotDetector,
    ShotScores,
    ShotSettings,
    blend_error,
    content_change,
    describe,
    distance,
    find_boundaries,
    find_cuts,
    find_transitions,
)
from .registry import FINDERS, SceneSettings, check_finder, open_finder

__all__ = [
    "FINDERS",
    "Boundaries",
    "SceneSettings",
    "ShotDetector",
    "ShotFinder",
    "ShotScores",
    "ShotSettings",
    "blend_error",
    "check_finder",
    "content_change",
    "describe",
    "distance",
    "find_boundaries",
    "find_cuts",
    "find_transitions",
    "open_finder",
    "write_scores",
]
