from __future__ import annotations

import math

import numpy as np
import pytest

from avbench.metrics.asd import (
    Speaker,
    balanced_threshold,
    columbia,
    f1,
    fixed,
    resample,
    smooth,
)

NAMES = ("abbas", "bell", "bollinger", "lieberman", "long", "sick")


def _speakers(noise: float = 2.0) -> dict[str, Speaker]:
    """Make speakers who talk in long turns, with scores that tell of it noisily."""
    rng = np.random.default_rng(0)
    found = {}
    for name in NAMES:
        speaking = np.repeat(rng.permutation(np.arange(8) % 2 == 0), 250)
        found[name] = Speaker(speaking, speaking + noise * rng.standard_normal(len(speaking)))
    return found


def test_longer_windows_tell_more() -> None:
    """As in Table 3 of the paper, where windows of 100 frames are almost perfect."""
    single, ten, hundred = (columbia(_speakers(), "abbas", window) for window in (1, 10, 100))
    assert single.macro < ten.macro < hundred.macro
    assert set(hundred.f1) == set(NAMES[1:])
    assert hundred.macro == pytest.approx(np.mean(list(hundred.f1.values())))


def test_a_frame_at_the_threshold_is_speech() -> None:
    """Of two speakers, one is enough to calibrate on and one to measure."""
    speaking = np.arange(8) % 2 == 0
    pair = {"abbas": Speaker(speaking, speaking * 2.0), "bell": Speaker(speaking, speaking * 2.0)}
    found = columbia(pair, "abbas", window=1)
    assert found.threshold == 2
    assert found.f1 == {"bell": 1}


def test_the_threshold_comes_from_one_speaker_and_moves_with_it() -> None:
    speakers = _speakers(0.1)
    assert columbia(speakers, "abbas").macro > 0.95
    shifted = speakers | {
        "abbas": Speaker(speakers["abbas"].speaking, speakers["abbas"].scores + 5)
    }
    assert columbia(shifted, "abbas").threshold > 5
    assert columbia(shifted, "abbas").macro == 0
    everyone = {n: Speaker(s.speaking, 3 * s.scores + 5) for n, s in speakers.items()}
    assert columbia(everyone, "abbas").f1 == columbia(speakers, "abbas").f1


def test_what_becomes_of_missed_faces_moves_the_number() -> None:
    speakers = _speakers(0.1)
    bell = speakers["bell"]
    scores = np.where(np.arange(len(bell.scores)) % 4 == 0, np.nan, bell.scores)
    speakers["bell"] = Speaker(bell.speaking, scores)
    silent = columbia(speakers, "abbas", 1, "silent")
    skipped = columbia(speakers, "abbas", 1, "skip")
    assert skipped.f1["bell"] > 0.99
    assert silent.f1["bell"] == pytest.approx(2 * 0.75 / 1.75, abs=0.01)  # a quarter is missed
    assert silent.f1["sick"] == skipped.f1["sick"]


@pytest.mark.parametrize("window", [1, 2, 9, 10, 100])
def test_smoothing_is_a_mean_of_neighbours(window: int) -> None:
    rng = np.random.default_rng(0)
    scores = rng.standard_normal(150)
    scores[rng.random(150) < 0.2] = math.nan
    found = smooth(scores, window)
    for t in range(150):
        near = scores[max(0, t - window // 2) : t - window // 2 + window]
        expected = math.nan if math.isnan(scores[t]) else np.nanmean(near)
        assert found[t] == pytest.approx(expected, nan_ok=True)
    assert smooth(np.full(30, 0.7), window) == pytest.approx(np.full(30, 0.7))


def test_the_balanced_threshold_accepts_at_it() -> None:
    speaking, scores = [0, 0, 1, 1], [1.0, 2.0, 3.0, 4.0]
    threshold = balanced_threshold(speaking, scores)
    assert f1(speaking, np.array(scores) >= threshold) == 1


@pytest.mark.parametrize("fps", [25, 30000 / 1001, 50, 12.5])
def test_labels_keep_their_time(fps: float) -> None:
    """A turn from second 2 to second 5 stays there, to a frame of either rate."""
    time = np.arange(round(8 * fps)) / fps
    labels = (time >= 2) & (time < 5)
    near, cut = (resample(labels, fps, 200, rule) for rule in ("nearest", "floor"))
    for found in (near, cut):
        turn = np.flatnonzero(found)
        slack = 1 + 25 / fps
        assert turn[0] == pytest.approx(50, abs=slack)
        assert turn[-1] == pytest.approx(124, abs=slack)
    if fps == 25:
        assert np.array_equal(near, labels)
        assert np.array_equal(cut, labels)


def test_cutting_off_fractions_is_another_rule() -> None:
    """Of two source frames per frame the nearest is the first, and cutting keeps the second."""
    labels = [0, 1, 0, 1]
    assert resample(labels, 50, 2, "nearest").tolist() == [False, False]
    assert resample(labels, 50, 2, "floor").tolist() == [True, True]


def test_the_fixed_threshold_is_another_protocol() -> None:
    """Means over five frames whose upper bound is one too low, written out."""
    rng = np.random.default_rng(0)
    for _ in range(100):
        speaking, scores = np.ones(6, bool), rng.standard_normal(6)
        scores[rng.integers(0, 4)] = math.nan
        said = []
        for i in range(6):
            near = scores[max(i - 2, 0) : min(i + 3, 5)]
            said.append(not math.isnan(scores[i]) and np.nanmean(near) >= 0)
        found = fixed({"bell": Speaker(speaking, scores)})
        assert found.f1["bell"] == f1(speaking, said)
    assert (found.threshold, found.window, found.missed) == (0, 5, "silent")
    alone = Speaker(np.ones(2, bool), np.array([0.0, math.nan]))
    assert fixed({"bell": alone}).f1["bell"] == pytest.approx(2 / 3)
    for score, expected in ((0.0, 1), (math.nan, 0)):
        single = Speaker(np.ones(1, bool), np.array([score]))
        assert fixed({"bell": single}).f1["bell"] == expected
    assert math.isnan(fixed({"nobody": Speaker(np.zeros(1, bool), np.full(1, -1.0))}).macro)


def test_f1_is_undefined_where_nobody_talks_and_nothing_is_said() -> None:
    assert math.isnan(f1([0, 0], [0, 0]))
    assert f1([0, 0], [0, 1]) == 0


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: smooth([1.0], 0), "window"),
        (lambda: smooth([math.inf], 1), "finite"),
        (lambda: resample([], 25, 3, "nearest"), "labels"),
        (lambda: resample([1], 25, 3, "round"), "rule"),
        (lambda: resample([1], 0, 3, "nearest"), "fps"),
        (lambda: columbia({"abbas": _speakers()["abbas"]}, "abbas"), "others"),
        (lambda: columbia(_speakers(), "nobody"), "nobody"),
        (lambda: columbia(_speakers(), "abbas", missed="guess"), "missed"),
        (lambda: balanced_threshold([1, 1], [1, 2]), "some of each"),
    ],
)
def test_malformed_input_is_refused(call, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        call()
