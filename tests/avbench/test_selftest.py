"""The conformance suite passes sound methods and names what is wrong with broken ones."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import selftest_broken as broken
import selftest_zoo as zoo

from avbench import selftest
from avbench.data import Clip, Embeddings
from avbench.errors import DataError, UnknownName, UsageError
from avbench.selftest import material, process, stability
from avbench.selftest.outcome import attempt
from avbench.selftest.report import STATUSES, Finding, Report
from avbench.selftest.runner import SUITE

CLIPS = zoo.clips()


@pytest.fixture
def _no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer for fresh processes from this one, which is faster."""
    monkeypatch.setattr(process, "ask_child", attempt)


# What must fail, then words of the report that name what is wrong with it.
BROKEN: dict[type, tuple[str, str]] = {
    broken.SwappedSign: ("sign", "sign is swapped"),
    broken.NegatedAnswer: ("sign", "sign is swapped"),
    broken.OneHigh: ("bias", r"biased by \+1 \(1 frame too high"),
    broken.TwoLow: ("bias", r"biased by -2 \(2 frames too low"),
    broken.HalfFrame: ("one-sided", "one frame too low"),
    broken.Reluctant: ("shift", r"moves the answer by k in 40%"),
    broken.SeesNext: ("locality", r"row t sees picture t\+0 .. t\+5 and sound t\+0 .. t\+5"),
    broken.NormalisesClip: ("locality", r"differ from the slice .* \(sound"),
    broken.NormalisesBatch: ("batches", "depend on the windows compared with it"),
    broken.GuessesAlike: ("skill", "cannot be told from guessing"),
    broken.OneStream: ("skill", "cannot be told from guessing"),
    broken.WritesSound: ("inputs", "the sound given to predict"),
    broken.WritesRows: ("inputs", "the sound given to compare"),
    broken.ReadsAlignment: ("truth", "depends on the truth"),
    broken.ReadsMeta: ("truth", "depends on the truth"),
    zoo.NeedsTruth: ("truth", "gives none without"),
    broken.KnowsNames: ("key", "name of the clip"),
    broken.FollowsMemory: ("unrelated", "picture and sound do not belong together"),
    broken.NotANumber: ("embed", "hold .* NaN or inf"),
    broken.PadsRows: ("embed", r"have shape \(58, 40\), expected \(57, D\)"),
    broken.LacksColumn: ("compare", r"shape \(3, 10\), expected \(3, 11\)"),
    broken.PredictsElsewise: ("compare", "predict answers 1, embed and compare 0"),
    broken.WrongKey: ("predict", "has key 'clip'"),
    broken.WrongLength: ("predict", "aligns 5 audio frames"),
    broken.ReturnsNumber: ("predict", "returned int"),
    zoo.SharesBuffer: ("threads", "threads at once give other results"),
    broken.Counts: ("repeats", "does not give the same result again"),
    broken.LastClip: ("order", "reverse order"),
    broken.UnseededLoad: ("process", "Two loads of the same method"),
    broken.RandomName: ("process", "another extractor id"),
    broken.NormalisesAll: ("locality", "sees picture all through the clip"),
    broken.ReadsRaw: ("layout", "float64 sound"),
    broken.AlwaysSure: ("confidence", "is 1 for everything"),
    broken.SureOfNonsense: ("confidence", "in 0% of the pairs"),
    broken.Collapsed: ("skill", r"answers \+0 to everything, although its confidence varies"),
    broken.DiesOfSilence: ("survives", "silence: ZeroDivisionError: division by the loudness"),
    broken.DislikesOne: (
        "failures",
        r"99 of 792 .*: no face found \(selftest_broken.py:",
    ),
    broken.FixedSearch: ("search", "With search=3 it must score 7 offsets; it gives 11"),
    broken.NoSearch: ("names", "load takes no search"),
    broken.Misquoted: ("names", "braces do not match"),
    broken.HearsAskew: ("outside", "With 5 rows of sound on either side, 4% of windows"),
    broken.FeignsBlindness: ("blind", "4 of 4 answers change without picture and sound"),
    broken.DropsFirst: ("decoder", r"own decode: .*t\+1"),
    broken.ClaimsAnySync: ("click-and-flash", "declares any_sync"),
}
# What must be warned of, with nothing failing, then words of the report.
DOUBTFUL: dict[type, tuple[str, str]] = {
    zoo.DoublePrecision: ("embed", "float64, expected float32"),
    zoo.Swallows: ("not-a-number", "NaN gets an answer with a finite confidence"),
    zoo.Trembles: ("repeats", "the same only up to .* of their spread"),
    zoo.Blunt: ("shortest", "1 frame, ends in 'IndexError: index 4 is out of bounds"),
    zoo.LongOnly: ("shortest", "no window below 21 frames"),
    zoo.GlobalNoise: ("settings", "global random numbers of NumPy"),
    zoo.Talkative: ("warnings", "FutureWarning: this will go"),
    zoo.Uncited: ("names", "nobody who uses it can cite it"),
    zoo.Drifting: ("predict", "not a constant offset"),
    zoo.Strict: ("layout", "cannot take float64 sound: TypeError"),
}
SOUND = (zoo.Sound, zoo.Plain, zoo.Locked, zoo.Declared, zoo.NeverSure, zoo.Hears)


