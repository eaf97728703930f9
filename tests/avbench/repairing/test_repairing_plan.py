"""Edits, times, held pictures, the vocoder and agreement, on planted arrays."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from avbench.aligning.whole import AlignedRows
from avbench.data import Embeddings, FloatArray, IntArray
from avbench.distort import alignment_of, drop_duplicate, rng_for
from avbench.repairing.agreement import Surety, drift_of, over_time, surety
from avbench.repairing.held import change, changes, held, missing
from avbench.repairing.plan import Part, edit_rows, edits, join, output_times, sound_times
from avbench.repairing.vocoder import warp


def test_parts_keep_their_drift_and_lend_it_to_what_lies_around() -> None:
    parts = [Part(40, np.arange(40, 50) - 4), Part(10, np.arange(10, 20) + 6)]
    found = join(parts, 60, 60) - np.arange(60)
    assert set(found[:20]) == {6}
    assert set(found[40:]) == {-4}
    assert np.all(np.diff(found[20:40]) <= 0)
    assert found[30] in (0, 1)


def test_nothing_leaves_the_picture_or_goes_back() -> None:
    found = join([Part(0, np.arange(30) + 9), Part(30, np.arange(30, 50) - 9)], 50, 35)
    assert found.min() >= 0
    assert found.max() <= 34
    assert np.all(np.diff(found) >= 0)


@pytest.mark.parametrize("seed", range(5))
def test_edits_put_together_are_the_alignment(seed: int) -> None:
    shown = drop_duplicate(120, rng=rng_for(seed, "edits"))
    index = alignment_of(shown, 120).video_index
    found = edits(index)
    told = np.concatenate([np.arange(e.stop - e.start) + e.source_start for e in found])
    np.testing.assert_array_equal(told, index)
    assert [e.start for e in found[1:]] == [e.stop for e in found[:-1]]
    rows = edit_rows(found)
    left_out = sum(int(row["left_out"]) for row in rows)
    again = sum(int(row["shown_again"]) for row in rows)
    unique = len(np.unique(index))
    assert again == 120 - unique
    assert left_out == int(index[-1]) + 1 - unique
    assert rows[0]["offset_ms"] == 40.0 * found[0].offset


def test_times_are_those_of_the_frames_at_25_a_second() -> None:
    index = np.array([3, 4, 4, 7], np.int64)
    np.testing.assert_allclose(output_times(index, Fraction(25)), index / 25)


def test_more_pictures_a_second_keep_the_cadence_of_the_source() -> None:
    times = output_times(np.arange(50) + 5, Fraction(30000, 1001))
    assert len(times) == 60
    np.testing.assert_allclose(times, np.arange(60) * 1001 / 30000 + 5 / 25, atol=1e-9)
    jumpy = output_times(np.array([0, 1, 1, 1, 5]), Fraction(50))
    assert np.all(np.diff(jumpy) >= 0)


def test_sound_follows_a_constant_offset_and_never_falls() -> None:
    times = sound_times((np.arange(100, dtype=np.int64) + 5).clip(max=99), 100)
    np.testing.assert_allclose(times[20:80], (np.arange(20, 80) - 5) / 25, atol=0.01)
    shown = drop_duplicate(300, rng=rng_for(1, "sound"))
    drifting = sound_times(alignment_of(shown, 300).video_index, len(shown))
    assert np.all(np.diff(drifting) >= 0)
    assert np.abs(drifting * 25 - shown)[10:-10].mean() < 1.5


def test_a_picture_shown_again_is_held_even_where_most_are() -> None:
    rng = np.random.default_rng(0)
    shown = drop_duplicate(200, rng=rng_for(0, "held"), law="tae2020")
    moved = np.where(np.diff(shown, prepend=-1) > 0, rng.uniform(0.8, 3, len(shown)), 0)
    moved = np.where(moved == 0, rng.uniform(0, 0.08, len(shown)), moved)
    np.testing.assert_array_equal(held(moved), np.unique(shown, return_inverse=True)[1])


def test_a_still_or_steadily_moving_picture_has_none_that_is_held() -> None:
    for values in (np.zeros(60), np.full(60, 0.01), np.random.default_rng(0).uniform(1, 2, 60)):
        assert held(values).tolist() == list(range(60))


def gaps(noise: float, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return how many pictures each change goes across, and the changes."""
    rng = np.random.default_rng(seed)
    across = rng.choice([1, 2, 3], 300, p=[0.7, 0.2, 0.1])
    pace = np.exp(np.sin(np.arange(300) / 30))  # faces move now more, now less
    moved = 3 * pace * across**0.4 * np.exp(noise * rng.standard_normal(300))
    return across, np.append(np.inf, moved)


def test_a_large_change_tells_of_missing_pictures() -> None:
    across, moved = gaps(0.08)
    told = missing(moved)
    assert told.shape == (301, 2)
    np.testing.assert_array_equal(told[0], 0)
    one, more = told[1:].T
    assert np.mean((one > 0) == (across > 1)) > 0.9
    assert np.mean(more[across == 3] > one[across == 3]) > 0.7
    np.testing.assert_allclose(missing(7 * moved), told, atol=0.02)


def test_restless_faces_tell_little_of_missing_pictures() -> None:
    calm, restless = (np.abs(missing(gaps(noise)[1])).mean() for noise in (0.08, 0.5))
    assert restless < 0.5 * calm


