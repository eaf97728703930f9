"""``avbench plot before-after`` and ``plot gradients``: what training makes of a matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avbench.cli._clips import SHARDS, SPLIT, find_clips
from avbench.cli._figures import Function, data_option, figure_options, write, write_data
from avbench.errors import DataError, UsageError

if TYPE_CHECKING:
    from avbench.data import Clip

_FILE = click.Path(dir_okay=False, path_type=Path)
KEYS = click.option(
    "--key",
    "keys",
    multiple=True,
    help="Clip to draw; repeat it.  [default: the first long enough]",
)
LENGTH = click.option(
    "--length", type=click.IntRange(6), default=20, show_default=True, help="Frames of a window."
)


def _offsets(*chosen: int) -> Callable[[Function], Function]:
    return click.option(
        "--offset",
        "offsets",
        type=int,
        multiple=True,
        default=chosen,
        show_default=True,
        help="True offset of a window in frames, one window each; positive: audio leads.",
    )


@click.command("before-after", short_help="The same clips as two networks see them.")
@SHARDS
@SPLIT
@KEYS
@LENGTH
@_offsets(-1, 3, -1)
@click.option(
    "--before",
    type=_FILE,
    default=None,
    help="Checkpoint of the upper row.  [default: the shipped sync-cls]",
)
@click.option(
    "--after",
    type=_FILE,
    default=None,
    help="Checkpoint of the lower row.  [default: the shipped sync-e2e]",
)
@data_option
@figure_options
def before_after(
    shards: Path,
    split: str | None,
    keys: tuple[str, ...],
    length: int,
    offsets: Sequence[int],
    before: Path | None,
    after: Path | None,
    data: Path | None,
    **out: Any,
) -> None:
    r"""Draw similarity matrices of the same windows before and after joint training.

    Any two checkpoints do. A title says how far the true diagonal stands out from the two beside
    it: the narrower the pattern, the more.

    \b
    Examples:
      avbench plot before-after --shards demo/shards --out joint.pdf --venue icassp --columns 2
      avbench plot before-after --shards demo/shards --before start.safetensors \
          --after joint.safetensors --offset -2 --offset 0 --offset 5 --out joint.png
    """
    from avbench import plots
    from avbench.models import checkpoint as checkpoints
    from avbench.models.two_stream import Extractor
    from avbench.similarity import similarity_matrix

    paths = (before or checkpoints.shipped("sync-cls"), after or checkpoints.shipped("sync-e2e"))
    extractors = [Extractor(checkpoints.load(path).extractor) for path in paths]
    if extractors[0].id == extractors[1].id:
        raise UsageError(
            f"{paths[0].name} and {paths[1].name} hold the same extractor; give one from before "
            "and one from after joint training"
        )
    twins = []
    for window, offset in _windows(shards, split, keys, length, offsets):
        rows = [extractor.embed(window.frames, window.audio) for extractor in extractors]
        top, bottom = (similarity_matrix(one.audio, one.video) for one in rows)
        twins.append(plots.Twin(window.key, offset, top, bottom))
    write_data(data, plots.twin_table(twins, ("before", "after")))
    write(plots.before_after, out, twins)


@click.command("gradients", short_help="What a pattern classifier looks at.")
@SHARDS
@SPLIT
@KEYS
@LENGTH
@_offsets(-2, 1, 5)
@click.option(
    "--checkpoint",
    type=_FILE,
    default=None,
    help="With a classifier, from training sync-cls or sync-e2e.  [default: the shipped sync-e2e]",
)
@click.option(
    "--of",
    type=click.Choice(["output", "loss"]),
    default="output",
    show_default=True,
    help="The output of the true offset, or minus the loss.",
)
@data_option
@figure_options
def gradients(
    shards: Path,
    split: str | None,
    keys: tuple[str, ...],
    length: int,
    offsets: Sequence[int],
    checkpoint: Path | None,
    of: Any,
    data: Path | None,
    **out: Any,
) -> None:
    r"""Draw similarity matrices, and the gradient of a pattern classifier on them.

    It is that of the output for the true offset: where it is positive, more similarity speaks for
    that offset.

    \b
    Examples:
      avbench plot gradients --shards demo/shards --out gradients.pdf --venue ieee
      avbench plot gradients --shards demo/shards --length 15 --offset -4 --of loss \
          --out gradients.png --data gradients.csv
    """
    from avbench import plots
    from avbench.models import checkpoint as checkpoints
    from avbench.models.saliency import gradient
    from avbench.models.two_stream import Extractor
    from avbench.similarity import similarity_matrix

    path = checkpoint or checkpoints.shipped("sync-e2e")
    found = checkpoints.load(path)
    if found.classifier is None:
        raise UsageError(f"{path} holds no classifier; give a checkpoint of sync-cls or sync-e2e")
    classifier, extractor = found.classifier.eval(), Extractor(found.extractor)
    twins = []
    for window, offset in _windows(shards, split, keys, length, offsets):
        rows = extractor.embed(window.frames, window.audio)
        matrix = similarity_matrix(rows.audio, rows.video)
        twins.append(
            plots.Twin(window.key, offset, matrix, gradient(classifier, matrix, offset, of))
        )
    write_data(data, plots.twin_table(twins, ("similarity", "gradient")))
    write(plots.gradients, out, twins)


def _windows(
    shards: Path, split: str | None, keys: tuple[str, ...], length: int, offsets: Sequence[int]
) -> list[tuple[Clip, int]]:
    """Cut a window from the middle of a clip for each offset, its sound displaced to have it.

    One clip serves all offsets where only one is named.
    """
    if len(keys) not in (0, 1, len(offsets)):
        raise UsageError(
            f"got {len(keys)} clips and {len(offsets)} offsets; give one clip, or one for each"
        )
    least = length + 2 * max(abs(offset) for offset in offsets)
    clips = list(islice(find_clips(shards, split, keys, least), len(offsets)))
    found = []
    for place, offset in enumerate(offsets):
        clip = clips[place % len(clips)]
        own = None if clip.alignment is None else clip.alignment.offset
        if own is None:
            raise DataError(f"clip {clip.key} has no constant offset; choose another --key")
        extra, start = offset - own, (len(clip) - length) // 2
        if abs(extra) > min(start, len(clip) - length - start):
            raise DataError(
                f"clip {clip.key} of {len(clip)} frames is too short for {length} frames with "
                f"offset {offset:+d}; choose a smaller --length or --offset"
            )
        found.append((clip.window(start, length, extra), offset))
    return found
