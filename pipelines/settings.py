"""Every threshold between a video and its facetracks."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from avbench.data import JSON
from avbench.errors import UsageError

from .crops import CropSettings
from .faces import weights_sha256
from .flow import FlowSettings
from .mouths import MouthSettings
from .shots import SceneSettings, ShotSettings
from .tracking import TrackSettings

STEP_VERSION = 4
"""Goes up whenever the same settings may give other facetracks."""


@dataclass(frozen=True)
class FacetrackSettings:
    """Every threshold between a video and its facetracks; lengths in 25 fps frames."""

    detector: str = "blazeface"
    """Name of the face detector, see `pipelines.faces`."""
    detector_weights: str = ""
    """Path of its weights; empty where it brings its own."""
    confidence: float = 0.5
    """Least confidence of a detection."""
    detect_every: int = 10
    """Faces are looked for in every n-th frame, and where one that is followed gets lost."""
    search_every: int = 30
    """So often the whole picture is searched; in between a detector that can may look only around
    the faces that are followed."""
    min_track: int = 25
    """Shortest track: one second, about the shortest phrase in LRS2; also the shortest shot."""
    max_track: int = 500
    """Longer tracks are divided into equal parts, so that a clip fits into memory (75 MB)."""
    min_face: float = 40.0
    """Least median height of the face in pixels: its mouth is then about 14 pixels wide."""
    min_found: float = 0.5
    """Least share of a track's frames looked at in which the face was found."""
    still_motion: float = 0.02
    """A face whose box strays by less than this share of its height may be a photograph;"""
    still_change: float = 0.015
    """it is one if, within five frames, its lower half changes by less than this share of its
    contrast (photographs 0.004, people 0.04 and more)."""
    context: int = 25
    """Frames of the source's own sound stored before and after each clip."""
    stretch: int = 4500
    """About so many frames make a part of a long video (see `pipelines.stretches`): three minutes;
    at least four times the longest shot that is looked at in one piece. A video of less than six
    such parts stays whole, and all do where it is 0."""
    single_face: bool = False
    """Whether a track counts only where no other face is seen."""
    shot_detector: str = "histogram"
    """Name of the shot detector, see `pipelines.shots`; only ``histogram`` finds dissolves."""
    shot_scores: bool = False
    """Whether to keep the scores of every frame, as ``shots.parquet`` beside the facetracks."""
    shots: ShotSettings = field(default_factory=ShotSettings)
    scenes: SceneSettings = field(default_factory=SceneSettings)
    tracking: TrackSettings = field(default_factory=TrackSettings)
    flow: FlowSettings = field(default_factory=FlowSettings)
    crops: CropSettings = field(default_factory=CropSettings)
    mouth: MouthSettings = field(default_factory=MouthSettings)

    def __post_init__(self) -> None:
        if self.detect_every < 1 or self.min_track < 1 or self.context < 0:
            raise UsageError(
                f"got detect_every {self.detect_every}, min_track {self.min_track} and context "
                f"{self.context}; expected at least 1, 1 and 0"
            )
        if self.max_track < 2 * self.min_track:
            raise UsageError(
                f"got max_track {self.max_track} and min_track {self.min_track}; expected at "
                "least twice min_track, so that the parts of a divided track are long enough"
            )

    @property
    def longest_shot(self) -> int:
        """Frames of the longest shot that is looked at in one piece.

        What is left of a track behind its longest part is then long enough, too.
        """
        return self.max_track + 2 * self.min_track

    def as_json(self) -> dict[str, JSON]:
        """Return what the result depends on: the version of the step and the values in use.

        A file of weights counts by its bytes, wherever it lies. What is not in use is left out;
        so is the length of parts as it stands, which matters to long videos alone.
        """
        values: dict[str, JSON] = {"step_version": STEP_VERSION, **asdict(self)}
        weights = values.pop("detector_weights")
        if weights:
            values["detector_sha256"] = weights_sha256(weights)
        if self.shot_detector == "histogram":
            del values["shot_detector"], values["scenes"]
        else:
            del values["shots"]
        if not self.mouth.size:
            del values["mouth"]
        if self.stretch == FacetrackSettings.stretch:
            del values["stretch"]
        for unused in ("shot_scores", "single_face"):
            if not values[unused]:
                del values[unused]
        return values
