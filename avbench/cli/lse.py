"""``avbench lse``: lip-sync error of a shard set, as a SyncNet sees it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from avbench.errors import AvbenchError, DataError, UsageError

if TYPE_CHECKING:
    from avbench.data import JSON
    from avbench.datasets import Dataset
    from avbench.methods import EmbeddingMethod

CAUTION = (
    "LSE-D and LSE-C are distances in one network's embedding: they are comparable only with "
    "numbers of the same checkpoint SHA-256, search range, windows and variant."
)
WINDOWS = {"all": "all F - 4 of a clip of F frames", "released": "the first F - 5 of F frames"}


@click.command("lse")
@click.option(
    "--shards",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Directory that build-shards wrote.",
)
@click.option("--split", default="test", show_default=True)
@click.option(
    "--method",
    default="syncnet",
    show_default=True,
    metavar="NAME",
    help="Method whose embeddings are compared.",
)
@click.option(
    "--checkpoint",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="File that avbench train or import-weights wrote.  [default: the shipped one]",
)
@click.option(
    "--search",
    type=click.IntRange(1),
    default=15,
    show_default=True,
    help="Offsets are looked for in this many frames either way; published numbers use 15.",
)
@click.option(
    "--windows",
    type=click.Choice(list(WINDOWS)),
    default="all",
    show_default=True,
    help="Five-frame windows of a clip that count: all, or all but the last, as in the released "
    "SyncNet.",
)
@click.option("--limit", type=click.IntRange(1), default=None, help="Only the first clips.")
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Directory of embeddings that later runs use again.  [default: $AVBENCH_CACHE, else "
    "avbench/embeddings in your directory of caches]",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="JSON file for the two numbers, what they were measured with, and those of each clip.",
)
def command(**options: Any) -> None:
    r"""Measure LSE-D and LSE-C of a shard set: how well the lips fit the sound.

    For every clip, the mean distance of picture and sound at each offset; LSE-D is the mean over
    clips of the least (lower is better), LSE-C of median minus least (higher is better). The
    numbers are distances in one network's embedding, comparable only where the checkpoint is the
    same: the shipped one judges drawn faces, and says nothing about published numbers. An
    interrupted run goes on where it stopped when the same command is run again.

    \b
    Examples:
      avbench lse --shards demo/shards --out demo/lse.json
      avbench import-weights syncnet_v2.model --as-released --out v2.safetensors
      avbench lse --shards dubbed --checkpoint v2.safetensors --windows released --out lse.json

    \b
    In Python:
      from avbench.metrics.lse import lse
      lse(curves, "facetrack").distance
    """
    import numpy as np

    from avbench import methods
    from avbench.methods import EmbeddingMethod
    from avbench.metrics.lse import lse
    from avbench.shards import open_set, write_json

    out, search = options["out"], options["search"]
    data = open_set(options["shards"])
    data.count(options["split"])  # an unknown split is known before any network is loaded
    method = methods.load(options["method"], options["checkpoint"], search=search)
    if not isinstance(method, EmbeddingMethod):
        raise UsageError(
            f"{method.name} has no embeddings to compare; name a method such as syncnet"
        )
    curves = list(_curves(method, data, options))
    if not curves:
        raise DataError(f"{options['shards']} holds no clip in the split '{options['split']}'")
    found = lse(np.stack([curve.distances for curve in curves]), "facetrack")
    result = _describe(method, data, options) | {
        "lse_d": _known(found.distance),
        "lse_c": _known(found.confidence),
        "clips": found.clips,
        "undefined": found.undefined,
        "failures": {curve.key: curve.failure for curve in curves if curve.failure},
        "by_clip": [_clip(curve, search) for curve in curves],
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(out, result)
    _report(result, out)
    if found.undefined == found.clips:
        raise AvbenchError(f"{method.name} failed on every clip; {out} says how")


class _Curve(NamedTuple):
    """What one clip gave."""

    key: str
    distances: Any
    """Mean distance at every candidate offset, ascending; infinite where the clip failed."""
    failure: str


def _curves(method: EmbeddingMethod, data: Dataset, options: dict[str, Any]) -> Iterator[_Curve]:
    import numpy as np

    from avbench.asking import prepare
    from avbench.cache import EmbeddingCache, default_directory
    from avbench.media import decoder_versions
    from avbench.progress import track
    from avbench.similarity import sliding_distances

    split, limit, search = options["split"], options["limit"], options["search"]
    cache = EmbeddingCache(options["cache"] or default_directory(), decoder_versions())
    total = data.count(split)
    for item in track(data.items(split, limit), "measuring", min(total, limit or total), "clip"):
        features = prepare([method], item, [], {}, cache).features[method.extractor]
        rows, failure = features.rows, features.failure
        if rows is not None and options["windows"] == "released":
            rows = type(rows)(rows.video[:-1], rows.audio[:-1])
            failure = "" if len(rows.video) else f"{len(item)} frames leave no window"
        if rows is None or failure:
            yield _Curve(item.key, np.full(2 * search + 1, np.inf), failure)
        else:
            yield _Curve(item.key, sliding_distances(*rows, search, "zero"), "")


def _describe(method: EmbeddingMethod, data: Dataset, options: dict[str, Any]) -> dict[str, JSON]:
    from avbench.metrics.lse import VARIANTS
    from avbench.results import environment, identify

    facts = identify(method, options["checkpoint"])
    return {
        "method": method.name,
        "checkpoint": facts["checkpoint"],
        "checkpoint_sha256": facts["checkpoint_sha256"],
        "extractor": method.extractor,
        "search": options["search"],
        "variant": "facetrack",
        "variant_meaning": VARIANTS["facetrack"],
        "windows": options["windows"],
        "windows_meaning": WINDOWS[options["windows"]],
        "edge": "zero",
        "dataset": data.name,
        "synthetic": data.synthetic,
        "split": options["split"],
        "limit": options["limit"],
        "data_sha256": data.sha256,
        "versions": environment()["versions"],
        "caution": CAUTION,
    }


def _clip(curve: _Curve, search: int) -> dict[str, JSON]:
    from avbench.similarity import pick_offset

    offset, least, margin = pick_offset(curve.distances, search)
    known = not curve.failure
    return {
        "key": curve.key,
        "distance": _known(least),
        "confidence": _known(margin),
        "offset": offset if known else None,
    }


def _known(value: float) -> float | None:
    import math

    return float(value) if math.isfinite(value) else None


def _report(result: dict[str, JSON], out: Path) -> None:
    def number(value: float | None) -> str:
        return "undefined" if value is None else f"{value:.3f}"

    click.echo(f"LSE-D {number(result['lse_d'])} (lower is better)")
    click.echo(f"LSE-C {number(result['lse_c'])} (higher is better)")
    click.echo(
        f"Over {result['clips'] - result['undefined']} of {result['clips']} clips of "
        f"{result['dataset']} ({result['split']}); search ±{result['search']} frames; windows: "
        f"{result['windows_meaning']}; variant {result['variant']}: {result['variant_meaning']}."
    )
    given = result["checkpoint_sha256"] or "none: the method has no checkpoint file"
    click.echo(f"Checkpoint of {result['method']}: SHA-256 {given}")
    click.echo(CAUTION)
    if result["undefined"]:
        first = next(iter(result["failures"].items()), ("", ""))
        click.echo(f"{result['undefined']} clips are left out, the first: {' '.join(first)}")
    click.echo(f"In {out}")
