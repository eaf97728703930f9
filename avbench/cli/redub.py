"""``avbench redub``: one speaker's picture retimed to another's voice saying the same sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from avbench.errors import UsageError

if TYPE_CHECKING:
    from avbench.aligning import How
    from avbench.data import Embeddings
    from avbench.methods import Aligner
    from avbench.redub import Measured, Pair, Recording, Settings
    from avbench.redub.measuring import Take
    from avbench.shards import ShardSet

HOWS = ("chain", "weighted-chain", "viterbi", "median")
AGAINST = ("dta-video",)
"""Methods that others are compared with in pairs, beside no alignment: the paper's comparison."""
_FILE = click.Path(dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command("redub")
@click.option("--shards", type=_FOLDER, required=True, help="Directory that build-shards wrote.")
@click.option("--split", default=None, help="[default: any]")
@click.option(
    "--recordings",
    type=_FILE,
    default=None,
    help="Table of file, speaker and sentence, as avbench synth --kind redub writes it.",
)
@click.option(
    "--tcd-timit",
    "tcd",
    is_flag=True,
    help="The shards were built from TCD-TIMIT: sa1 and sa2 of its first five speakers, 40 pairs.",
)
@click.option(
    "--truth",
    type=_FOLDER,
    default=None,
    help="Folder of made videos: the phones and mouths of their truth files are compared too.",
)
@click.option(
    "--method",
    "names",
    multiple=True,
    metavar="NAME",
    help="Method that aligns every row of sound; repeat it.  [default: none but the two bounds]",
)
@click.option(
    "--checkpoint",
    "checkpoints",
    multiple=True,
    metavar="NAME=PATH",
    help="File that avbench train wrote, for one method.",
)
@click.option(
    "--how",
    "hows",
    multiple=True,
    metavar="[NAME=]HOW",
    help="How windows become one alignment, of all methods or of one: chain, weighted-chain, "
    "viterbi or median.  [default: viterbi for methods that tell probabilities, weighted-chain for "
    "others]",
)
@click.option(
    "--turn",
    type=click.FloatRange(0),
    default=3.0,
    show_default=True,
    help="What viterbi charges for leaving out or repeating a picture (natural logarithm).",
)
@click.option(
    "--mouth",
    "version",
    type=click.Choice(["axis", "euclidean", "axis-interocular", "euclidean-interocular"]),
    default="axis",
    show_default=True,
    help="How a mouth is measured; axis as in the paper.",
)
@click.option("--sound/--no-sound", default=True, help="Measure MCD of voices retimed to pictures.")
@click.option("--limit", type=click.IntRange(1), default=None, help="Only the first pairs.")
@click.option("--out", type=_FOLDER, required=True, help="Directory for the results.")
def command(
    shards: Path,
    split: str | None,
    recordings: Path | None,
    tcd: bool,
    truth: Path | None,
    names: Sequence[str],
    checkpoints: Sequence[str],
    hows: Sequence[str],
    turn: float,
    version: Any,
    sound: bool,
    limit: int | None,
    out: Path,
) -> None:
    r"""Retime every speaker's picture to every other's voice saying the same sentence.

    The lips of the retimed picture are correlated with those of the picture that belongs to the
    voice; frames shown twice, left out and shown in order are counted; and the voice is retimed to
    the picture for its cepstral distortion. 'no-alignment' shows every picture at its own time;
    'truth', of made recordings, what the phones ask for. All are compared with no alignment, and
    with dta-video where it is measured, in pairs with intervals over the pairs of speakers.

    \b
    Examples:
      avbench synth --out made --kind redub --videos 20 --pool test
      avbench build-shards made --out made-shards
      avbench redub --shards made-shards --recordings made/recordings.csv --truth made \
          --method skip-dtw --method dta-video --method tae --out redub
      avbench redub --shards tcd-shards --tcd-timit --method skip-dtw --out tcd-redub
    """
    from avbench.progress import track
    from avbench.redub import Settings, pairs_of, report
    from avbench.redub.measuring import NONE, TRUTH
    from avbench.redub.paired import gaps
    from avbench.redub.reporting import paired_tables, table
    from avbench.shards import open_set, write_atomic, write_json

    data = open_set(shards)
    listed = _listed(data, split, recordings, tcd)
    given = _named(checkpoints, names)
    methods = _aligners(names, given)
    takes = _takes(data, split, listed, truth)
    pairs = [p for p in pairs_of(takes) if {p.picture, p.voice} <= set(takes)][:limit]
    rows, embed_s = _rows(methods, takes)
    settings = Settings(_how(hows, methods, takes, rows), turn, version, sound)
    found: list[Measured] = []
    chosen = [NONE, *([TRUTH] if truth else []), *methods]
    for pair in track(pairs, "retiming", len(pairs), "pair"):
        found += _measured(chosen, methods, pair, takes, rows, settings)
    reports = report(found)
    media_s = sum(len(take) for take in takes.values()) * 0.04
    shared = {"lips": sum(take.points_s for take in takes.values()), **embed_s}
    compared = {name: gaps(found, name) for name in chosen if name in (NONE, *AGAINST)}
    text = table(reports, shared, media_s, settings.how) + paired_tables(list(compared.values()))
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(out / "pairs.csv", _csv(found).encode())
    about = _about(data, methods, given, settings, len(listed), takes, shared)
    differences = [gap.to_json() for some in compared.values() for gap in some]
    summed = [one.to_json() for one in reports]
    write_json(out / "redub.json", {**about, "reports": summed, "differences": differences})
    write_atomic(out / "table.txt", f"{text}\n".encode())
    click.echo(text)
    click.echo(f"In {out}: table.txt, redub.json, pairs.csv")


def _listed(
    data: ShardSet, split: str | None, recordings: Path | None, tcd: bool
) -> list[Recording]:
    from avbench.redub import read_recordings, tcd_timit

    if (recordings is None) != tcd:
        raise UsageError("say who says what: either --recordings FILE.csv or --tcd-timit")
    if recordings is not None:
        return read_recordings(recordings)
    return tcd_timit(str(path) for path in data.index(split)["path"].unique())


def _named(texts: Sequence[str], names: Sequence[str]) -> dict[str, Path]:
    found = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not (equals and path) or name not in names:
            raise UsageError(
                f"got --checkpoint '{text}', expected NAME=PATH with the NAME of a --method"
            )
        found[name] = Path(path)
    return found


def _aligners(names: Sequence[str], checkpoints: Mapping[str, Path]) -> dict[str, Aligner]:
    from avbench import methods
    from avbench.methods import Aligner

    found = {}
    for name in names:
        method = methods.load(name, checkpoints.get(name))
        if not isinstance(method, Aligner):
            raise UsageError(
                f"{name} gives one offset for a whole clip; choose a method that aligns every row "
                "of sound, such as skip-dtw"
            )
        found[name] = method
    return found


def _takes(
    data: ShardSet, split: str | None, listed: Sequence[Recording], truth: Path | None
) -> dict[Recording, Take]:
    """Decode the clip of each recording and find its lips; say which have none."""
    from avbench.progress import track
    from avbench.redub.measuring import Take
    from avbench.redub.recordings import keys_of
    from avbench.redub.truth import read_planted
    from avbench.shards import decode_sample

    index = data.index(split)
    facts = zip(index["path"], index["num_frames"], strict=True)
    clips = {str(k): (str(p), int(n)) for k, (p, n) in zip(index["key"], facts, strict=True)}
    keys = keys_of(listed, clips)
    wanted = {keys[one.file]: one for one in listed if one.file in keys}
    takes: dict[Recording, Take] = {}
    samples = (s for s in data.samples(split) if s.key in wanted)
    for sample in track(samples, "finding lips", len(wanted), "clip"):
        one = wanted[sample.key]
        planted = None
        if truth is not None:
            planted = read_planted(truth / Path(one.file).with_suffix(".truth.json"))
        clip = decode_sample(sample)
        if planted is not None and len(planted) != len(clip):
            continue
        takes[one] = Take.of(clip, planted)
    of_truth = "" if truth is None else " as long as their truth"
    if lost := len(listed) - len(takes):
        click.echo(
            f"{lost} of {len(listed)} recordings have no clip{of_truth} and are left out", err=True
        )
    return dict(sorted(takes.items()))


def _rows(
    methods: Mapping[str, Aligner], takes: Mapping[Recording, Take]
) -> tuple[dict[tuple[str, Recording], Embeddings], dict[str, float]]:
    """Embed every recording once for each network."""
    from avbench.progress import track
    from avbench.redub.measuring import timed

    networks = {method.extractor: method for method in methods.values()}
    rows: dict[tuple[str, Recording], Embeddings] = {}
    spent: dict[str, float] = {}
    for network, method in networks.items():
        name = f"embeddings of {method.name}"
        for one, take in track(takes.items(), name, len(takes), "clip"):
            rows[network, one], seconds = timed(partial(method.embed, take.clip))
            spent[name] = spent.get(name, 0.0) + seconds
    return rows, spent


def _how(
    said: Sequence[str],
    methods: Mapping[str, Aligner],
    takes: Mapping[Recording, Take],
    rows: Mapping[tuple[str, Recording], Embeddings],
) -> dict[str, How]:
    """Return how each method's windows become one alignment."""
    from avbench.redub.measuring import usual_how

    asked: dict[str, str] = {}
    for text in said:
        name, _, way = text.rpartition("=")
        if way not in HOWS or (name and name not in methods):
            raise UsageError(
                f"got --how '{text}', expected [NAME=]HOW with the NAME of a --method and a HOW of "
                f"{', '.join(HOWS)}"
            )
        asked[name] = way
    first = next(iter(takes), None)
    found = {}
    for name, method in methods.items():
        how = asked.get(name) or asked.get("")
        if how is None and first is not None:
            how = usual_how(method, rows[method.extractor, first])
        found[name] = cast("How", how or "weighted-chain")
    return found


def _measured(
    chosen: Sequence[str],
    methods: Mapping[str, Aligner],
    pair: Pair,
    takes: Mapping[Recording, Take],
    rows: Mapping[tuple[str, Recording], Embeddings],
    settings: Settings,
) -> list[Measured]:
    from avbench.redub import measure

    found = []
    for name in chosen:
        method = methods.get(name)
        both = None
        if method is not None:
            both = rows[method.extractor, pair.picture], rows[method.extractor, pair.voice]
        picture, voice = takes[pair.picture], takes[pair.voice]
        found.append(measure(name, pair.name, picture, voice, method, both, settings))
    return found


def _csv(found: Sequence[Measured]) -> str:
    import pandas as pd

    from avbench.metrics.alignment import COUNTS

    rows = []
    for one in found:
        row = {k: v for k, v in vars(one).items() if k not in ("frames", "errors", "seconds")}
        row |= {name: getattr(one.frames, name) for name in COUNTS}
        row |= {"voice_frames": one.frames.output, "picture_frames": one.frames.source}
        rows.append(row)
    return pd.DataFrame(rows).to_csv(index=False, lineterminator="\n", float_format="%.6g")


def _about(
    data: ShardSet,
    methods: Mapping[str, Aligner],
    given: Mapping[str, Path],
    settings: Settings,
    listed: int,
    takes: Mapping[Recording, Take],
    shared: Mapping[str, float],
) -> dict[str, Any]:
    """Return what the numbers were measured with."""
    from avbench.metrics import mcd, mouth
    from avbench.results import environment, identify

    return {
        **environment(threads=1),
        "protocol": {"name": "redub", "version": 1},
        "dataset": data.name,
        "synthetic": data.synthetic,
        "shards_sha256": data.sha256,
        "recordings": {"listed": listed, "used": len(takes)},
        "how": dict(settings.how),
        "turn": settings.turn,
        "mouth": mouth.VERSIONS[settings.version],
        "mcd": mcd.VERSIONS[0] if settings.sound else None,
        "methods": {n: identify(m, given.get(n)) for n, m in methods.items()},
        "seconds": {name: round(value, 3) for name, value in shared.items()},
    }
