"""Hold the sync step of the pipeline to drawn programmes, whose truth is known.

    avbench synth --out shows --kind programme --videos 16 --pool val --seed 11 --shot-offsets 8
    avbench build-shards shows --out set --split val
    python benchmarks/sync_planted.py shows set [--false-keep 0.01]

Every measured track is looked up in the truth of its programme: the face whose box overlaps its own
most, in its shot. It is good where that face speaks what is heard, and bad where its mouth says
something else (dubbed), or nothing (somebody else speaks, or nobody). Two things are asked:

* how often the offset of a good track of two seconds and more is within a frame of the planted one;
* of the tracks that the calibrated threshold rejects, how many are bad (precision), and of the bad
  ones, how many are rejected (recall). Offsets are planted, so that none is held against a track:
  ``any`` accepts every offset inside the search, ``near`` those within 3 frames of the planted one,
  with the threshold that each of the two implies.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from avbench.data import FloatArray
from pipelines.sync import SEARCH, SyncSettings

NEAR = 3
TWO_SECONDS = 50


def overlap(a: FloatArray, b: FloatArray) -> float:
    """Return the mean intersection over union of boxes, frame by frame; shape (T, 4) each."""
    low, high = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])
    inside = np.prod(np.maximum(high - low, 0), axis=1)
    areas = [np.prod(x[:, 2:] - x[:, :2], axis=1) for x in (a, b)]
    return float(np.mean(inside / (areas[0] + areas[1] - inside)))


def truth_of(info: Mapping[str, Any], shots: list[dict[str, Any]]) -> tuple[str, int]:
    """Return what a track shows, and the offset planted in its shot."""
    start, stop = info["start"], info["stop"]
    shot = max(shots, key=lambda s: min(stop, s["stop"]) - max(start, s["start"]))
    first, last = max(start, shot["start"]), min(stop, shot["stop"])
    own = np.array(info["boxes"], np.float64)[first - start : last - start]
    faces = [np.array(face["boxes"])[first - shot["start"] :] for face in shot["faces"]]
    best = int(np.argmax([overlap(own, boxes[: len(own)]) for boxes in faces]))
    role = shot["faces"][best]["role"]
    if role == "silent":
        role = {"silent": "silent", "off-screen": "off-screen"}.get(shot["kind"], "listening")
    return role, int(shot["offset"])


def main() -> None:
    """Look every track up, and print what came of it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("videos", type=Path)
    parser.add_argument("shards", type=Path)
    parser.add_argument("--false-keep", type=float, default=0.01)
    asked = parser.parse_args()

    table = pd.read_parquet(asked.shards / "sync.parquet")
    facts = {path.stem: path for path in asked.shards.glob("work/facetracks/*/*-[0-9][0-9].json")}
    rows = []
    for row in table.to_dict("records"):
        truth = json.loads((asked.videos / f"{row['video_id']}.truth.json").read_text("utf-8"))
        role, offset = truth_of(json.loads(facts[row["key"]].read_text("utf-8")), truth["shots"])
        rows.append({**row, "role": role, "planted": offset})
    found = pd.DataFrame(rows)
    found["length"] = [len(frames) + 4 for frames in found["frame_confidence"]]
    found["error"] = (found["offset"] - found["planted"]).abs()
    good = found["role"] == "speaking"
    long = found[good & (found["length"] >= TWO_SECONDS)]
    summary: dict[str, Any] = {
        "tracks": {str(role): int(n) for role, n in found["role"].value_counts().items()},
        "offset_within_1": f"{int((long['error'] <= 1).sum())} of {len(long)}",
    }
    settings = {
        "any": SyncSettings("filter", asked.false_keep, correct=True),
        "near": SyncSettings("filter", asked.false_keep, max_offset=NEAR),
    }
    for name, chosen in settings.items():
        kept = (found["p_value"] <= chosen.largest_p) & ~found["at_edge"].astype(bool)
        kept &= (found["error"] <= NEAR) | (name == "any")
        kept &= found["offset"].abs() < SEARCH
        rejected = ~kept
        summary[name] = {
            "largest_p": round(chosen.largest_p, 4),
            "precision": f"{int((rejected & ~good).sum())} of {int(rejected.sum())}",
            "recall": f"{int((rejected & ~good).sum())} of {int((~good).sum())}",
            "good_kept": f"{int((kept & good).sum())} of {int(good.sum())}",
            "missed": found.loc[kept & ~good, ["key", "role", "p_value"]].to_dict("records"),
            "lost": found.loc[rejected & good, ["key", "length", "p_value", "error"]].to_dict(
                "records"
            ),
        }
    print(json.dumps(summary, indent=1, default=str))


if __name__ == "__main__":
    main()
