"""What commands that draw clips have in common: which clips, and how a network sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from avbench.errors import DataError, UnknownName

if TYPE_CHECKING:
    from avbench.data import Clip
    from avbench.methods import EmbeddingMethod
    from avbench.plots import SyncedRows

Function = TypeVar("Function", bound=Callable[..., Any])

SHARDS = click.option(
    "--shards",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Directory that build-shards wrote.",
)
SPLIT = click.option("--split", default=None, help="[default: any]")
METHOD = click.option(
    "--method", "name", default="syncnet", show_default=True, help="Whose embeddings."
)
CHECKPOINT = click.option(
    "--checkpoint",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="File that avbench train wrote.  [default: the shipped one]",
)
LIMIT = click.option(
    "--limit", type=click.IntRange(1), default=20, show_default=True, help="Clips, the first ones."
)
UNIT = click.option("--unit", is_flag=True, help="Compare embeddings scaled to unit length.")


def rows_options(command: Function) -> Function:
    """Add the options that `synced_rows` needs."""
    for option in (UNIT, LIMIT, CHECKPOINT, METHOD, SPLIT, SHARDS):
        command = option(command)
    return command


def embedding_method(name: str, checkpoint: Path | None) -> EmbeddingMethod:
    """Load a method that compares embeddings.

    Raises
    ------
    UsageError
        If it is another kind of method.
    """
    from avbench import methods
    from avbench.errors import UsageError
    from avbench.methods import EmbeddingMethod

    method = methods.load(name, checkpoint)
    if not isinstance(method, EmbeddingMethod):
        raise UsageError(f"{name} has no embeddings to compare; choose syncnet, for instance")
    return method


def synced_rows(
    shards: Path, split: str | None, name: str, checkpoint: Path | None, limit: int, unit: bool
) -> list[SyncedRows]:
    """Embed the first clips whose offset is known and constant, and move them into sync.

    Raises
    ------
    DataError
        If there are none.
    """
    from avbench.plots import SyncedRows
    from avbench.progress import track
    from avbench.shards import decode_sample, open_set

    method = embedding_method(name, checkpoint)
    found = open_set(shards)
    sources = {item.key: item.source for item in found.items(split)}
    rows = []
    for sample in track(found.samples(split), "embedding", min(limit, len(sources)), "clip"):
        offset = sample.alignment.offset
        if offset is None or len(sample.alignment) - abs(offset) < 5:
            continue
        clip = decode_sample(sample).without_truth()
        made = SyncedRows.of(clip.key, sources[clip.key], method.embed(clip), offset, unit=unit)
        rows.append(made)
        if len(rows) == limit:
            break
    if not rows:
        raise DataError(
            f"no clip of {shards} has a constant offset; choose a split that was built with "
            "--distort none or global"
        )
    return rows


def find_clips(
    shards: Path, split: str | None, keys: tuple[str, ...], least: int
) -> Iterator[Clip]:
    """Yield the named clips in the order asked for, or all of at least so many frames.

    Raises
    ------
    DataError
        If a named clip is shorter, or none is long enough.
    UnknownName
        If there is no such clip.
    """
    from avbench.shards import decode_sample, open_set

    found = open_set(shards)
    if not keys:
        any_ = False
        for sample in found.samples(split):
            if len(sample.alignment) >= least:
                any_ = True
                yield decode_sample(sample)
        if not any_:
            raise DataError(f"no clip in {shards} has {least} frames; choose a smaller --length")
        return
    samples = {sample.key: sample for sample in found.samples(split) if sample.key in keys}
    for key in keys:
        if key not in samples:
            raise UnknownName("clip", key, found.index(split)["key"].tolist()[:20])
        if len(samples[key].alignment) < least:
            raise DataError(
                f"clip {key} has {len(samples[key].alignment)} frames, and this needs {least}; "
                "choose a smaller --length or --offset"
            )
        yield decode_sample(samples[key])