@pytest.mark.usefixtures("_no_child")
@pytest.mark.parametrize("cls", BROKEN, ids=lambda cls: cls.__name__)
def test_a_broken_method_is_caught_for_its_own_reason_only(cls: type) -> None:
    name, words = BROKEN[cls]
    report = selftest.run(cls(), clips=CLIPS)
    assert report.failed == [name], report.to_text()
    assert not report.ok
    found = report[name]
    assert re.search(words, found.sentence, re.IGNORECASE), found.sentence
    assert found.remedy
    assert found.cause


@pytest.mark.usefixtures("_no_child")
@pytest.mark.parametrize("cls", DOUBTFUL, ids=lambda cls: cls.__name__)
def test_a_doubtful_method_is_warned_of(cls: type) -> None:
    name, words = DOUBTFUL[cls]
    report = selftest.run(cls(), clips=CLIPS)
    assert (report.failed, report.warned) == ([], [name]), report.to_text()
    assert re.search(words, report[name].sentence), report[name].sentence
    assert report[name].remedy


@pytest.mark.usefixtures("_no_child")
@pytest.mark.parametrize("cls", SOUND, ids=lambda cls: cls.__name__)
def test_a_sound_method_passes_without_a_warning(cls: type) -> None:
    report = selftest.run(cls(), clips=CLIPS)
    assert (report.failed, report.warned) == ([], []), report.to_text()
    assert report["skill"].status == "pass"


@pytest.mark.usefixtures("_no_child")
def test_unseeded_guesses_are_found_to_be_random_and_useless() -> None:
    report = selftest.run(broken.Guesses(), clips=CLIPS)
    assert report.failed == ["repeats", "skill"], report.to_text()
    # What randomness alone would break is not held against it as well.
    for name in ("order", "key", "layout", "threads", "process", "stored"):
        assert report[name].sentence == "Not asked: mend repeats first."
    assert report["sign"].status == "not-applicable"


@pytest.mark.usefixtures("_no_child")
def test_clips_with_an_offset_of_their_own_are_as_good() -> None:
    displaced = [zoo.clip(number, 100, offset=number - 3) for number in range(8)]
    assert selftest.run(zoo.Sound(), clips=displaced).failed == []
    assert selftest.run(broken.OneHigh(), clips=displaced).failed == ["bias"]


@pytest.mark.usefixtures("_no_child")
@pytest.mark.parametrize("search", [1, 2, 12])
def test_any_search_range_can_be_tested(search: int) -> None:
    report = selftest.run(zoo.Sound(search), clips=CLIPS, options={"search": search})
    assert report.failed == [], report.to_text()
    assert report.about["search"] == search
    assert report["shift"].measured["holds"] > 0.9


@pytest.mark.usefixtures("_no_child")
def test_clips_too_short_for_the_search_range_are_refused() -> None:
    with pytest.raises(DataError, match=r"shorter than 136 frames.*give longer clips"):
        selftest.run(zoo.Plain(48), clips=CLIPS)
    with pytest.raises(DataError, match=r"0 of 3 clips have a known constant offset"):
        selftest.run(zoo.Plain(), clips=[zoo.clip(number, 40) for number in range(3)])


def test_a_fresh_process_loads_the_method_and_agrees() -> None:
    report = selftest.run(zoo.Sound(4), clips=CLIPS[:4], options={"search": 4})
    assert report["process"].status == "pass", report.to_text()


def test_a_fresh_process_that_disagrees_is_noticed() -> None:
    report = selftest.run(broken.ProcessSeed(), clips=CLIPS)
    assert report.failed == ["process"], report.to_text()
    assert "A fresh process does not give the same as this one: up to" in report["process"].sentence


