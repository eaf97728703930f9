"""A folder that Hugging Face ``datasets`` loads: videos by split, ``metadata.parquet``, a card.

``load_dataset("videofolder", data_dir=DIR)`` finds the splits by the names of their folders and
the columns in each folder's metadata, whose ``file_name`` names the video. A video holds picture
and sound as they are stored; the sound is FLAC inside MP4. Where mouths were cut, a second column,
``mouth_file_name``, names the video of the mouth alone, which ``datasets`` loads as ``mouth``.
"""

from __future__ import annotations

import io
from collections import defaultdict
from functools import partial
from typing import Any

from avbench import media
from avbench.errors import DataError
from avbench.exporting import Target
from avbench.shards import Sample, ShardSet
from pipelines.pack import MOUTH

from .facts import facts_of
from .parquet import MEDIA, schema

FOLDERS = {"val": "validation"}
"""Split -> folder, where ``datasets`` calls it otherwise."""
LEFT_OUT = ("info", *MEDIA, "split")
"""Columns of the Parquet form that this one has not."""


class HuggingFace:
    """Writes a folder for ``datasets``."""

    def __init__(self) -> None:
        self._rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._mouths: bool | None = None
        """Whether clips have mouths, once one was seen."""

    def add(self, sample: Sample, split: str, target: Target) -> None:
        """Write one video with its sound, and its mouth where one was cut.

        Raises
        ------
        DataError
            If some clips have a mouth and others have none: ``datasets`` takes a video in every
            row or in none.
        """
        mouth = sample.more.get(MOUTH)
        if self._mouths not in (None, mouth is not None):
            raise DataError(
                f"{sample.key} has {'a' if mouth else 'no'} mouth crop, other than the clips "
                "before it, and datasets cannot load a column that is empty in some rows; "
                "build the set with one --crop, or export --to parquet"
            )
        self._mouths = mouth is not None
        folder = FOLDERS.get(split, split)
        name = f"{sample.key}.mp4"
        target.write(partial(media.join, sample.video, sample.sound), folder, name)
        facts = vars(facts_of(sample, split))
        row = {column: value for column, value in facts.items() if column not in LEFT_OUT}
        if mouth is not None:
            target.write(lambda: mouth, folder, "mouth", name)
            row = {"mouth_file_name": f"mouth/{name}", **row}
        # First of all: datasets gives the first name to whichever video it comes to first.
        self._rows[folder].append({"file_name": name, **row})

    def finish(self, shards: ShardSet, target: Target) -> None:
        """Write the metadata of every split, and the card."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        names = ("file_name", "mouth_file_name") if self._mouths else ("file_name",)
        columns = [pa.field(name, pa.string()) for name in names]
        columns += [column for column in schema() if column.name not in LEFT_OUT]
        for folder, rows in sorted(self._rows.items()):
            buffer = io.BytesIO()
            pq.write_table(pa.Table.from_pylist(rows, pa.schema(columns)), buffer)
            target.write(buffer.getvalue, folder, "metadata.parquet")
        counts = {folder: len(rows) for folder, rows in sorted(self._rows.items())}
        target.write(card(shards, counts, bool(self._mouths)).encode, "README.md")


def card(shards: ShardSet, counts: dict[str, int], mouths: bool) -> str:
    """Return the card: what ``datasets`` and its hub read, then what people read."""
    recipe = shards.manifest["recipe"]
    corpus = recipe.get("corpus") or {}
    total = sum(counts.values())
    size = next(name for most, name in _SIZES if total < most)
    lines = [
        "---",
        f"pretty_name: {shards.name}",
        "license: other",
        "license_name: that-of-the-sources",
        "task_categories:",
        "- other",
        "tags:",
        "- lip-sync",
        "- audio-visual",
        "- video",
        "size_categories:",
        f"- {size}",
        "configs:",
        "- config_name: default",
        "  drop_labels: true",
        "  data_files:",
    ]
    for folder in counts:
        lines += [f"  - split: {folder}", f"    path: {folder}/**"]
    lines += [
        "---",
        "",
        f"# {shards.name}",
        "",
        "Face crops with their sound, exported by avbench: 25 fps pictures of one face, and 16 kHz",
        "mono sound as FLAC in the same file. `offset` is video index minus audio index in frames",
        "of 40 ms (positive: the sound is early); `alignment` is the video frame that belongs to",
        "each 40 ms of sound.",
        *(["", "`mouth` shows the mouth alone, frame by frame with the face."] if mouths else []),
        "",
        "| split | clips |",
        "|---|---|",
        *(f"| {folder} | {count} |" for folder, count in counts.items()),
        "",
        "No licence to the pictures or the sound is given: the rights of the sources, and of the",
        "people seen and heard in them, hold for every clip.",
    ]
    if corpus:
        lines += ["", f"From {corpus['title']}. {corpus['licence']} To cite: {corpus['cite']}."]
    if shards.synthetic:
        lines += ["", "The people are drawn: numbers on them say nothing of recorded people."]
    return "\n".join(lines) + "\n"


_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (float("inf"), "n>1M"),
)
