"""The data card: a shard set described for people, as Markdown."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from avbench.census import Census, take
from avbench.data import JSON
from avbench.shards import ShardInfo, ShardSet, write_atomic
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


def _census(out: Path, recipe: Mapping[str, JSON], written: Sequence[ShardInfo]) -> Census:
    return take(ShardSet(out, {"recipe": recipe, "shards": [vars(info) for info in written]}))


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
) -> JSON:
    """Write ``README.md`` beside the shards and their tables; return what was counted."""
    import pandas as pd

    index = pd.concat(
        [pd.read_parquet(out / Path(info.name).with_suffix(".parquet")) for info in written],
        ignore_index=True,
    )
    census = _census(out, recipe, written)
    parts = [
        *_head(recipe, written, rows),
        *_corpus(recipe),
        *_yield(rows, skipped),
        *_beside(recipe, index),
        *_mouths(recipe),
        *_held(recipe, census),
        *_leaks(index, census),
        *_faults(recipe, index, census),
        *_sync(recipe, index),
        *_settings(recipe),
    ]
    write_atomic(out / "README.md", ("\n".join(parts) + "\n").encode())
    return json.loads(json.dumps(asdict(census)))


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


def _corpus(recipe: Mapping[str, JSON]) -> list[str]:
    """Say which corpus the clips come from, and what its makers ask for."""
    if "corpus" not in recipe:
        return []
    corpus = recipe["corpus"]
    parts = ", ".join(f"{count} {part}" for part, count in corpus["parts"].items())
    own = "the corpus' own" if corpus["crops"] == "own" else "made by the steps below"
    return [
        "## Corpus",
        "",
        f"{corpus['title']}: {parts}, of {corpus['clips_in_corpus']} that it lists here.",
        "",
        f"- Licence, as far as known, and no advice: {corpus['licence']}",
        f"- To cite: {corpus['cite'] or 'nothing known'}.",
        f"- Splits: {corpus['splits']}.",
        f"- Face crops: {own}.",
        "",
    ]


def _how_split(split: Mapping[str, JSON]) -> str:
    if split["by"] == "corpus":
        return (
            f"As {split['corpus']} says; the rest drawn, seed {split['seed']}: {split['shares']}."
        )
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


_RULES = {
    "keep-all": "All were kept; `faces` in a clip's JSON says how many others were seen at once, "
    "and which other track fits the sound best (the runner-up).",
    "single": "Only what shows a single face was kept, as in the 2016 SyncNet paper.",
    "best-sync": "Of tracks that share frames the one of highest sync confidence was kept; "
    "`sync.parquet` names the winner that each of the others was left out for.",
}


def _beside(recipe: Mapping[str, JSON], index: pd.DataFrame) -> list[str]:
    """Say what became of faces that are seen at the same time."""
    others = index["co_visible"]
    lines = ["## Several faces at a time", "", f"{_RULES[recipe['faces']]}"]
    known = f"Clips with frames that show another face: {int((others > 0).sum())}"
    if others.isna().any():
        known += f"; not known of {int(others.isna().sum())}"
    return [*lines, "", f"{known}.", ""]


def _mouths(recipe: Mapping[str, JSON]) -> list[str]:
    """Say what else each clip shows."""
    mouth = recipe["facetracks"].get("mouth")
    if not mouth:
        return []
    return [
        "## Mouths",
        "",
        f"`KEY.mouth.mp4` shows the mouth of each clip, {mouth['size']} x {mouth['size']} pixels,",
        "frame by frame with the face: cut from the same pictures of the source, coded once. Where",
        "no points of the face were found its place is interpolated; `facetrack.mouth` in a clip's",
        "JSON has the squares and names those frames. Tracks without a mouth count as `no-mouth`.",
        "",
    ]


def _held(recipe: Mapping[str, JSON], census: Census) -> list[str]:
    """Return the table of the 2016 paper: dates, pairs and hours of each split."""
    lines = ["## Pairs and hours", ""]
    lines += ["| split | dates | genuine pairs | false pairs | hours |", "|---|---|--:|--:|--:|"]
    for split in census.splits:
        dates = f"{split.first} to {split.last}" if split.first else "unknown"
        genuine, false = split.drawn or (split.genuine, split.false)
        lines.append(f"| {split.split} | {dates} | {genuine:,} | {false:,} | {split.hours:.3f} |")
    if "pairs" not in recipe:
        how = "Genuine pairs that lie side by side, and every false pair that the clips could give."
    else:
        how = (
            f"Drawn every {recipe['pairs']['every']} frames from seed {recipe['pairs']['seed']} "
            "and the key of each clip; their indices are in `pairs.parquet` and in each clip's "
            "JSON."
        )
    return [*lines, "", how, ""]


def _leaks(index: pd.DataFrame, census: Census) -> list[str]:
    """Tell what splits share that they should not."""
    lines = ["## What splits share", ""]
    if census.duplicates is None:
        lines.append("Near-duplicates were not looked for.")
    else:
        gone = sum(bool(pair["dropped"]) for pair in census.duplicates)
        lines.append(
            f"Pairs of near-duplicates across splits: {len(census.duplicates)}"
            + (f", of which {gone} were parted by leaving a clip out." if gone else ".")
        )
        if census.duplicates:
            lines += [
                "",
                "| clip | in | clip | in | same | left out |",
                "|---|---|---|---|---|---|",
            ]
        for pair in census.duplicates[:_MOST]:
            names = ("key", "split", "other", "other_split", "kind", "dropped")
            lines.append("| " + " | ".join(str(pair[name]) for name in names) + " |")
        if len(census.duplicates) > _MOST:
            lines += ["", f"The first {_MOST}; all are in `duplicates.parquet`."]
    if "speaker" in index:
        homes = index.dropna(subset="speaker").groupby("speaker")["split"].nunique()
        shared = sorted(str(name) for name in homes.index[homes > 1])
        named = ": " + ", ".join(shared[:_MOST]) if shared else ""
        lines += ["", f"Speakers in more than one split: {len(shared)}{named}."]
    return [*lines, ""]


_MOST = 20
"""Rows of a list in the card."""


def _faults(recipe: Mapping[str, JSON], index: pd.DataFrame, census: Census) -> list[str]:
    kind = recipe["distortion"]["kind"]
    lines = ["## Synthetic faults", ""]
    if kind == "none":
        return [*lines, "None: clips are as the sources are; their label is offset 0.", ""]
    details = ", ".join(f"{name} {value}" for name, value in recipe["distortion"].items())
    lines += [f"Drawn from the seed and the key of each clip: {details}.", ""]
    if kind == "global":
        lines += ["Offset in frames (positive: the sound comes early):", ""]
        lines += _table("offset", histogram(index["offset"]))
    for spread in census.spreads:
        if "drift" in spread.name:
            lines += [
                f"{spread.name.capitalize()} in frames (positive: the sound comes early):",
                "",
            ]
            lines += [f"| drift | {spread.of} |", "|--:|--:|"]
            lines += [f"| {value} | {count:,} |" for value, count in spread.counts.items()] + [""]
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
    lines += _calibration(recipe["sync"].get("calibration", {}))
    moved = int((index["sync_correction"] != 0).sum())
    lines += [f"- {moved} clips: their sound was moved to where it belongs"] if moved else []
    notes = index.loc[index["sync_note"] != "", "sync_note"].value_counts().sort_index()
    lines += [f"- {count} clips: {note}" for note, count in notes.items()]
    return lines


def _calibration(facts: Mapping[str, JSON]) -> list[str]:
    """Say what p-values rest on, and which is the largest that filtering keeps."""
    if not facts:
        return []
    height = facts["least_height"]
    return [
        f"P-values say how often sound that does not belong scores so high; they rest on "
        f"{facts['wrong_pairs']} pairs that were joined wrongly on purpose"
        + ("." if height is not None else ", too few, so that a careful bound stands in."),
        f"For a false-keep rate of {facts['false_keep']:g}, a clip needs p at most "
        f"{facts['largest_p']:g}" + (f", height {height:g}." if height is not None else "."),
        "`sync.parquet` has a row per track, kept or not, with its curve and confidence per frame.",
        "",
    ]


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