def test_the_complaint_of_a_fresh_process_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if "avbench" not in entry[-7:]])
    report = selftest.run(zoo.Plain(), clips=CLIPS[:4])
    assert report["process"].status == "fail"
    assert "ModuleNotFoundError: No module named 'selftest_zoo'" in report["process"].sentence


@pytest.mark.usefixtures("_no_child")
def test_a_method_trained_in_memory_is_not_held_against_its_load() -> None:
    method = zoo.Sound()
    method.gain = 3.0
    report = selftest.run(method, clips=CLIPS)
    assert report.failed == []
    assert report["process"].status == "not-applicable"
    assert "save it, and give selftest.run the checkpoint" in report["process"].remedy
    report = selftest.run(zoo.NeedsFile(), clips=CLIPS)
    assert report.failed == []
    for name in ("search", "process"):
        assert "cannot be loaded again: there is no checkpoint" in report[name].sentence


def test_a_class_that_no_process_can_import_is_not_held_against_it() -> None:
    class Local(zoo.Plain):
        pass

    report = selftest.run(Local(), clips=CLIPS[:4])
    assert report["process"].status == "not-applicable"
    assert "defined in a script or a function" in report["process"].sentence


def test_a_constant_is_a_floor_not_a_fault() -> None:
    report = selftest.run("constant", clips=CLIPS)
    assert (report.failed, report.warned) == ([], ["skill"])
    assert "answers +0 to everything: a floor" in report["skill"].sentence
    assert report["sign"].status == report["confidence"].status == "not-applicable"
    other = selftest.run("constant", options={"offset": 3}, clips=CLIPS)
    assert "answers +3" in other["skill"].sentence


def test_the_oracle_is_a_ceiling_not_a_cheat() -> None:
    report = selftest.run("oracle", clips=CLIPS)
    assert (report.failed, report.warned) == ([], [])
    assert report["truth"].status == report["unrelated"].status == "not-applicable"
    assert "declares sees_truth" in report["truth"].sentence
    assert report["skill"].measured["exact"] == 1.0
    assert report["click-and-flash"].status == "pass"


def test_a_method_that_cannot_be_made_is_the_callers_matter() -> None:
    with pytest.raises(UnknownName, match="sync-clz"):
        selftest.run("sync-clz")
    with pytest.raises(UsageError, match="no parameters to read"):
        selftest.run("constant", checkpoint=Path("weights"))


@pytest.mark.usefixtures("_no_child")
def test_without_espeak_only_what_needs_speech_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    needy = ("sign", "skill", "confidence", "stored")
    report = selftest.run(broken.SeesNext(), heads=2, only=("locality", *needy))
    assert report.failed == ["locality"], report.to_text()
    assert "no espeak-ng" in str(report.about["material"])
    for name in needy:
        assert report[name].status == "not-applicable"
        assert "pip install 'avbench[synth]'" in report[name].sentence


@pytest.mark.usefixtures("_no_child")
def test_the_report_says_it_in_words_and_in_json(tmp_path: Path) -> None:
    report = selftest.run(broken.SwappedSign(), clips=CLIPS)
    text = report.to_text()
    assert max(map(len, text.splitlines())) <= 100
    assert text.startswith("Self-test of zoo on 8 given clips")
    assert "FAIL  sign" in text
    after = text[text.index("FAIL  sign") :]
    for part in ("Measured: nearer +k", "Usual cause:", "Remedy: offset = video index - audio"):
        assert part in after
    assert "1 failed" in text
    assert "mend sign" in text
    stored = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert stored["failed"] == ["sign"]
    assert {finding["status"] for finding in stored["findings"]} <= set(STATUSES)
    assert [f["name"] for f in stored["findings"]] == [*(check.name for check in SUITE), "warnings"]
    assert len({check.name for check in SUITE}) == len(SUITE)


@pytest.mark.usefixtures("_no_child")
def test_single_checks_bring_what_they_rest_on() -> None:
    report = selftest.run(broken.OneHigh(), clips=CLIPS, only=["bias", "threads"])
    assert report.failed == ["bias"]
    ran = [finding.name for finding in report.findings]
    assert ran == [
        *("inputs", "truth", "embed", "compare", "predict", "repeats", "order", "threads"),
        *("bias", "warnings"),
    ]
    with pytest.raises(UnknownName, match=r"Unknown check 'bais'. Did you mean 'bias'"):
        selftest.run(zoo.Sound(), clips=CLIPS, only=["bais"])


