"""The judges of the conformance suite on numbers whose verdict is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from avbench.selftest import doubt, honesty, offsets, storage
from avbench.selftest.outcome import describe_difference, relative_difference
from avbench.selftest.storage import Reading
from avbench.selftest.subject import Answer, explain
from avbench.selftest.sweep import SURE, Sweep, read

TRUTH = np.arange(-5, 6)
RNG = np.random.default_rng(0)


def sweep(predicted: Any, length: int = 40, search: int = 5) -> Sweep:
    table = np.asarray(predicted, np.float64)
    return Sweep(TRUTH, table, np.ones_like(table), search, length)


def line(sign: int = 1, bias: int = 0, windows: int = 24) -> np.ndarray:
    return np.tile((sign * TRUTH + bias).clip(-5, 5), (windows, 1))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("bias", [-3, -1, 0, 1, 2])
def test_a_line_is_read_whatever_its_sign_and_bias(sign: int, bias: int) -> None:
    found = read(sweep(line(sign, bias)))
    assert (found.sign, found.bias) == (sign, bias)
    assert found.exact == 1.0
    assert found.known
    assert offsets.sign(sweep(line(sign, bias))).status == ("pass" if sign > 0 else "fail")
    assert offsets.bias(sweep(line(sign, bias))).status == ("fail" if bias else "pass")


@pytest.mark.parametrize("seed", range(20))
def test_guesses_are_not_taken_for_knowledge(seed: int) -> None:
    rng = np.random.default_rng(seed)
    alone = sweep(rng.integers(-5, 6, (24, 11)))
    # Sound displaced by k may move the answer by k without any knowledge of what is in sync.
    moving = sweep((TRUTH + rng.integers(-5, 6, (24, 1)) + 5) % 11 - 5)
    for guesses in (alone, moving):
        assert not read(guesses).known
        assert offsets.skill(guesses, drawn=True).status == "fail"
        assert honesty.unrelated(guesses, sees_truth=False).status == "pass"
        for judge in (offsets.sign, offsets.bias, offsets.one_sided, offsets.shift, offsets.edges):
            assert judge(guesses).status == "not-applicable"


def test_the_bound_on_luck_holds_for_guesses_that_hang_together() -> None:
    lucky = 0
    for seed in range(400):
        place = np.random.default_rng(seed).integers(-5, 6, (24, 1))
        lucky += read(sweep((TRUTH + place + 5) % 11 - 5)).luck < 0.05
    assert SURE < 0.05
    assert lucky / 400 < 0.05


@pytest.mark.parametrize("share", [0.6, 0.9])
def test_knowledge_is_recognised_among_noise(share: float) -> None:
    known = RNG.random((24, 11)) < share
    answers = np.where(known, TRUTH, RNG.integers(-5, 6, (24, 11)))
    assert read(sweep(answers)).known
    assert offsets.skill(sweep(answers), drawn=False).status == "pass"


def test_errors_on_both_sides_raise_no_alarm() -> None:
    error = RNG.choice([-1, 0, 1], (24, 11), p=[0.3, 0.4, 0.3])
    assert offsets.one_sided(sweep((TRUTH + error).clip(-5, 5))).status == "pass"


@pytest.mark.parametrize(("share", "status"), [(0.05, "pass"), (0.2, "warn"), (0.45, "fail")])
@pytest.mark.parametrize("side", [-1, 1])
def test_errors_on_one_side_raise_the_alarm(share: float, status: str, side: int) -> None:
    error = side * (np.arange(24 * 11).reshape(24, 11) % 100 < 100 * share)
    found = offsets.one_sided(sweep((TRUTH + error).clip(-5, 5)))
    assert found.status == status
    if status != "pass":
        assert f"one frame too {'low' if side < 0 else 'high'}" in found.sentence


def test_a_whole_shift_is_reported_once() -> None:
    assert offsets.bias(sweep(line(bias=1))).status == "fail"
    assert offsets.one_sided(sweep(line(bias=1))).status == "not-applicable"


def test_equivariance_is_measured_at_every_offset() -> None:
    answers = line()
    answers[:, 9:] = 0  # +4 and +5 are never found
    found = offsets.shift(sweep(answers))
    assert found.measured["by offset"]["+4"] == 0
    assert found.measured["by offset"]["-5"] == 1
    assert found.measured["holds"] == pytest.approx(0.8)
    assert offsets.edges(sweep(answers)).status == "warn"
    assert offsets.edges(sweep(line())).status == "pass"


def test_more_frames_must_not_hurt() -> None:
    noisy = line()
    noisy[::2] = RNG.integers(-5, 6, (12, 11))
    short, good = sweep(noisy, 15), sweep(line(), 40)
    assert offsets.longer(short, good).status == "pass"
    worse = offsets.longer(sweep(line(), 15), sweep(noisy, 40))
    assert worse.status == "warn"
    assert "More frames should not hurt" in worse.sentence


def test_reversal_counts_both_ways() -> None:
    true = np.array([2.0, -2, 2, -2])
    assert offsets.reversal(-true, true).status == "pass"
    assert offsets.reversal(true, true).status == "warn"
    assert offsets.reversal(np.full(4, np.nan), true).status == "warn"


def test_failures_are_counted_by_message() -> None:
    table = line()
    table = table.astype(float)
    table[:2] = np.nan
    broken = Sweep(TRUTH, table, table, 5, 40, {"no face": 20, "too dark": 2})
    found = offsets.failures(broken, sweep(line()))
    assert found.status == "fail"
    assert found.measured == {
        "questions": 528,
        "failed": 22,
        "messages": {"no face": 20, "too dark": 2},
    }
    assert "22 of 528 questions, mostly with: no face" in found.sentence
    assert offsets.failures(sweep(line())).status == "pass"


def test_a_method_that_never_answers_is_not_called_a_floor() -> None:
    nothing = sweep(np.full((24, 11), np.nan))
    for judge in (offsets.sign, offsets.shift, lambda s: offsets.skill(s, drawn=True)):
        assert judge(nothing).sentence == "It answered nothing, see failures."
    assert offsets.failures(nothing).status == "fail"
    assert honesty.unrelated(nothing, sees_truth=False).status == "pass"


def test_being_right_about_unrelated_clips_is_a_leak() -> None:
    assert honesty.unrelated(sweep(line()), sees_truth=False).status == "fail"
    assert honesty.unrelated(sweep(line()), sees_truth=True).status == "not-applicable"
    # A constant is right once in eleven times, which is no more than guessing.
    assert honesty.unrelated(sweep(np.zeros((24, 11))), sees_truth=False).status == "pass"


def test_auroc_by_hand() -> None:
    assert doubt.auroc(np.array([3.0, 4]), np.array([1.0, 2])) == 1
    assert doubt.auroc(np.array([1.0, 3]), np.array([2.0, 2])) == 0.5
    assert doubt.auroc(np.array([1.0]), np.array([1.0])) == 0.5
    assert np.isnan(doubt.auroc(np.array([]), np.array([1.0])))


@pytest.mark.parametrize(
    ("silence", "stranger", "status"),
    [(0.1, 0.2, "pass"), (2.0, 0.2, "warn"), (0.1, 2.0, "fail"), (np.nan, np.nan, "pass")],
)
def test_confidence_must_be_lower_for_nonsense(
    silence: float, stranger: float, status: str
) -> None:
    real = np.array([1.0, 1.1, 1.2])
    found = doubt.confidence(real, {"silence": np.full(3, silence)}, np.full(3, stranger))
    assert found.status == status


def test_no_confidence_is_no_fault_but_a_constant_one_is() -> None:
    none, ones = np.full(3, np.nan), np.ones(3)
    assert doubt.confidence(none, {"silence": none}, none).status == "not-applicable"
    assert doubt.confidence(ones, {"silence": ones}, ones).status == "fail"


def test_a_breakdown_is_named_by_what_it_breaks_on() -> None:
    said = {"silence": [Answer(0)], "still picture": [Answer(None, failure="no motion")]}
    found = doubt.survives(said)
    assert found.status == "fail"
    assert "still picture: no motion" in found.sentence
    assert doubt.survives({"silence": [Answer(0)]}).status == "pass"


def test_numbers_survive_pictures_and_sounds() -> None:
    assert storage.numbers_of(storage.numbered_frames(60)) == list(range(60))
    assert storage.levels_of(storage.numbered_sound(60)) == list(range(60))


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        ([*range(1, 60), 59], r"holds number t\+1"),
        ([0, *range(59)], "holds number t-1"),
        (list(range(1, 60)), "59 of 60, the first is number 1"),
        ([*range(30), 31, 30, *range(32, 60)], "2 out of place"),
        ([], "0 of 60"),
    ],
)
def test_a_damaged_order_is_described(frames: list[int], words: str) -> None:
    found = storage.decoder([Reading("a shard", frames)], 60)
    assert found.status == "fail"
    assert words.replace("\\", "") in found.sentence


def test_an_unstable_decoder_is_found() -> None:
    numbers = list(range(60))
    assert storage.decoder([Reading("x", numbers, numbers)], 60).status == "pass"
    found = storage.decoder([Reading("the file", numbers, stable=False)], 60)
    assert "two reads from the file differ" in found.sentence.lower()
    found = storage.decoder([Reading("the file", numbers, [*range(1, 60), 59])], 60)
    assert "Sounds read from the file" in found.sentence


def test_differences_are_relative_to_the_spread() -> None:
    scale = np.array([0.0, 2.0])
    assert relative_difference(np.ones(2), np.ones(2), scale) == 0
    assert relative_difference(np.ones(2), np.ones(2) + 0.1, scale) == pytest.approx(0.1)
    infinite = np.array([-np.inf, 1.0])
    assert relative_difference(infinite, infinite, scale) == 0
    assert relative_difference(infinite, np.ones(2), scale) == np.inf
    assert relative_difference(np.ones(2), np.ones(3), scale) == np.inf
    assert relative_difference(np.array([np.nan]), np.ones(1), scale) == np.inf
    assert describe_difference(0.0) == "bit by bit"
    assert describe_difference(2e-6) == "up to 2e-06 of their spread"


def test_an_exception_is_explained_with_its_place() -> None:
    with pytest.raises(KeyError) as caught:
        {}["weights"]
    assert explain(caught.value).startswith("KeyError: 'weights' (test_selftest_checks.py:")
