"""Plain Parquet: one file per split and so many clips, with picture and sound inside.

Columns: ``key``, ``split``, ``video`` (an MP4, H.264, 25 fps), ``sound`` (FLAC, 16 kHz mono),
``mouth`` (an MP4 of the mouth alone, null where none was cut), ``num_frames``, ``offset`` (null
where it varies), ``alignment``, ``speaker``, ``text``, ``video_id``, ``source``, ``sync_offset``,
``sync_confidence`` and ``info``, all the rest as JSON.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from avbench.exporting import Target
from avbench.shards import Sample, ShardSet, to_json
from pipelines.pack import MOUTH

from .facts import facts_of

if TYPE_CHECKING:
    import pyarrow as pa

MOST_CLIPS = 500
MOST_BYTES = 2**28
"""A file is closed before it would hold more of either, one larger clip excepted."""
MEDIA = ("video", "sound", "mouth")
"""Columns of encoded pictures and sound."""


def schema() -> pa.Schema:
    """Return the columns and their types."""
    import pyarrow as pa

    columns = {
        "key": pa.string(),
        "split": pa.string(),
        "num_frames": pa.int32(),
        "offset": pa.int32(),
        "alignment": pa.list_(pa.int32()),
        "speaker": pa.string(),
        "text": pa.string(),
        "video_id": pa.string(),
        "source": pa.string(),
        "sync_offset": pa.float32(),
        "sync_confidence": pa.float32(),
        "info": pa.string(),
        "video": pa.binary(),
        "sound": pa.binary(),
        "mouth": pa.binary(),
    }
    return pa.schema([pa.field(name, kind) for name, kind in columns.items()])


class Parquet:
    """Writes Parquet files."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []
        self._split, self._number, self._bytes = "", 0, 0

    def add(self, sample: Sample, split: str, target: Target) -> None:
        """Take one clip; write a file whenever one is full."""
        mouth = sample.more.get(MOUTH)
        size = len(sample.video) + len(sample.sound) + len(mouth or b"")
        full = len(self._rows) >= MOST_CLIPS or self._bytes + size > MOST_BYTES
        if self._rows and (split != self._split or full):
            self._flush(target)
        if split != self._split:
            self._split, self._number = split, 0
        row = {**vars(facts_of(sample, split)), "info": to_json(sample.info)}
        self._rows.append({**row, "video": sample.video, "sound": sample.sound, "mouth": mouth})
        self._bytes += size

    def finish(self, shards: ShardSet, target: Target) -> None:
        """Write the last file."""
        if self._rows:
            self._flush(target)

    def _flush(self, target: Target) -> None:
        target.write(partial(_encoded, self._rows), f"{self._split}-{self._number:05d}.parquet")
        self._rows, self._bytes = [], 0
        self._number += 1


def _encoded(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return rows as a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    table = pa.Table.from_pylist(list(rows), schema())
    # Pictures and sound are packed already; small groups let a reader take one at a time.
    packed = {name: "none" if name in MEDIA else "zstd" for name in schema().names}
    pq.write_table(table, buffer, compression=packed, row_group_size=50)
    return buffer.getvalue()
