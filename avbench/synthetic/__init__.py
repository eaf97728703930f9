"""The embedded corpus: drawn talking heads whose every truth is known.

Speech comes from espeak-ng, faces from a brush; nothing is downloaded and no real person is
shown. Everything derives from ``(seed, pool, kind, index)``, so the same request gives the same
bytes in every process. Numbers measured on this corpus are never to be compared with numbers
measured on recorded people.
"""

from avbench.synthetic.corpus import CorpusRequest, write_corpus
from avbench.synthetic.presets import DEFAULT_PRESET, PRESETS, Preset, find_preset
from avbench.synthetic.programme import Rendered, render_programme, render_talking
from avbench.synthetic.truth import FaceTruth, ShotTruth, Truth

__all__ = [
    "DEFAULT_PRESET",
    "PRESETS",
    "CorpusRequest",
    "FaceTruth",
    "Preset",
    "Rendered",
    "ShotTruth",
    "Truth",
    "find_preset",
    "render_programme",
    "render_talking",
    "write_corpus",
]