@pytest.mark.usefixtures("_no_child")
def test_slow_methods_can_be_asked_less() -> None:
    report = selftest.run(broken.NegatedAnswer(), clips=CLIPS, windows=1)
    assert report.failed == ["sign"], report.to_text()
    assert report["failures"].measured["questions"] == 3 * 8 * 11
    with pytest.raises(UsageError, match="heads = 1"):
        selftest.run(zoo.Sound(), heads=1)


@pytest.mark.usefixtures("_no_child")
def test_clips_of_different_length_are_used_as_far_as_they_go() -> None:
    mixed = [zoo.clip(number, 61 + 9 * number) for number in range(8)]
    report = selftest.run(zoo.Sound(8), clips=mixed, options={"search": 8})
    assert (report.failed, report.warned) == ([], []), report.to_text()
    assert report["reversal"].status == "pass"


def test_checks_that_explain_others_come_before_them() -> None:
    place = {check.name: number for number, check in enumerate(SUITE)}
    for check in SUITE:
        for name in check.after:
            assert place[name] < place[check.name]


def test_a_report_knows_its_findings() -> None:
    report = Report("m", {}, (Finding("a", "pass", "Fine."), Finding("b", "warn", "Hm.")))
    assert report.ok
    assert report["a"].sentence == "Fine."
    assert report.warned == ["b"]
    odd = {"difference": float("inf"), "area": np.float64("nan"), "count": np.int64(3)}
    stored = Report("m", {}, (Finding("a", "pass", "Fine.", odd),)).to_json()
    assert json.loads(json.dumps(stored, allow_nan=False))["findings"][0]["measured"] == {
        "difference": "inf",
        "area": "nan",
        "count": 3,
    }
    with pytest.raises(KeyError, match="no check is called 'c'"):
        report["c"]
    with pytest.raises(ValueError, match="got status 'good'"):
        Finding("a", "good", "Fine.")  # type: ignore[arg-type]


@pytest.mark.usefixtures("_no_child")
def test_a_method_that_raises_in_a_check_is_a_finding_with_its_place() -> None:
    class Moody(zoo.Sound):
        def embed(self, clip: Clip) -> Embeddings:
            if len(clip) == 20:
                raise SystemError("not today")
            return super().embed(clip)

    report = selftest.run(Moody(), clips=CLIPS)
    assert report.failed == ["locality"]
    assert "SystemError: not today (test_selftest.py:" in report["locality"].sentence


@pytest.mark.usefixtures("_no_child")
def test_a_fault_of_the_suite_is_not_blamed_on_the_method(monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(*_: object) -> Finding:
        raise LookupError("a bug in a check")

    monkeypatch.setattr(stability, "order", faulty)
    with pytest.raises(LookupError, match="a bug in a check"):
        selftest.run(zoo.Sound(), clips=CLIPS)


def test_drawn_heads_are_synced_crops_that_repeat() -> None:
    drawn = material.drawn_heads(count=1)
    again = material.drawn_heads(count=1)
    (clip,) = drawn.clips
    assert drawn.drawn
    assert not drawn.missing
    assert clip.frames.shape == (150, 224, 224, 3)
    assert clip.alignment is not None
    assert clip.alignment.offset == 0
    assert (clip.frames == again.clips[0].frames).all()
    assert (clip.audio == again.clips[0].audio).all()
    assert len(material.drawn_heads(search=40, count=1).clips[0]) == 180


def test_unrelated_clips_have_the_sound_of_another() -> None:
    made = material.unrelated(tuple(CLIPS[:3]))
    for number, clip in enumerate(made):
        assert (clip.frames == CLIPS[number].frames).all()
        assert (clip.audio == CLIPS[(number + 1) % 3].audio).all()


@pytest.mark.parametrize("offset", [-4, 0, 3])
def test_a_window_played_backwards_has_the_opposite_offset(offset: int) -> None:
    turned = material.backwards(material.cut(CLIPS[0], 10, 30, offset))
    assert turned.alignment is not None
    assert turned.alignment.offset == -offset
    assert zoo.Sound().predict(turned).offset == -offset


@pytest.mark.parametrize("offset", [-3, 0, 3])
def test_the_click_is_heard_as_early_as_the_flash_says(offset: int) -> None:
    clip = material.flash(40, offset, (8, 8))
    white = int(clip.frames.mean(axis=(1, 2, 3)).argmax())
    loud = int((clip.audio.reshape(40, 640) ** 2).sum(axis=1).argmax())
    assert white - loud == offset
    assert clip.alignment is not None
    assert clip.alignment.offset == offset