@pytest.mark.parametrize("moved", [np.array([np.inf, 2.0, 3.0]), np.ones(40), np.zeros(40)])
def test_too_few_or_steady_changes_tell_of_no_gaps(moved: np.ndarray) -> None:
    told = missing(moved)
    assert np.isfinite(told).all()
    assert (told <= 0).all()


def test_only_the_face_counts_as_change() -> None:
    before = np.zeros((40, 60, 3), np.uint8)
    after = before.copy()
    after[:10] = 200
    face = np.array([20.0, 15.0, 40.0, 35.0])
    assert change(before, after, face) == 0
    after[15:35, 20:40] = 7
    assert change(before, after, face) == 7
    assert change(before, after, np.array([-9.0, -9.0, 999.0, 999.0])) > 7
    found = changes([before, after, after], np.stack([face] * 3))
    assert found.tolist() == [float("inf"), 7, 0]


def test_warped_sound_keeps_its_pitch_and_changes_its_speed() -> None:
    rate = 8000
    time = np.arange(4 * rate) / rate
    sound = np.sin(2 * np.pi * 440 * time) * (1 + (time > 2))
    slow = warp(np.stack([sound, sound]), rate, np.arange(200) / 25 / 2, 25)
    assert slow.shape == (2, 8 * rate)
    spectrum = np.abs(np.fft.rfft(slow[0, rate : 3 * rate]))
    assert abs(int(spectrum.argmax()) / 2 - 440) <= 2
    loud = np.abs(slow[0]).reshape(-1, rate // 10).max(1)
    step = int(np.flatnonzero(loud > 0.75 * loud.max())[0])
    assert step == pytest.approx(40, abs=2)  # the step at two seconds is heard at four
    assert np.abs(slow).max() == pytest.approx(2, abs=0.01)


def test_sound_that_is_not_moved_stays_as_it_was() -> None:
    sound = np.random.default_rng(0).normal(size=(1, 24000)) * 0.1
    same = warp(sound, 16000, np.arange(38) / 25, 25)[0, :24000]
    assert np.corrcoef(same[500:23000], sound[0, 500:23000])[0, 1] > 0.999


def nearest(rows: Embeddings, expected: IntArray) -> AlignedRows:
    """Follow the likest row within three of the expected one."""
    reach = (expected[:, None] + np.arange(-3, 4)).clip(0, len(rows.video) - 1)
    likes = np.einsum("ad,akd->ak", rows.audio, rows.video[reach])
    best = likes.argmax(1)
    found = reach[np.arange(len(reach)), best]
    doubt: FloatArray = np.full(len(found), 0.1 if likes.max(1).mean() > 0.8 else 1.0)
    path = np.asarray(np.maximum.accumulate(found))
    return AlignedRows(path, doubt, path[None].repeat(3, axis=0))


def planted(offset: int, seed: int = 0) -> Embeddings:
    video = np.random.default_rng(seed).normal(size=(300, 24))
    return Embeddings(video, np.roll(video, -offset, axis=0))


def unit(rows: Embeddings) -> Embeddings:
    return Embeddings(*(r / np.linalg.norm(r, axis=1, keepdims=True) for r in rows))


def test_a_repair_of_sound_that_belongs_is_good_and_that_of_a_strangers_low() -> None:
    expected = np.arange(300)
    mine = unit(planted(2))
    strange = unit(Embeddings(mine.video, planted(2, seed=7).audio))
    found = surety(mine, expected, nearest(mine, expected), nearest)
    other = surety(strange, expected, nearest(strange, expected), nearest)
    assert found.grade == "good"
    assert found.p_value < 1e-6
    assert found.drift == pytest.approx(2, abs=0.05)
    assert found.remains < 0.6
    assert other.grade == "low"


def test_drift_is_timed_by_the_pictures_that_are_shown() -> None:
    sound = np.arange(100)
    late = (sound - 3).clip(min=0)
    assert drift_of(late, sound[None])[10:].tolist() == [3.0] * 90
    dropped = np.repeat(np.arange(50), 2)  # every other picture is missing
    assert drift_of(dropped, dropped[None])[:-2].tolist() == [0.5] * 98
    # The picture ends after 60 frames: what is shown later is ever further from its time.
    ended = sound.clip(max=59)
    np.testing.assert_array_equal(drift_of(ended, ended[None])[60:], np.arange(1, 41))
    two = np.stack([sound, sound + 2])
    assert drift_of(sound, two)[5:90].tolist() == [1.0] * 85


def test_a_repair_that_may_leave_too_much_is_not_called_good() -> None:
    kept = {"confidence": 9.0, "p_value": 1e-6, "doubt": 0.1, "chance_doubt": 1.0, "drift": 6.0}
    assert Surety(**kept, remains=1.9).grade == "good"
    assert Surety(**kept, remains=2.1).grade == "fair"
    assert Surety(**kept, remains=float("nan")).grade == "fair"
    assert Surety(**{**kept, "p_value": 0.2}, remains=0.1).grade == "low"


def test_agreement_over_time_shows_where_sound_and_picture_part() -> None:
    rows = planted(0)
    video = rows.video.copy()
    video[150:] = np.random.default_rng(9).normal(size=(150, 24))
    found = over_time(Embeddings(video, rows.audio), np.arange(300))
    assert found[:130].min() > 4
    assert abs(found[170:].mean()) < 1
