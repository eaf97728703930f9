"""Measure how well ``avbench sync`` reads known shifts of the sound of recorded people.

    python benchmarks/sync_shifts.py MEDIA [--checkpoint FILE] [--grid 20] [--out JSON]

MEDIA holds grid/others, grid/s1, wild and manifest.csv. Of grid/s1 only sentences of the split
``test`` (leaderboards/splits/grid.csv) are used. The sound of each file is shifted by -10 to 10
frames as ``--fix`` does it, with silence or a cut where it leaves the file, and every face is read
anew. The true offset of such files is not known to the frame, so the truth is the difference to
the reading of the file as it is: a shifted reading is right where it differs from that by the
shift, within one frame. A pair of readings counts as good where both are.

The second table pairs faces with the sound of strangers from other files: how often such a pair is
called good or fair is how often the command would be wrong about somebody who does not speak.
Sentences of GRID are no strangers (all have the same rhythm), and stay out of it.

The third runs the whole command on files that were written with the sound shifted.
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
from avbench.data import Embeddings, FloatArray
from avbench.errors import DataError
from avbench.media import read_audio
from avbench.media.remux import shift_sound
from avbench.methods import EmbeddingMethod
from avbench.models import checkpoint as checkpoints
from avbench.models.two_stream import Extractor
from avbench.progress import track
from avbench.shards import decode_sample
from avbench.similarity import similarity_matrix
from avbench.syncing import Reading, measure, read_offset
from avbench.syncing.faces import find_faces
from avbench.syncing.reading import least_rows
from avbench.timing import FPS, SAMPLES_PER_FRAME

SPLIT = Path(__file__).parents[1] / "leaderboards" / "splits" / "grid.csv"
SEARCH = 15
ROW_FRAMES = 5
TOGETHER = ("wild, one face", "GRID, other speakers", "GRID s1, unseen")
STRANGERS = 300
LENGTHS = (75, 120, 200)


@dataclass(frozen=True, eq=False)
class Face:
    """One face that is seen for long enough, with its embeddings."""

    file: Path
    group: str
    start: int
    rows: Embeddings
    sound: FloatArray
    """Of the whole file."""

    @property
    def frames(self) -> int:
        """Length in frames."""
        return len(self.rows.video) + ROW_FRAMES - 1


@dataclass(frozen=True)
class Row:
    """One face at one shift."""

    group: str
    file: str
    start: int
    frames: int
    shift: int
    offset: int
    before: int
    """Offset without a shift."""
    confidence: float
    p_value: float
    grade: str
    """The lower one of the two readings."""

    @property
    def right(self) -> bool:
        """Whether the difference is the shift, within one frame."""
        return abs(self.offset - self.before - self.shift) <= 1


def chosen_files(media: Path, grid: int) -> Iterator[tuple[Path, str]]:
    """Yield files with the group that they count in."""
    with SPLIT.open(encoding="utf-8") as file:
        test = [row["file"] for row in csv.DictReader(file) if row["split"] == "test"]
    for name in sorted(test)[:grid]:
        yield media / "grid" / name, "GRID s1, unseen"
    with (media / "manifest.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["file"].startswith("grid/others/"):
                yield media / row["file"], "GRID, other speakers"
            elif row["file"].startswith("wild/"):
                kind = "one face" if row["faces"] == "1" else "several faces or shots"
                yield media / row["file"], f"wild, {kind}"


def faces_of(path: Path, group: str, extractor: Extractor) -> Iterator[Face]:
    """Yield the faces of a file that a reading is possible of."""
    with tempfile.TemporaryDirectory() as folder:
        for sample in find_faces(path, Path(folder)).samples:
            clip = decode_sample(sample)
            if len(clip) >= least_rows(SEARCH) + ROW_FRAMES - 1:
                rows = extractor.embed(clip.frames, clip.audio, unit=False)
                start = int(sample.info["facetrack"]["start"])
                yield Face(path, group, start, rows, read_audio(path))


def shifted(sound: FloatArray, frames: int) -> FloatArray:
    """Return sound that is ``frames`` early, late where negative, of the same length."""
    count = abs(frames) * SAMPLES_PER_FRAME
    silence = np.zeros(min(count, len(sound)), sound.dtype)
    if frames > 0:
        return np.concatenate([sound[count:], silence])
    return np.concatenate([silence, sound[: len(sound) - count]])


def read(face: Face, shift: int, extractor: Extractor) -> Reading | None:
    """Read a face whose file's sound is shifted."""
    first = face.start * SAMPLES_PER_FRAME
    size = face.frames * SAMPLES_PER_FRAME
    sound = shifted(face.sound, shift)[first : first + size]
    sound = np.pad(sound, (0, size - len(sound)))
    audio = extractor.embed_sound(sound, unit=False)
    return read_offset(similarity_matrix(audio, face.rows.video), SEARCH)


def rows_of(face: Face, shifts: Iterable[int], extractor: Extractor) -> Iterator[Row]:
    """Yield the readings of a face at every shift."""
    before = read(face, 0, extractor)
    for shift in shifts:
        after = read(face, shift, extractor)
        if before is None or after is None:
            continue
        grade = max(before.grade, after.grade, key=("good", "fair", "low").index)
        yield Row(
            face.group,
            face.file.name,
            face.start,
            face.frames,
            shift,
            after.offset,
            before.offset,
            round(after.confidence, 3),
            float(f"{after.p_value:.4g}"),
            grade,
        )


