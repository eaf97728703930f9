"""Built sets with planted shots, tracks, scores and file names, for the tests of the pages."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "pipelines"))
from fake_facetracks import make_process, write_source

from avbench import media
from avbench.data import Alignment
from avbench.shards import Sample, ShardWriter, finish_set, write_json
from pipelines import sync
from pipelines.build import build

HOSTILE = '<img src=x onerror="window.owned=1">\'"&amp;<'
"""A folder that holds the file below, so that the path closes a script and opens another."""
HOSTILE_FILE = "script><script>window.owned=1<!--{{ 7 * 7 }}.mp4"
FILES = ("two-faces.mp4", "plain.mp4", "none-here.mp4", f"{HOSTILE}/{HOSTILE_FILE}")
SCORES: Mapping[str, Mapping[str, Any]] = {
    "two-faces-0000-00": {"offset": 2, "confidence": 0.5},
    "two-faces-0000-01": {"offset": -9, "confidence": 0.4},
    "plain-0000-00": {"offset": 0, "confidence": 0.3},
}
"""What is measured of the tracks; the others come out at confidence 0.01."""
BOX = [4.2, 6.8, 20.0, 28.0]
"""Where the face of every track is."""
REJECTED = [
    {"shot": 0, "start": 0, "stop": 4, "face": 50.5, "found": 0.75, "score": 0.6,
     "reason": "track-too-short"},
    {"shot": 1, "start": 40, "stop": 60, "face": 12.0, "found": 1.0, "score": None,
     "reason": f"face-too-small {HOSTILE}"},
]  # fmt: skip


def make(folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Path:
    """Build a set of four films and some junk with planted scores; return its folder."""
    source, out = folder / "films", folder / "set"
    for number, name in enumerate(FILES):
        write_source(source / name, seed=number, frames=60)
    (source / "junk.mp4").write_bytes(b"no video" * 50)
    (source / "notes.txt").write_text("notes")
    monkeypatch.setattr(sync, "embed", lambda info, folder, extractor, **seen: info)
    monkeypatch.setattr(sync, "measure", _measure)
    monkeypatch.setattr(sync, "pair_wrongly", lambda *of: {})
    monkeypatch.setattr(sync, "corrected", lambda rows, offset: {"offset": 0})
    chosen = {"engine": "local", "split": "test", "sync": "filter", "min_confidence": 0.12}
    chosen |= options
    build([source], out, process=_process(), **chosen)
    return out


def _process() -> Callable[..., Any]:
    inner = make_process()

    def process(path: Path, video_id: str, out: Path, settings: Any) -> Any:
        made = inner(path, video_id, out, settings)
        report = made.as_json()
        for track in report["tracks"]:
            facts = json.loads((out / f"{track['key']}.json").read_text())
            facts["boxes"] = [BOX] * (track["stop"] - track["start"])
            (out / f"{track['key']}.json").write_text(json.dumps(facts))
        report |= {
            "shots": [[0, 35], [38, 60]],
            "transitions": [[35, 38]],
            "rejected": REJECTED,
            "warnings": [f"something odd in {path.name}"],
        }
        return made

    return process


def _measure(info: Mapping[str, Any]) -> dict[str, Any]:
    planted = SCORES.get(info["key"], {"offset": 1, "confidence": 0.01})
    more = {"min_distance": 1.1, "windows": 41, "search": 15, "at_edge": False, "height": 9.0}
    return {**planted, **more, "wrong": []}


def make_bare(folder: Path) -> Path:
    """Write a set of two clips that nobody built: no ledger, no receipts, little said."""
    path = folder / "clip.mp4"
    with media.VideoWriter(path) as writer:
        for index in range(30):
            writer.write(np.full((64, 64, 3), 8 * index, np.uint8))
    sound = media.encode_sound(np.zeros(30 * 640, np.float32))
    out = folder / "bare"
    drifting = Alignment(np.minimum(np.arange(30), np.arange(30) // 2 + 5))
    with ShardWriter(out, "films", "test") as writer:
        for key, alignment in (("a-0", Alignment.from_offset(3, 30)), ("b-0", drifting)):
            writer.add(Sample(key, path.read_bytes(), sound, alignment, {}))
    finish_set(out, writer.shards, {"dataset": "films"})
    return out


def forget(out: Path, *names: str) -> None:
    """Remove parts of a built set."""
    import shutil

    for name in names:
        path = out / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def rewrite_ledger(out: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change every row of the ledger."""
    import pandas as pd

    records = pd.read_parquet(out / "ledger.parquet").to_dict("records")
    for record in records:
        change(record)
    pd.DataFrame(records).to_parquet(out / "ledger.parquet", index=False)


def plant_receipt(out: Path, video_id: str, **fields: Any) -> None:
    """Lay a receipt of other settings beside the right one, so that it sorts first."""
    folder = out / "work" / "facetracks" / f"{video_id}-{'0' * 20}"
    folder.mkdir()
    report = {"num_frames": 60, "tracks": [], "rejected": [], "shots": [[0, 60]], **fields}
    write_json(folder / "receipt.json", json.loads(json.dumps({"report": report})))
