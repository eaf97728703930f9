"""The methods that come with avbench keep the contract they are measured under."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from avbench import methods, selftest
from avbench.data import Clip, Embeddings
from avbench.errors import AvbenchError
from avbench.selftest.material import Material, drawn_heads
from baselines.syncnet import SyncNet

TRAINED = ("syncnet", "diag-avg", "sync-cls", "sync-e2e")
KNOWN = {
    "constant": ["skill"],
    "lip-geometry": ["names"],
    "syncnet-vote": ["not-a-number", "confidence"],
}
"""Method -> warnings that it is known for: a floor answers always alike; one has no paper; where
votes are counted, one that is no number goes under, and a few hardly say how sure they are."""

VARYING = ("dta", "dta-video", "skip-dtw", "mend", "tae", "tae-no-attention", "tae-crf")
"""They answer frame by frame and name no constant offset, which is what the self-test asks for."""


@pytest.fixture(scope="module")
def heads() -> Material:
    return drawn_heads(count=5)


@pytest.mark.slow
@pytest.mark.parametrize("name", methods.available())
def test_every_installed_method_passes(name: str, heads: Material) -> None:
    if name in VARYING:
        pytest.skip("its laws are in tests/baselines/test_aligners_trained.py")
    try:
        methods.load(name)
    except AvbenchError as error:
        if name in TRAINED:
            raise
        pytest.skip(f"there is nothing to test: {error}")
    report = selftest.run(name, clips=heads.clips, windows=2)
    assert (report.failed, report.warned) == ([], KNOWN.get(name, [])), report.to_text()
    if name in TRAINED:
        for law in ("sign", "bias", "shift", "confidence", "locality", "process", "unrelated"):
            assert report[law].status == "pass"
        assert report["skill"].measured["exact"] > 0.9
        assert report["shift"].measured["holds"] > 0.9


class Delayed(SyncNet):
    """The shipped network, fed with sound that comes late."""

    samples = 0

    def embed(self, clip: Clip) -> Embeddings:
        late = np.concatenate([np.zeros(self.samples, np.float32), clip.audio[: -self.samples]])
        return super().embed(replace(clip, audio=late))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("milliseconds", "check", "words"),
    [
        (16, "one-sided", "one frame too low"),
        (20, "bias", r"biased by -1 \(1 frame too low"),
        (40, "bias", r"biased by -1 \(1 frame too low"),
    ],
)
def test_sound_that_a_network_hears_late_is_noticed(
    milliseconds: float, check: str, words: str, heads: Material
) -> None:
    method = Delayed.load()
    method.samples = round(16 * milliseconds)
    report = selftest.run(method, clips=heads.clips, only=["locality", "bias", "one-sided"])
    assert "locality" in report.failed
    assert check in report.failed + report.warned
    assert re.search(words, report[check].sentence), report[check].sentence
    if milliseconds == 40:
        assert "sound t-1 .. t+3" in report["locality"].sentence
