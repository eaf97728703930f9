"""The same sentence by several speakers: same phones, own times, own faces, truth beside it."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from avbench.cli import main
from avbench.errors import UsageError
from avbench.redub import pairs_of, read_recordings
from avbench.redub.truth import frame_map, read_planted
from avbench.synthetic import redub
from avbench.synthetic.mouth import visemes_of
from avbench.synthetic.plan import Recipe
from avbench.synthetic.voice import Speech

SPEAKERS = (0, 1, 2)


def recipe(index: int, **options: object) -> Recipe:
    return Recipe("redub", index, 3, "test", "easy-v1", 1.5, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def spoken() -> list[Speech]:
    return [redub.say(recipe(speaker)) for speaker in SPEAKERS]


def test_speakers_say_the_same_phones_each_in_their_own_time(spoken: list[Speech]) -> None:
    names = [tuple(p.name for p in one.phones if p.name != "_") for one in spoken]
    assert len(set(names)) == 1
    assert len(names[0]) > 8
    assert len({one.text for one in spoken}) == 1
    assert len({len(one.audio) for one in spoken}) > 1
    other = redub.say(recipe(redub.SPEAKERS))
    assert other.text != spoken[0].text
    assert redub.say(recipe(0)).phones == spoken[0].phones


def test_tempo_wanders_about_the_speed_of_the_speaker() -> None:
    drawn = [redub.tempo(170, 14, np.random.default_rng(seed)) for seed in range(400)]
    faster = np.log(np.array(drawn) / 170)
    assert np.abs(faster.mean(axis=1)).max() < 0.03  # as long in the whole as at an even tempo
    assert 0.2 < faster.std(axis=1).mean() < redub.TEMPO
    beside, apart = (np.mean(faster[:, :-k] * faster[:, k:]) for k in (1, 5))
    assert beside > 0.2 * np.mean(faster**2) > apart
    assert len(redub.tempo(170, 1, np.random.default_rng(0))) == 1


def test_speakers_are_ahead_in_one_word_and_behind_in_another(spoken: list[Speech]) -> None:
    said = [[p.stop_s - p.start_s for p in one.phones if p.name != "_"] for one in spoken]
    ratios = np.log(np.array(said[0]) / np.array(said[1]))
    assert ratios.min() < -0.1
    assert ratios.max() > 0.1


def test_phones_tile_the_recording_and_are_heard_when_they_are_said(spoken: list[Speech]) -> None:
    for one in spoken:
        assert len(one.audio) % 640 == 0
        assert one.phones[0].start_s == 0
        assert one.phones[-1].stop_s == pytest.approx(len(one.audio) / 16000)
        for phone, after in zip(one.phones, one.phones[1:], strict=False):
            assert phone.stop_s == pytest.approx(after.start_s, abs=1e-4)
            visemes_of(phone.name)
        first, last = one.phones[0].stop_s, one.phones[-1].start_s
        quiet = np.concatenate(
            [one.audio[: int(first * 16000)], one.audio[int(last * 16000) + 640 :]]
        )
        assert np.abs(quiet).max() == 0
        assert np.abs(one.audio).max() > 0.1


def test_ten_speakers_have_ten_voices_and_keep_them(spoken: list[Speech]) -> None:
    found = redub.voices(3, "test")
    assert len({voice.variant for voice in found}) == redub.SPEAKERS == 10
    assert {voice.accent for voice in found} == {redub.ACCENT}
    assert {voice.pool for voice in found} == {"test"}
    assert [redub.speaker_of(index) for index in (0, 9, 10, 13)] == [0, 9, 0, 3]
    assert [redub.sentence_of(index) for index in (0, 9, 10, 13)] == [0, 0, 1, 1]


def test_an_offset_is_refused() -> None:
    with pytest.raises(UsageError, match="a redub has no offset"):
        recipe(0, offset=2)


def test_the_corpus_lists_who_says_what_and_its_truth_maps_pictures_to_voices(
    tmp_path: Path,
) -> None:
    words = ("synth", "--kind", "redub", "--videos", "2", "--seconds", "1", "--preset", "easy-v1")
    made = []
    for name in ("a", "b"):
        out = tmp_path / name
        done = CliRunner().invoke(main, [*words, "--pool", "test", "--out", str(out)])
        assert done.exit_code == 0, done.output
        made.append({p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in out.iterdir()})
    assert made[0] == made[1]
    recordings = read_recordings(tmp_path / "a" / "recordings.csv")
    assert [pair.name for pair in pairs_of(recordings)] == [
        "speaker-0>speaker-1:sentence-0",
        "speaker-1>speaker-0:sentence-0",
    ]
    with (tmp_path / "a" / "split.csv").open(encoding="utf-8") as file:
        assert len({row["speaker"] for row in csv.DictReader(file)}) == 2
    one, two = (
        read_planted((tmp_path / "a" / r.file).with_suffix(".truth.json")) for r in recordings
    )
    shown = frame_map(one, two)
    assert len(shown) == len(two)
    retimed = np.corrcoef(one.height[shown], two.height)[0, 1]
    common = min(len(one), len(two))
    as_is = np.corrcoef(one.height[:common], two.height[:common])[0, 1]
    assert retimed > 0.85
    assert retimed > as_is
    corpus = json.loads((tmp_path / "a" / "corpus.json").read_text("utf-8"))
    assert corpus["seconds"] == pytest.approx((len(one) + len(two)) / 25, abs=1e-3)
