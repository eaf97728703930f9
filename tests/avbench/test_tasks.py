from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import simulated
from hypothesis import given
from hypothesis import strategies as st

from avbench.data import Alignment, Clip
from avbench.errors import UsageError
from avbench.tasks import OffsetTask, Question


def test_picture_and_sound_stay_inside_for_every_candidate() -> None:
    task = OffsetTask(lengths=(11, 20), windows_per_clip=3)
    clip = simulated.clip(1, num_frames=34)
    for question in task.questions(clip):
        for offset in range(-task.search, task.search + 1):
            assert len(clip.window(question.start, question.length, offset)) == question.length


@given(
    num_frames=st.integers(5, 60),
    length=st.integers(5, 20),
    search=st.integers(1, 15),
    own=st.integers(-8, 8),
)
def test_starts_are_all_that_fit_and_no_more(
    num_frames: int, length: int, search: int, own: int
) -> None:
    task = OffsetTask(lengths=(length,), search=search)

    def fits(start: int) -> bool:
        firsts = [start + offset - own for offset in range(-search, search + 1)]
        lowest, highest = min([start, *firsts]), max([start, *firsts])
        return lowest >= 0 and highest + length <= num_frames

    expected = [start for start in range(num_frames) if fits(start)]
    assert list(task.starts(num_frames, length, own)) == expected


def test_a_question_is_what_the_cut_window_shows() -> None:
    for own in (-4, 0, 2):
        clip = simulated.clip(3, offset=own)
        for question in OffsetTask(repeats=3).questions(clip):
            window = question.cut(clip)
            assert len(window) == question.length
            assert window.alignment is not None
            assert window.alignment.offset == question.offset


def test_offsets_are_uniform_and_starts_use_the_whole_clip() -> None:
    task = OffsetTask(lengths=(15,), repeats=2000)
    questions = task.questions(simulated.clip(0, num_frames=40))
    counts = Counter(question.offset for question in questions)
    assert sorted(counts) == list(range(-5, 6))
    assert max(counts.values()) < 2 * min(counts.values())
    assert {question.start for question in questions} == set(range(5, 21))
    starts = np.array([question.start for question in questions])
    assert abs(np.corrcoef(starts, [question.offset for question in questions])[0, 1]) < 0.06


def test_a_question_depends_on_seed_and_clip_alone() -> None:
    clip = simulated.clip(7)
    few = OffsetTask(lengths=(13,), repeats=2).questions(clip)
    many = OffsetTask(lengths=(11, 13, 20), repeats=5, windows_per_clip=4).questions(clip)
    assert set(few) <= set(many)
    assert set(few).isdisjoint(OffsetTask(lengths=(13,), repeats=2, seed=1).questions(clip))
    assert few == OffsetTask(lengths=(13,), repeats=2).questions(clip)


def test_the_questions_of_version_1() -> None:
    """A change here changes every score: raise the protocol's version with it."""
    assert OffsetTask().version == 1
    assert OffsetTask(lengths=(11, 20), repeats=1).questions(simulated.clip(1)) == [
        Question("clip-0001", 11, 0, 0, start=8, displacement=5, offset=5),
        Question("clip-0001", 20, 0, 0, start=15, displacement=-2, offset=-2),
    ]


def test_clips_that_cannot_be_asked_are_named() -> None:
    task = OffsetTask(lengths=(11, 20))
    short = simulated.clip(1, num_frames=25)
    assert {question.length for question in task.questions(short)} == {11}
    (refusal,) = task.refusals(short)
    assert (refusal.key, refusal.length, refusal.reason) == (
        "clip-0001",
        20,
        "too short: 25 frames",
    )
    unknown = simulated.clip(2, offset=None)
    varying = Clip("clip-3", unknown.frames, unknown.audio, Alignment(np.arange(60) // 2))
    for clip, reason in ((unknown, "unknown"), (varying, "not a constant")):
        assert task.questions(clip) == []
        (refusal,) = task.refusals(clip)
        assert refusal.length is None
        assert reason in refusal.reason
    assert task.refusals(simulated.clip(1)) == []


def test_the_shortest_clip_that_fits() -> None:
    task = OffsetTask(lengths=(15,), repeats=1)
    assert task.questions(simulated.clip(1, num_frames=24)) == []
    (question,) = task.questions(simulated.clip(1, num_frames=25))
    assert question.start == 5


def test_the_protocol_names_the_search_range() -> None:
    assert OffsetTask().protocol == "kim-strict-5"
    described = OffsetTask(search=7).describe()
    assert described["protocol"] == "kim-strict-7"
    assert described["lengths"] == [11, 13, 15, 20]
    assert described["version"] == OffsetTask().version


@pytest.mark.parametrize(
    "wrong",
    [
        {"lengths": ()},
        {"lengths": (4,)},
        {"lengths": (11, 11)},
        {"search": 0},
        {"repeats": 0},
        {"windows_per_clip": 0},
        {"tolerances": (-1,)},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="got"):
        OffsetTask(**wrong)  # type: ignore[arg-type]
