"""Named, versioned settings of difficulty for the embedded corpus.

A preset never changes once published: another value needs another name, so that a corpus can
always be made again from what its manifest says.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from avbench.data import JSON
from avbench.errors import UnknownName


@dataclass(frozen=True)
class Preset:
    """How hard the embedded corpus is to synchronise."""

    name: str
    """Ends in its version, ``-v1``."""
    dominance_rate: float
    """Coarticulation: a phone rules the mouth as ``exp(-rate * |t|)``, t in seconds."""
    timing_jitter_s: float
    """Standard deviation of each phone's own displacement between mouth and sound."""
    hypo_articulation: float
    """Largest share by which a phone's mouth shape is pulled to rest, in [0, 1)."""
    lead_mean_s: float
    """Mean time by which the mouth moves before its sound."""
    lead_sd_s: float
    """Standard deviation of that time between utterances."""
    image_noise: float
    """Standard deviation of the pixel noise in grey levels, before compression."""
    snr_db: tuple[float, float]
    """Range of the speech-to-noise ratio."""
    occluder_probability: float
    """Chance that something passes before, or stays before, a face in a shot."""

    def __post_init__(self) -> None:
        if not 0 <= self.hypo_articulation < 1:
            raise ValueError(f"got {self.hypo_articulation = }, expected a share in [0, 1)")
        if not 0 <= self.occluder_probability <= 1:
            raise ValueError(f"got {self.occluder_probability = }, expected a probability")

    def to_json(self) -> dict[str, JSON]:
        """Return the settings as a JSON object."""
        return asdict(self)


_PRESETS = (
    Preset(
        name="easy-v1",
        dominance_rate=30.0,
        timing_jitter_s=0.0,
        hypo_articulation=0.0,
        lead_mean_s=0.01,
        lead_sd_s=0.0,
        image_noise=2.0,
        snr_db=(30.0, 40.0),
        occluder_probability=0.0,
    ),
    Preset(
        name="standard-v1",
        dominance_rate=9.0,
        timing_jitter_s=0.02,
        hypo_articulation=0.45,
        lead_mean_s=0.01,
        lead_sd_s=0.005,
        image_noise=9.0,
        snr_db=(0.0, 20.0),
        occluder_probability=0.3,
    ),
)
PRESETS: dict[str, Preset] = {preset.name: preset for preset in _PRESETS}
"""Name -> preset."""
DEFAULT_PRESET = "standard-v1"


def find_preset(name: str) -> Preset:
    """Return the preset called ``name``.

    Raises
    ------
    UnknownName
        If there is no such preset; the message lists them.
    """
    if name not in PRESETS:
        raise UnknownName("preset", name, PRESETS)
    return PRESETS[name]
