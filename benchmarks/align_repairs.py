"""Measure how much of a planted drift ``avbench align`` takes away.

    python benchmarks/align_repairs.py MEDIA [--law symmetric] [--seeds 1] [--files 8] [--out JSON]

MEDIA holds grid/others and wild (recorded people), or any videos. Pictures of each file are dropped
and repeated by a law of `avbench.distort` with the sound as it is, written to a temporary folder,
and the damaged file is planned anew with nothing but itself to go by. The drift of an output frame
is how far the frame of the source that it shows is from the one that it should show; before the
repair, that of the damaged file; at best, that of the nearest picture that survived. Files whose
own sound is out by a few frames keep that: it counts against the repair.

``--list CSV --part val`` takes the files of one part of a table with the columns file and split
(``leaderboards/splits/grid.csv``) instead: the confidence was set on that part, and is reported on
others.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from avbench import methods
from avbench.aligning.similar import BySimilarity
from avbench.data import IntArray
from avbench.distort import alignment_of, drop_duplicate, rng_for
from avbench.errors import DataError
from avbench.media import probe
from avbench.media.retime import retime, sound_blocks, sound_form
from avbench.methods import Aligner, Embedder
from avbench.progress import track
from avbench.repairing import plan_repair
from avbench.timing import FPS

ENDINGS = (".mp4", ".mpg", ".avi", ".mov", ".mkv")


@dataclass(frozen=True)
class Row:
    """One damaged file."""

    file: str
    law: str
    seed: int
    grade: str
    before: float
    """Mean drift in frames."""
    after: float
    best: float
    remains: float | None
    """What the repair itself says may remain."""


def damage(source: Path, out: Path, law: str, seed: int) -> IntArray:
    """Write a damaged copy; return the frame that each of its pictures shows, shape (T,)."""
    length = probe(source).num_frames
    shown = drop_duplicate(length, rng=rng_for(seed, source.name, law), law=law)  # type: ignore[arg-type]
    full = np.append(shown, np.full(length - len(shown), shown[-1]))
    sound = sound_blocks(source, from_picture=True)
    retime(source, out, full / FPS, Fraction(FPS), sound, sound_form(source))
    return full


def measure(source: Path, law: str, seed: int, method: Aligner, how: str) -> Row:
    """Damage a file, plan its repair, and compare that with the truth."""
    with tempfile.TemporaryDirectory() as folder:
        broken = Path(folder) / f"{source.stem}.mp4"
        shown = damage(source, broken, law, seed)
        repair = plan_repair(broken, method, how)  # type: ignore[arg-type]
    place = np.arange(len(repair.video_index))
    last = len(shown) - 1
    truth = alignment_of(shown, len(place)).video_index

    def drift(index: IntArray) -> float:
        return round(float(np.abs(shown[index.clip(0, last)] - place).mean()), 3)

    remains = max(face.surety.remains for face in repair.used)
    left = None if np.isnan(remains) else round(remains, 2)
    return Row(
        file=source.name,
        law=law,
        seed=seed,
        grade=repair.grade,
        before=drift(place),
        after=drift(repair.video_index),
        best=drift(truth),
        remains=left,
    )


def sources(media: Path) -> list[Path]:
    """Return recorded people where MEDIA is laid out as such, else all videos below it."""
    parts = [media / "grid" / "others", media / "wild"]
    folders = [part for part in parts if part.is_dir()] or [media]
    return [p for f in folders for p in sorted(f.iterdir()) if p.suffix.lower() in ENDINGS]


def listed(folder: Path, table: Path, part: str) -> list[Path]:
    """Return the files below a folder that a table puts into a part."""
    with table.open(encoding="utf-8", newline="") as file:
        return [folder / row["file"] for row in csv.DictReader(file) if row["split"] == part]


def rows_of(
    files: Iterable[Path], laws: Sequence[str], seeds: Sequence[int], method: Aligner, how: str
) -> Iterator[Row]:
    """Yield what can be measured, and say of the rest why not."""
    for path in files:
        for law in laws:
            for seed in seeds:
                try:
                    yield measure(path, law, seed, method, how)
                except DataError as error:
                    print(error, file=sys.stderr)


def show(rows: Sequence[Row]) -> bool:
    """Print the table; return whether good repairs leave a third of the drift or less."""
    print(
        "| confidence | damaged files | drift before | after | at best | left | a third or less |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|")
    kept = True
    for grade in ("good", "fair", "low"):
        of = [row for row in rows if row.grade == grade]
        if not of:
            print(f"| {grade} | 0 | | | | | |")
            continue
        before, after, best = (
            float(np.mean([getattr(row, name) for row in of]))
            for name in ("before", "after", "best")
        )
        left = after / before
        kept_third = sum(3 * row.after <= row.before for row in of)
        print(
            f"| {grade} | {len(of)} | {before:.2f} | {after:.2f} | {best:.2f} | {left:.0%} | "
            f"{kept_third} |"
        )
        kept &= grade != "good" or left <= 1 / 3
    return kept


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; exit code 1 where good repairs leave more than a third of the drift."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("media", type=Path)
    parser.add_argument("--method", default="lip-geometry")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--how", default="median")
    parser.add_argument("--law", nargs="*", default=["symmetric", "tae2020"])
    parser.add_argument("--seeds", type=int, nargs="*", default=[1])
    parser.add_argument("--files", type=int, help="so many files only, spread over all")
    parser.add_argument("--list", type=Path, help="CSV of files below MEDIA, and their parts")
    parser.add_argument("--part", default="test", help="part of the list")
    parser.add_argument("--match", help="files whose name holds this only")
    parser.add_argument("--out", type=Path, help="JSON file for every row")
    given = parser.parse_args(arguments)
    found = methods.load(given.method, given.checkpoint)
    assert isinstance(found, Embedder)
    method = found if isinstance(found, Aligner) else BySimilarity(found)
    found_files = (
        listed(given.media, given.list, given.part) if given.list else sources(given.media)
    )
    files = [p for p in found_files if not given.match or given.match in p.name]
    if given.files:
        files = files[:: max(len(files) // given.files, 1)][: given.files]
    total = len(files) * len(given.law) * len(given.seeds)
    rows = []
    for row in track(
        rows_of(files, given.law, given.seeds, method, given.how), "damaged files", total, "file"
    ):
        rows.append(row)
        print(json.dumps(asdict(row)), file=sys.stderr)
        if given.out:
            given.out.write_text(json.dumps([asdict(r) for r in rows], indent=1) + "\n", "utf-8")
    return int(not show(rows))


if __name__ == "__main__":
    sys.exit(main())
