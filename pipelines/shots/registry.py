"""The shot detectors by name."""

from __future__ import annotations

from dataclasses import dataclass

from avbench.errors import MissingDependency, UnknownName

from .boundaries import ShotFinder
from .histogram import ShotDetector, ShotSettings

FINDERS = ("histogram", "content", "adaptive")
"""Ours, which is the default, and PySceneDetect's two."""


@dataclass(frozen=True)
class SceneSettings:
    """What counts as a cut for PySceneDetect; the defaults are its own (0.7)."""

    min_scene: int = 15
    """Least frames between two cuts."""
    content_threshold: float = 27.0
    """Least mean change of hue, saturation and brightness for the content detector."""
    adaptive_threshold: float = 3.0
    """Least ratio of a frame's change to that of its neighbours for the adaptive detector."""
    adaptive_window: int = 2
    """Neighbours on either side."""
    adaptive_content: float = 15.0
    """Least change, besides that ratio."""


def check_finder(name: str) -> None:
    """Raise unless there is a shot detector of that name and what it needs is installed.

    Raises
    ------
    UnknownName
        If there is none of that name.
    MissingDependency
        If PySceneDetect is needed and not installed.
    """
    if name not in FINDERS:
        raise UnknownName("shot detector", name, FINDERS)
    if name != "histogram":
        try:
            import scenedetect  # noqa: F401
        except ImportError as error:
            raise MissingDependency(
                f"The shot detector '{name}' needs PySceneDetect; pip install 'avbench[shots]'"
            ) from error


def open_finder(name: str, settings: ShotSettings, scenes: SceneSettings) -> ShotFinder:
    """Return a new shot detector for one video.

    Parameters
    ----------
    name
        One of `FINDERS`.
    settings
        Thresholds of the detector ``histogram``.
    scenes
        Thresholds of the others.

    Raises
    ------
    UnknownName
        If there is none of that name.
    MissingDependency
        If PySceneDetect is needed and not installed.
    """
    check_finder(name)
    if name == "histogram":
        return ShotDetector(settings)
    from .scenes import open_scenes

    return open_scenes(name, scenes)