def strangers(faces: Sequence[Face], frames: int, rng: np.random.Generator) -> list[Reading]:
    """Read windows of faces with windows of the sound of other files."""
    size = frames - ROW_FRAMES + 1
    able = [f for f in faces if len(f.rows.video) >= size and f.group.startswith("wild")]
    found: list[Reading] = []
    while len(found) < STRANGERS:
        seen, heard = (able[k] for k in rng.choice(len(able), 2))
        if seen.file == heard.file:
            continue
        at, to = (int(rng.integers(len(f.rows.video) - size + 1)) for f in (seen, heard))
        pair = similarity_matrix(heard.rows.audio[to : to + size], seen.rows.video[at : at + size])
        reading = read_offset(pair, SEARCH)
        if reading is not None:
            found.append(reading)
    return found


def share(rows: Sequence[Row], grades: Sequence[str]) -> str:
    """Describe how many readings have one of these grades, and how many of them are right."""
    of = [row for row in rows if row.grade in grades]
    right = sum(row.right for row in of)
    if not of:
        return "none"
    return f"{right} of {len(of)} ({right / len(of):.1%})"


def show_shifts(rows: Sequence[Row]) -> None:
    """Print the table of shifts."""
    print("| faces of 3 s and more | faces | right, good | right, good or fair | right, all |")
    print("|---|---:|---:|---:|---:|")
    rows = [row for row in rows if row.frames >= 3 * FPS]
    single = [row for row in rows if row.group in TOGETHER]
    names = sorted({row.group for row in rows})
    groups = [(name, [row for row in rows if row.group == name]) for name in names]
    for name, of in [*groups, ("all with one face", single)]:
        faces = len({(row.file, row.start, row.frames) for row in of})
        cells = [share(of, g) for g in (["good"], ["good", "fair"], ["good", "fair", "low"])]
        print(f"| {name} | {faces} | {' | '.join(cells)} |")


def show_strangers(faces: Sequence[Face]) -> None:
    """Print how often strangers' sound is believed."""
    print("\n| sound of strangers | pairs | called good | called good or fair |")
    print("|---|---:|---:|---:|")
    for frames in LENGTHS:
        found = strangers(faces, frames, np.random.default_rng([0, frames]))
        good = np.mean([reading.grade == "good" for reading in found])
        believed = np.mean([reading.grade != "low" for reading in found])
        print(f"| {frames / FPS:.1f} s | {len(found)} | {good:.1%} | {believed:.1%} |")


def show_files(files: Sequence[Path], method: EmbeddingMethod, rng: np.random.Generator) -> None:
    """Print what the whole command says of files written with the sound shifted."""
    print("\n| file | shift | before | after | words |")
    print("|---|---:|---:|---:|---|")
    with tempfile.TemporaryDirectory() as folder:
        for path in files:
            shift = int(rng.integers(2, 11) * rng.choice([-1, 1]))
            out = Path(folder) / f"{path.stem}.mp4"
            shift_sound(path, out, Fraction(-shift, FPS))
            before, after = (measure(p, method, search=SEARCH).verdict for p in (path, out))
            print(
                f"| {path.name} | {shift:+d} | {before.offset} | {after.offset} | {after.words} |"
            )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; exit code 1 where fewer than 90 % of the good readings are right."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("media", type=Path)
    parser.add_argument("--method", default="lip-geometry")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--grid", type=int, default=20, help="sentences of s1")
    parser.add_argument("--shifts", type=int, default=10, help="largest shift in frames")
    parser.add_argument("--files", type=int, default=4, help="files for the third table")
    parser.add_argument("--out", type=Path, help="JSON file for every reading")
    given = parser.parse_args(arguments)
    weights = given.checkpoint or checkpoints.shipped(given.method)
    extractor = Extractor(checkpoints.load(weights).extractor)
    shifts = [k for k in range(-given.shifts, given.shifts + 1) if k]
    faces: list[Face] = []
    rows: list[Row] = []
    files = list(chosen_files(given.media, given.grid))
    for path, group in track(files, "files", len(files), "file"):
        try:
            found = list(faces_of(path, group, extractor))
        except DataError as error:
            print(error, file=sys.stderr)
            continue
        faces += found
        rows += [row for face in found for row in rows_of(face, shifts, extractor)]
    show_shifts(rows)
    show_strangers(faces)
    if given.files:
        method = methods.load(given.method, given.checkpoint)
        assert isinstance(method, EmbeddingMethod)
        single = [path for path, group in reversed(files) if group in TOGETHER]
        show_files(
            single[:: max(len(single) // given.files, 1)][: given.files],
            method,
            np.random.default_rng(0),
        )
    if given.out:
        given.out.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", "utf-8")
    good = [row for row in rows if row.group in TOGETHER and row.grade == "good"]
    return int(sum(row.right for row in good) < 0.9 * len(good) or not good)


if __name__ == "__main__":
    sys.exit(main())
