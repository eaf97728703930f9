"""``avbench inspect``: look into a shard set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from avbench.errors import UnknownName, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from avbench.data import JSON, Clip, UInt8Array
    from avbench.shards import Sample, ShardSet

TILE = 96
"""Side in pixels of a picture on the contact sheet."""
CAPTION = 14
"""Height in pixels of the line under it."""
COLUMNS = 4
"""Clips beside each other on the contact sheet, three pictures each."""
LONG = 8
"""Lists longer than this are shown by their length."""


@click.command("inspect")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--split", help="Look at this split only.")
@click.option("--sample", "key", help="Show one sample: truth, provenance, decisions.")
@click.option(
    "--sheet",
    type=click.Path(path_type=Path),
    help="Write a contact sheet (.png or .jpg): first, middle and last picture of each clip.",
)
@click.option("--limit", default=48, show_default=True, help="Most clips on the contact sheet.")
def command(
    directory: Path, split: str | None, key: str | None, sheet: Path | None, limit: int
) -> None:
    r"""Look into a shard set: totals, splits, offsets, one sample, pictures.

    \b
    Examples:
      avbench inspect shards
      avbench inspect shards --split test --sheet sheet.png
      avbench inspect shards --sample my-video-0000-00
    """
    from avbench.shards import open_set

    found = open_set(directory)
    if key is not None:
        for line in sample_lines(find_sample(found, key).info):
            click.echo(line)
    else:
        for line in set_lines(found, split):
            click.echo(line)
    if sheet is not None:
        write_sheet(sheet, islice(found.clips(split), max(limit, 1)))
        click.echo(f"contact sheet: {sheet}")


def set_lines(found: ShardSet, split: str | None) -> Iterator[str]:
    """Yield the totals of a set, one fact a line."""
    recipe = found.manifest["recipe"]
    index = found.index(split)
    yield f"{recipe.get('dataset', found.directory.name)}  {found.directory}"
    yield f"identity {found.sha256[:16]}, avbench {recipe.get('avbench', 'unknown')}"
    for name, part in index.groupby("split"):
        videos = f", {part['video_id'].nunique()} videos" if "video_id" in part else ""
        seconds = part["seconds"]
        yield (
            f"{name}: {len(part)} clips{videos}, {seconds.sum() / 3600:.3f} h, clips of "
            f"{seconds.min():.1f} to {seconds.max():.1f} s, {part['shard'].nunique()} shards"
        )
    for column, what in (
        ("offset", "true offset in frames (positive: sound early)"),
        ("sync_offset", "offset as measured before any fault"),
    ):
        if column in index and index[column].notna().any():
            yield f"{what}:"
            yield from _bars(index[column])
    if "sync_confidence" in index and index["sync_confidence"].notna().any():
        low, middle, high = index["sync_confidence"].quantile([0.1, 0.5, 0.9])
        yield f"sync confidence: median {middle:.3f}, 10 % below {low:.3f}, 10 % above {high:.3f}"
    for name, value in _flat(
        {name: value for name, value in recipe.items() if name not in ("decoder", "dataset")}
    ):
        yield f"  {name} = {value}"


def _bars(values: pd.Series[float]) -> Iterator[str]:
    counts = values.dropna().astype(int).value_counts().sort_index()
    scale = max(int(counts.max()), 1)
    for value, count in counts.items():
        yield f"  {value:+3d} {count:6d} {'#' * max(1, round(40 * count / scale))}"


def find_sample(found: ShardSet, key: str) -> Sample:
    """Return the sample of a key, reading only the shard that holds it."""
    index = found.index()
    if key not in set(index["key"]):
        raise UnknownName("sample", key, _near(key, list(index["key"])))
    split = str(index.loc[index["key"] == key, "split"].iloc[0])
    return next(sample for sample in found.samples(split) if sample.key == key)


def _near(key: str, keys: list[str]) -> list[str]:
    """Return the keys worth listing to someone who mistyped one."""
    from difflib import get_close_matches

    return get_close_matches(key, keys, n=5, cutoff=0.3) or keys[:5]


def sample_lines(info: Mapping[str, JSON]) -> Iterator[str]:
    """Yield what a sample's JSON says, one value a line, long lists by their length."""
    for name, value in _flat(info):
        yield f"{name} = {value}"


def _flat(values: Mapping[str, JSON], prefix: str = "") -> Iterator[tuple[str, JSON]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list) and len(value) > LONG:
            yield prefix + name, f"[{len(value)} values, first {value[0]}]"
        else:
            yield prefix + name, value


def write_sheet(path: Path, clips: Iterator[Clip]) -> None:
    """Write a contact sheet of clips as a picture file.

    Raises
    ------
    UsageError
        If the name does not end in .png or .jpg.
    """
    import cv2
    import numpy as np

    from avbench.shards import write_atomic

    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise UsageError(f"{path}: a contact sheet is a picture; end its name in .png or .jpg")
    tiles = [_tile(clip) for clip in clips]
    blank = np.full_like(tiles[0], 255)
    tiles += [blank] * (-len(tiles) % COLUMNS)
    rows = [np.hstack(tiles[i : i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)]
    done, data = cv2.imencode(path.suffix, cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))
    if not done:
        raise UsageError(f"{path}: the picture could not be encoded")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, data.tobytes())


def _tile(clip: Clip) -> UInt8Array:
    """Return first, middle and last picture beside each other, with key and offset below."""
    import cv2
    import numpy as np

    chosen = [clip.frames[i] for i in (0, len(clip) // 2, len(clip) - 1)]
    pictures = [cv2.resize(p, (TILE, TILE), interpolation=cv2.INTER_AREA) for p in chosen]
    strip = np.full((TILE + CAPTION, 3 * TILE + 4, 3), 255, np.uint8)
    strip[:TILE, : 3 * TILE] = np.hstack(pictures)
    offset = clip.alignment.offset if clip.alignment is not None else None
    text = f"{clip.key[-34:]} {'varies' if offset is None else format(offset, '+d')}"
    place, black = (2, TILE + CAPTION - 4), (0, 0, 0)
    cv2.putText(strip, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.35, black, 1, cv2.LINE_AA)
    return strip
