from __future__ import annotations

import functools
import logging
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import simulated
from simulated import Simulated

from avbench import cache as caches
from avbench.benchmark import Outcome, evaluate
from avbench.cache import EmbeddingCache, Kept
from avbench.data import Embeddings, Item
from avbench.journal import Journal
from avbench.tasks import OffsetTask
from baselines.constant import Constant
from baselines.oracle import Oracle

TASK = OffsetTask(lengths=(11, 20), repeats=3)
DECODER = {"libavcodec": "1"}


class Source:
    """Items of simulated clips that count how often they are decoded."""

    def __init__(self, count: int = 8) -> None:
        self.clips = [simulated.clip(number, 40 + number) for number in range(count)]
        self.loaded: list[str] = []

    def items(self) -> list[Item]:
        def load(clip: Any) -> Any:
            self.loaded.append(clip.key)
            return clip

        return [
            Item(c.key, len(c), c.alignment, functools.partial(load, c), c.key, f"sha-{c.key}")
            for c in self.clips
        ]


def run(source: Source, *methods: Any, task: OffsetTask = TASK, **options: Any) -> Outcome:
    return evaluate(list(methods), source.items(), task, reference=None, **options)


def test_a_clip_is_decoded_once_and_embedded_once_ever(tmp_path: Path) -> None:
    source, cache = Source(), EmbeddingCache(tmp_path, DECODER)
    one, two, other = Simulated("one"), Simulated("two"), Simulated("other", noise=2.0)
    first = run(source, one, two, other, cache=cache)
    keys = [item.key for item in source.items()]
    assert source.loaded == keys
    again = run(source, one, two, other, cache=cache)
    assert source.loaded == keys
    assert (one.embedded, two.embedded, other.embedded) == (keys, [], keys)
    pd.testing.assert_frame_equal(first.predictions, again.predictions)
    assert first.scores == again.scores
    run(source, one, task=OffsetTask(lengths=(7, 13), repeats=5, search=4), cache=cache)
    assert source.loaded == keys
    pd.testing.assert_frame_equal(first.predictions, run(Source(), one, two, other).predictions)


def test_a_cached_answer_still_costs_what_it_cost(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path, DECODER)
    first = run(Source(), Simulated(), cache=cache)
    again = run(Source(), Simulated(), cache=cache)
    assert again.seconds["simulated"] > first.seconds["simulated"] / 3


def test_methods_that_look_at_nothing_decode_nothing() -> None:
    source = Source()
    outcome = run(source, Constant(), Oracle())
    assert not source.loaded
    right = outcome.predictions["predicted"] == outcome.predictions["offset"]
    assert right[outcome.predictions["method"] == "oracle"].all()


@pytest.mark.parametrize("what", ["clip", "extractor", "decoder", "code"])
def test_whatever_the_numbers_depend_on_makes_another_entry(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = Simulated()
    rows = Embeddings(np.zeros((3, 2), np.float32), np.ones((3, 2), np.float32))
    EmbeddingCache(tmp_path, DECODER).put("clip", method, Kept(rows, 1.5))
    found = EmbeddingCache(tmp_path, DECODER).get("clip", method)
    assert found is not None
    np.testing.assert_array_equal(found.rows.audio, rows.audio)
    assert found.seconds == 1.5
    if what == "extractor":
        method.extractor = "another"
    if what == "code":
        monkeypatch.setattr(caches, "_code_of", lambda module: "another")
    decoder = {"libavcodec": "2"} if what == "decoder" else DECODER
    key = "another" if what == "clip" else "clip"
    assert EmbeddingCache(tmp_path, decoder).get(key, method) is None


def test_a_damaged_entry_is_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache, method = EmbeddingCache(tmp_path, DECODER), Simulated()
    whole = run(Source(2), method, cache=cache)
    path = cache.path("sha-clip-0001", method)
    path.write_bytes(path.read_bytes()[:100])
    with caplog.at_level(logging.WARNING):
        again = run(Source(2), method, cache=cache)
    assert "is damaged" in caplog.text
    pd.testing.assert_frame_equal(whole.predictions, again.predictions)
    assert method.embedded == ["clip-0000", "clip-0001", "clip-0001"]


@pytest.mark.parametrize("workers", [2, 5])
def test_workers_change_nothing(workers: int, tmp_path: Path) -> None:
    one = run(Source(20), Simulated(), Constant())
    several = run(Source(20), Simulated(), Constant(), workers=workers)
    pd.testing.assert_frame_equal(one.predictions, several.predictions)
    assert one.scores == several.scores


def test_workers_do_work_side_by_side() -> None:
    meeting = threading.Barrier(3, timeout=20)

    class Meeting(Simulated):
        def embed(self, clip: Any) -> Embeddings:
            meeting.wait()
            return super().embed(clip)

    run(Source(3), Meeting(), workers=3)


def test_few_clips_are_held_at_a_time() -> None:
    source, ahead = Source(30), []

    def items() -> Any:
        for number, item in enumerate(source.items()):
            ahead.append(number - len(source.loaded))
            yield item

    evaluate([Simulated()], items(), TASK, reference=None, workers=2, batch_size=1)
    assert max(ahead) <= 2 * 2 + 1


def test_an_interruption_keeps_what_was_embedded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopping = Simulated()
    embed = stopping.embed

    def stop_at_the_fifth(clip: Any) -> Embeddings:
        if clip.key == "clip-0004":
            raise KeyboardInterrupt
        return embed(clip)

    monkeypatch.setattr(stopping, "embed", stop_at_the_fifth)
    cache = EmbeddingCache(tmp_path / "cache", DECODER)
    path = tmp_path / "journal.jsonl"
    with Journal(path, "same") as journal, pytest.raises(KeyboardInterrupt):
        run(Source(), stopping, Constant(), cache=cache, journal=journal)
    source, method = Source(), Simulated()
    with Journal(path, "same") as journal:
        assert len(journal) == 4, "answers that no cache holds"
        again = run(source, method, Constant(), cache=cache, journal=journal)
    assert source.loaded == [f"clip-{n:04d}" for n in range(4, 8)]
    whole = run(Source(), Simulated(), Constant())
    pd.testing.assert_frame_equal(again.predictions, whole.predictions)


def test_the_directory_is_the_user_s_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVBENCH_CACHE", "/somewhere")
    assert caches.default_directory() == Path("/somewhere")
    monkeypatch.delenv("AVBENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/else")
    assert caches.default_directory() == Path("/else/avbench/embeddings")
