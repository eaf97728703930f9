"""The data card: a shard set described for people, as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from avbench.data import JSON
from avbench.shards import ShardInfo, write_atomic
from avbench.timing import FPS, FRAME_S

from .ledger import Row, funnel, rejections

if TYPE_CHECKING:
    import pandas as pd


def hours(frames: int) -> str:
    """Return a length as text.

    >>> hours(25), hours(25 * 5400)
    ('1.0 s', '1.50 h')
    """
    seconds = frames / FPS
    return f"{seconds / 3600:.2f} h" if seconds >= 3600 else f"{seconds:.1f} s"


def split_rows(written: Sequence[ShardInfo]) -> list[tuple[str, int, str, int]]:
    """Return name, clips, length and shards of every split."""
    rows = []
    for split in dict.fromkeys(info.split for info in written):
        own = [info for info in written if info.split == split]
        clips, frames = sum(info.samples for info in own), sum(info.frames for info in own)
        rows.append((split, clips, hours(frames), len(own)))
    return rows


def split_lines(written: Sequence[ShardInfo]) -> list[str]:
    """Return one line of totals per split."""
    return [
        f"{split}: {clips} clips, {length}, shards: {shards}"
        for split, clips, length, shards in split_rows(written)
    ]


def histogram(values: pd.Series[float]) -> list[tuple[int, int]]:
    """Return how often each whole number occurs, in order, leaving out what is missing."""
    counts = Counter(int(value) for value in values.dropna())
    return sorted(counts.items())


def write(
    out: Path,
    recipe: Mapping[str, JSON],
    written: Sequence[ShardInfo],
    rows: Sequence[Row],
    skipped: Mapping[str, int],
) -> None:
    """Write ``README.md`` beside the shards."""
    import pandas as pd

    index = pd.concat(
        [pd.read_parquet(out / Path(info.name).with_suffix(".parquet")) for info in written],
        ignore_index=True,
    )
    parts = [
        *_head(recipe, written, rows),
        *_yield(rows, skipped),
        *_faults(recipe, index),
        *_sync(recipe, index),
        *_settings(recipe),
    ]
    write_atomic(out / "README.md", ("\n".join(parts) + "\n").encode())


def _head(
    recipe: Mapping[str, JSON], written: Sequence[ShardInfo], rows: Sequence[Row]
) -> list[str]:
    roots = ", ".join(sorted({f"`{row.source}`" for row in rows if row.clips}))
    return [
        f"# {recipe['dataset']}",
        "",
        "Face crops with their sound, made by `avbench build-shards`: 25 fps pictures of one face,",
        "16 kHz mono sound, and the truth about how they belong together.",
        f"Cut out of {sum(row.clips > 0 for row in rows)} videos from {roots}.",
        "",
        "No licence to the pictures or the sound is given by this tool: the rights of the sources,",
        "and of the people seen and heard in them, hold for every clip.",
        "",
        "## Splits",
        "",
        "| split | clips | length | shards |",
        "|---|---|---|---|",
        *("| {} | {} | {} | {} |".format(*row) for row in split_rows(written)),
        "",
        _how_split(recipe["split"]),
        "",
        "## Reading",
        "",
        "```python",
        "from pathlib import Path",
        "from avbench.shards import read_clips",
        f'for clip in read_clips(Path("."), split="{written[0].split}"):',
        "    print(clip.key, clip.frames.shape, clip.audio.shape, clip.alignment.offset)",
        "```",
        "",
    ]


def _how_split(split: Mapping[str, JSON]) -> str:
    if split["by"] == "list":
        return f"As the list {split['shares']} says (SHA-256 {split['sha256']})."
    if split["by"] == "date":
        spans = (f"{name} {first} to {last}" for name, (first, last) in split["periods"].items())
        return f"By the day of the recording ({split['shares']}): {', '.join(spans)}."
    if "/" not in split["shares"]:
        return f"Everything was put into {split['shares']} by request."
    return (
        f"Chosen by {split['by']} from a hash of seed {split['seed']} and its name; "
        f"{split['shares']} on average."
    )


def _yield(rows: Sequence[Row], skipped: Mapping[str, int]) -> list[str]:
    return [
        "## Yield",
        "",
        "Every file and frame that came in (`ledger.parquet` has a row per file):",
        "",
        "```",
        *funnel(rows, skipped),
        *rejections(rows),
        "```",
        "",
    ]


def _faults(recipe: Mapping[str, JSON], index: pd.DataFrame) -> list[str]:
    kind = recipe["distortion"]["kind"]
    lines = ["## Synthetic faults", ""]
    if kind == "none":
        return [*lines, "None: clips are as the sources are; their label is offset 0.", ""]
    details = ", ".join(f"{name} {value}" for name, value in recipe["distortion"].items())
    lines += [f"Drawn from the seed and the key of each clip: {details}.", ""]
    if kind == "global":
        lines += ["Offset in frames (positive: the sound comes early):", ""]
        lines += _table("offset", histogram(index["offset"]))
    return lines


def _sync(recipe: Mapping[str, JSON], index: pd.DataFrame) -> list[str]:
    mode = recipe["sync"]["mode"]
    lines = ["## Sync as measured before any fault", ""]
    if mode == "off":
        return [*lines, "Not measured: whether the sources are in sync is not known.", ""]
    lines += [
        f"By SyncNet, checkpoint file `{recipe['sync_checkpoint'][:16]}`; mode {mode}.",
        "The shipped checkpoint was trained on drawn faces and judges those; on photographed faces",
        "its numbers are a hint, not a verdict.",
        "",
    ]
    lines += _table("measured offset", histogram(index["sync_offset"]))
    confidence = index["sync_confidence"].dropna()
    if len(confidence):
        low, middle, high = confidence.quantile([0.1, 0.5, 0.9])
        lines += [
            f"Confidence: median {middle:.3f}, 10 % below {low:.3f}, 10 % above {high:.3f}.",
            "",
        ]
    notes = index.loc[index["sync_note"] != "", "sync_note"].value_counts().sort_index()
    lines += [f"- {count} clips: {note}" for note, count in notes.items()]
    return lines


def _table(name: str, rows: Sequence[tuple[int, int]]) -> list[str]:
    body = [f"| {value:+d} | {count} |" for value, count in rows]
    return [f"| {name} | clips |", "|---|---|", *body, ""]


def _settings(recipe: Mapping[str, JSON]) -> list[str]:
    lines = ["", "## Settings", "", f"One frame lasts {1000 * FRAME_S:.0f} ms.", ""]
    lines += ["| setting | value |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in _flat(recipe["facetracks"])]
    versions = ", ".join(f"{name} {value}" for name, value in recipe["decoder"].items())
    return [*lines, "", f"avbench {recipe['avbench']}; {versions}."]


def _flat(settings: Mapping[str, JSON], prefix: str = "") -> list[tuple[str, JSON]]:
    pairs: list[tuple[str, JSON]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            pairs += _flat(value, f"{prefix}{name}.")
        else:
            pairs.append((prefix + name, value))
    return pairs
