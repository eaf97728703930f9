"""Readings and verdicts on planted similarities: signs, sureness, words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from avbench.data import FloatArray
from avbench.similarity import similarity_matrix
from avbench.syncing import Reading, decide, read_offset
from avbench.syncing.reading import least_rows
from avbench.syncing.verdict import noticed

SEARCH = 8


def smooth(rows: int, rng: np.random.Generator) -> FloatArray:
    """Embeddings that change slowly, as those of overlapping windows do; shape (rows, 16)."""
    raw = rng.standard_normal((rows + 4, 16))
    return np.asarray(sum(raw[k : k + rows] for k in range(5)))


def planted(offset: int, rows: int, noise: float, seed: int) -> FloatArray:
    """Similarity of sound that is ``offset`` frames early with its picture."""
    rng = np.random.default_rng([seed, abs(offset), rows])
    truth = smooth(rows + 2 * SEARCH, rng)
    video = truth[SEARCH : SEARCH + rows] + noise * smooth(rows, rng)
    audio = truth[SEARCH + offset : SEARCH + offset + rows] + noise * smooth(rows, rng)
    return similarity_matrix(audio, video)


def read(similarity: FloatArray, *part: int) -> Reading:
    found = read_offset(similarity, SEARCH, *part)
    assert found is not None
    return found


@pytest.mark.parametrize("offset", range(-SEARCH + 1, SEARCH))
def test_early_sound_reads_positive_and_surely(offset: int) -> None:
    reading = read(planted(offset, 90, 0.5, 0))
    assert reading.offset == offset
    assert reading.grade == "good"
    assert len(reading.curve) == 2 * SEARCH + 1
    assert int(np.argmax(reading.curve)) - SEARCH == offset


def test_parts_of_a_face_show_where_the_offset_changes() -> None:
    rng = np.random.default_rng(5)
    truth = smooth(240, rng)
    audio = np.concatenate([truth[2:102], truth[95:235]])[:200]
    similarity = similarity_matrix(audio, truth[:200])
    assert [read(similarity, a, a + 60).offset for a in (20, 130)] == [2, -5]


def test_sound_that_does_not_belong_is_seldom_believed() -> None:
    rng = np.random.default_rng(1)
    pairs = [similarity_matrix(smooth(90, rng), smooth(90, rng)) for _ in range(300)]
    p_values = np.array([read(pair).p_value for pair in pairs])
    assert (p_values < 0.01).mean() <= 0.02
    assert (p_values < 0.05).mean() <= 0.08
    assert p_values.max() == 1


def test_more_noise_is_less_sure() -> None:
    confidences = [
        np.median([read(planted(3, 90, noise, seed)).confidence for seed in range(9)])
        for noise in (0.3, 1.5, 3.0, 10.0)
    ]
    assert confidences == sorted(confidences, reverse=True)
    assert confidences[0] > 2 * confidences[-1]


def test_what_resembles_everything_does_not_count() -> None:
    similarity = planted(2, 90, 0.5, 3)
    loud = similarity + np.where(np.arange(90) < 12, 5.0, 0.0)[:, None]
    assert read(loud).offset == 2
    assert read(loud).confidence == pytest.approx(read(similarity).confidence)


def test_an_offset_at_the_edge_of_the_search_is_not_believed() -> None:
    reading = read(planted(SEARCH, 90, 0.3, 0))
    assert reading.offset == SEARCH
    assert reading.at_edge
    assert reading.p_value < 0.01
    assert reading.grade == "low"


def test_nothing_that_changes_gives_no_reading() -> None:
    assert read_offset(np.full((60, 60), 0.25), SEARCH) is None


def test_too_small_a_matrix_is_refused() -> None:
    least = least_rows(SEARCH)
    assert read_offset(np.eye(least), SEARCH) is not None
    with pytest.raises(ValueError, match="expected a square of 34 or more"):
        read_offset(np.eye(least - 1), SEARCH)
    with pytest.raises(ValueError, match="expected a square"):
        read_offset(np.ones((60, 50)), SEARCH)


def reading(offset: int, p_value: float = 0.001, confidence: float = 6.0) -> Reading:
    return Reading(offset, confidence, p_value, 3.0, (0.0,) * 31)


def test_verdict_is_the_weighted_agreement_of_the_sure() -> None:
    verdict = decide([(reading(3), 10.0), (reading(4), 4.0), (reading(-9, p_value=0.5), 60.0)])
    assert (verdict.offset, verdict.grade, verdict.agreement) == (3, "good", 1.0)
    assert verdict.words == (
        "sound is 120 ms early (audio leads by 3 frames); a viewer would notice"
    )


def test_faces_that_agree_are_surer_and_many_faces_less_sure() -> None:
    weak = (reading(5, p_value=0.04), 5.0)
    others = [(reading(k, p_value=0.5, confidence=1.0), 5.0) for k in (-9, -3, 11)]
    assert decide([weak]).grade == "fair"
    assert decide([weak, *others]).offset is None
    agreeing = (reading(6, p_value=0.03), 5.0)
    assert decide([weak, agreeing]).grade == "good"
    verdict = decide([weak, agreeing, *others])
    assert (verdict.offset, verdict.grade) == (5, "fair")
    assert decide([(reading(2, p_value=0.2), 5.0)] * 12).offset == 2


@pytest.mark.parametrize("faces", [1, 4, 15])
def test_faces_that_do_not_speak_are_seldom_believed_together(faces: int) -> None:
    rng = np.random.default_rng(faces)
    believed = 0
    for _ in range(400):
        offsets, p_values = rng.integers(-14, 15, faces), rng.uniform(size=faces)
        pairs = [(reading(int(k), float(p)), 5.0) for k, p in zip(offsets, p_values, strict=True)]
        verdict = decide(pairs)
        believed += verdict.p_value is not None and verdict.p_value < 0.05
    assert believed / 400 <= 0.1


def test_fair_readings_count_where_none_is_good() -> None:
    fair = reading(-6, p_value=0.03)
    assert decide([(fair, 5.0), (reading(1), 5.0)]).offset == 1
    verdict = decide([(replace(fair, p_value=0.02), 5.0), (reading(1, p_value=0.4), 50.0)])
    assert (verdict.offset, verdict.grade) == (-6, "fair")
    assert verdict.words == (
        "sound is 240 ms late (video leads by 6 frames), probably; a viewer would notice"
    )


def test_reasons_why_it_cannot_be_told() -> None:
    apart = decide([(reading(3), 10.0), (reading(-4), 8.0)])
    assert apart.offset is None
    assert apart.words == "cannot tell: its parts differ, with offsets of -4, +3 frames"
    nobody = decide([(reading(3, p_value=0.2), 10.0), (replace(reading(15)), 10.0)])
    assert "nobody is seen to speak in time with the sound, within 15 frames" in nobody.words
    assert decide([]).words == "cannot tell: no face is seen for long enough"


@pytest.mark.parametrize(
    ("offset", "words"),
    [
        (-5, "a viewer would notice"),
        (-4, "a viewer may notice, and would accept it"),
        (-3, "a viewer would not notice"),
        (1, "a viewer would not notice"),
        (2, "a viewer may notice, and would accept it"),
        (3, "a viewer would notice"),
    ],
)
def test_early_sound_is_noticed_sooner_than_late_sound(offset: int, words: str) -> None:
    assert noticed(offset) == words


def test_in_sync_needs_no_viewer() -> None:
    assert decide([(reading(0), 5.0)]).words == "in sync"
