"""A pair measured, and many of them in a table; mouths and phones are planted."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from avbench.data import Alignment, Clip, Embeddings, FloatArray, Prediction
from avbench.errors import DataError
from avbench.methods import Aligned, Aligner
from avbench.redub import Settings, measure, report
from avbench.redub.measuring import NONE, TRUTH, Measured, Take
from avbench.redub.reporting import table
from avbench.redub.truth import Planted, Spoken
from avbench.similarity import similarity_matrix

SOUNDS = 30
MOUTH = np.random.default_rng(5).random((SOUNDS, 2))
"""Height and width of the mouth at each sound."""


class Nearest:
    """Takes the most similar picture for every sound."""

    name = "nearest"
    BIBTEX = ""
    extractor = "codes"

    def embed(self, clip: Clip) -> Embeddings:
        codes = clip.frames[:, 0, 0, 0].astype(int)
        heard = np.rint(np.abs(clip.audio[::640]) * 100).astype(int)
        latent = np.random.default_rng(3).standard_normal((SOUNDS, 24))
        rows = len(clip) - 4
        return Embeddings(*(latent[x][2 : rows + 2].astype(np.float32) for x in (codes, heard)))

    def align(self, video: FloatArray, audio: FloatArray) -> Aligned:
        return Aligned(similarity_matrix(audio, video).argmax(axis=-1).astype(float))

    def predict(self, clip: Clip) -> Prediction:
        return Prediction(clip.key, Alignment.from_offset(0, len(clip)))


def take(lengths: list[int], seed: int = 0) -> Take:
    """Make a recording of all sounds, each for so many frames."""
    codes = np.repeat(np.arange(SOUNDS), lengths)
    frames = np.zeros((len(codes), 2, 2, 3), np.uint8)
    frames[..., 0] = codes[:, None, None]
    noise = np.random.default_rng(seed).standard_normal(len(codes) * 640)
    hertz = np.repeat(300 + 200 * codes, 640)
    tone = np.sin(2 * np.pi * np.cumsum(hertz) / 16000)
    audio = (0.3 * tone + 0.01 * noise).astype(np.float32)
    audio[::640] = codes / 100
    ends = np.cumsum(lengths) / 25
    phones = tuple(
        Spoken(f"p{k}", float(end - n / 25), float(end))
        for k, (n, end) in enumerate(zip(lengths, ends, strict=True))
    )
    points = np.full((len(codes), 68, 2), np.nan)
    points[:, [60, 62, 64, 66]] = 0.0
    points[:, 66, 1], points[:, 64, 0] = MOUTH[codes].T
    height, width = MOUTH[codes].T
    return Take(Clip(f"c{seed}", frames, audio), points, 0.5, Planted(phones, height, width))


@pytest.fixture(scope="module")
def takes() -> tuple[Take, Take]:
    rng = np.random.default_rng(1)
    fast, slow = (rng.integers(low, low + 3, SOUNDS).tolist() for low in (1, 2))
    return take(fast, 1), take(slow, 2)


def measured(name: str, takes: tuple[Take, Take], **options: object) -> Measured:
    method = Nearest()
    assert isinstance(method, Aligner)
    picture, voice = takes
    rows = method.embed(picture.clip), method.embed(voice.clip)
    settings = Settings(**{"sound": False, **options})  # type: ignore[arg-type]
    return measure(name, "a>b:s", picture, voice, method, rows, settings)


def test_the_truth_is_the_ceiling_and_no_alignment_the_floor(takes: tuple[Take, Take]) -> None:
    floor, found, ceiling = (measured(name, takes) for name in (NONE, "nearest", TRUTH))
    assert ceiling.errors is not None
    assert not ceiling.errors.any()
    for key in ("height", "width", "truth_height", "truth_width"):
        low, mid, high = (getattr(one, key) for one in (floor, found, ceiling))
        assert high > 0.7
        assert mid > 0.7
        assert low < 0.5
    assert found.errors is not None
    assert floor.errors is not None
    assert np.mean(np.abs(found.errors) <= 1) > 0.7 > np.mean(np.abs(floor.errors) <= 1) + 0.3
    # Lips as found are those that were drawn, here.
    assert found.height == pytest.approx(found.truth_height)


def test_frames_are_counted_after_filling(takes: tuple[Take, Take]) -> None:
    picture, voice = takes
    floor = measured(NONE, takes).frames
    assert (floor.output, floor.source) == (len(voice), len(picture))
    assert floor.duplicated == len(voice) - len(picture)  # the last picture is held
    assert floor.deleted == 0
    back = measured(NONE, (voice, picture)).frames
    assert back.deleted == len(voice) - len(picture)
    assert back.duplicated == 0


def test_lips_that_are_not_found_are_left_out_and_still_ones_counted(
    takes: tuple[Take, Take],
) -> None:
    picture, voice = takes
    holes = picture.points.copy()
    holes[::3] = np.nan
    some = measured(TRUTH, (replace(picture, points=holes), voice))
    assert some.height > 0.7
    still = replace(picture, points=np.zeros_like(picture.points))
    none = measured(TRUTH, (still, voice))
    assert math.isnan(none.height)
    (found,) = report([some, none])
    assert found.undefined == {"height": 1, "width": 1}
    assert found.means["height"] == pytest.approx(some.height)
    assert "Pairs without a correlation" in table([found], {"lips": 1.0}, 10.0)


def test_a_voice_without_a_mouth_is_no_correlation_at_all(takes: tuple[Take, Take]) -> None:
    picture, voice = takes
    blind = replace(voice, points=np.full_like(voice.points, np.nan))
    (found,) = report([measured(TRUTH, (picture, blind))])
    assert math.isnan(found.means["height"])
    assert found.to_json()["means"]["height"] is None


def test_what_is_not_planted_is_not_claimed(takes: tuple[Take, Take]) -> None:
    picture, voice = takes
    found = measured("nearest", (replace(picture, planted=None), voice))
    assert found.errors is None
    assert math.isnan(found.truth_height)
    (summed,) = report([found])
    assert summed.errors == {}
    text = table([summed], {"lips": 1.0}, 10.0)
    assert "exact" not in text
    assert "Drawn faces" not in text


def test_a_voice_retimed_to_its_own_picture_is_not_distorted(takes: tuple[Take, Take]) -> None:
    picture, voice = takes
    own = measured(TRUTH, (picture, picture), sound=True)
    other = measured(NONE, (picture, voice), sound=True)
    assert own.mcd < 1.5 < 0.3 * other.mcd
    assert own.mcd_dtw <= own.mcd + 1e-9
    aligned = measured("nearest", (picture, voice), sound=True)
    assert aligned.mcd < other.mcd - 1


def test_the_table_has_the_columns_of_the_paper(takes: tuple[Take, Take]) -> None:
    picture, voice = takes
    both = [(picture, voice), (voice, picture)]
    reports = report(measured(name, pair) for name in (NONE, "nearest") for pair in both)
    assert [one.method for one in reports] == [NONE, "nearest"]
    first = reports[0]
    assert first.pairs == 2
    assert first.frames["unique"] + first.frames["deleted"] == pytest.approx(
        (len(picture) + len(voice)) / 2
    )
    assert first.media_s == pytest.approx(0.04 * (len(picture) + len(voice)))
    assert first.real_time_factor == pytest.approx(first.seconds / first.media_s)
    text = table(reports, {"lips": 3.0}, 6.0)
    head, *lines = text.split("\n")
    for column in ("corr x", "corr y", "dup", "del", "conseq", "unique", "MCD-DTW", "RTF"):
        assert column in head
    assert lines[1].split()[1] == f"{reports[1].means['width']:.2f}"
    assert "lips 0.500" in text
    assert "never to be compared" in " ".join(text.split())
    with pytest.raises(DataError, match="no pairs"):
        report([])
