"""``sync.parquet``: what was measured of every track of a set, kept or not, curves included."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path

from avbench.data import JSON
from avbench.shards import write_atomic

TABLE = "sync.parquet"


def write(out: Path, judged: Iterable[tuple[Mapping[str, JSON], Mapping[str, JSON], str]]) -> None:
    """Write one row per track, in key order; nothing where nothing was measured.

    Parameters
    ----------
    out
        Folder of the set.
    judged
        Key and frames of a track, what `pipelines.sync.judge` said, and why it is left out.

    Notes
    -----
    ``distances`` is the mean distance at every offset from ``-search`` to ``search``,
    ``frame_confidence`` one number per five-frame window. ``p_value`` is how often sound that does
    not belong scores so high. A track that could not be measured has a ``note`` and no numbers.
    ``winner`` is the key of the track that one of several faces was left out for.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = sorted(judged, key=lambda row: str(row[0]["key"]))
    if not rows:
        return
    kinds = {
        "offset": pa.int64(),
        "confidence": pa.float64(),
        "min_distance": pa.float64(),
        "height": pa.float64(),
        "p_value": pa.float64(),
        "at_edge": pa.bool_(),
        "correction": pa.int64(),
        "windows": pa.int64(),
        "search": pa.int64(),
        "note": pa.string(),
        "winner": pa.string(),
        "checkpoint": pa.string(),
        "distances": pa.list_(pa.float64()),
        "frame_confidence": pa.list_(pa.float64()),
    }
    columns: dict[str, pa.Array] = {
        "key": pa.array([track["key"] for track, _, _ in rows], pa.string()),
        "video_id": pa.array([_video_of(track["key"]) for track, _, _ in rows], pa.string()),
        "start": pa.array([track["start"] for track, _, _ in rows], pa.int64()),
        "stop": pa.array([track["stop"] for track, _, _ in rows], pa.int64()),
        "reason": pa.array([reason for *_, reason in rows], pa.string()),
    }
    for name, kind in kinds.items():
        columns[name] = pa.array([score.get(name) for _, score, _ in rows], kind)
    after = [score.get("corrected", {}).get("offset") for _, score, _ in rows]
    columns["offset_after"] = pa.array(after, pa.int64())
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    write_atomic(out / TABLE, buffer.getvalue())


def _video_of(key: str) -> str:
    """Return the id of a track's video: all but the numbers of shot and track."""
    return key.rsplit("-", 2)[0]
