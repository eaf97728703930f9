"""Who says which sentence, and the pairs that follow."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from avbench.errors import DataError

TCD_SENTENCES = ("sa1", "sa2")
TCD_SPEAKERS = 5
"""The first ones, as in Shalev and Wolf (2020, section 5.2): three men and two women, 40 pairs."""
TCD_VIEW = "straightcam"
_COLUMNS = ("file", "speaker", "sentence")


@dataclass(frozen=True, order=True)
class Recording:
    """One file in which one speaker says one sentence."""

    sentence: str
    speaker: str
    file: str
    """Path below the folder of the videos, with forward slashes."""


@dataclass(frozen=True)
class Pair:
    """The picture of one recording and the voice of another."""

    picture: Recording
    voice: Recording

    @property
    def name(self) -> str:
        """Name of the pair."""
        return f"{self.picture.speaker}>{self.voice.speaker}:{self.voice.sentence}"


def read_recordings(path: Path) -> list[Recording]:
    """Read a CSV with the columns file, speaker and sentence.

    Raises
    ------
    DataError
        If the file is absent, lacks a column, or names a file or a speaker's sentence twice.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            table = csv.DictReader(file)
            if missing := [name for name in _COLUMNS if name not in (table.fieldnames or ())]:
                raise DataError(
                    f"{path} has no column {missing[0]}; give a table with {', '.join(_COLUMNS)}"
                )
            rows = [tuple((row[name] or "").strip() for name in _COLUMNS) for row in table]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a table of recordings ({error})") from error
    found = [Recording(sentence, speaker, file) for file, speaker, sentence in rows]
    for what, keys in (
        ("file", [one.file for one in found]),
        ("speaker's sentence", [f"{one.speaker}, {one.sentence}" for one in found]),
    ):
        if twice := next((key for key in keys if keys.count(key) > 1), None):
            raise DataError(f"{path} names the {what} {twice} twice; keep one line")
    return found


def tcd_timit(files: Iterable[str], *, speakers: int = TCD_SPEAKERS) -> list[Recording]:
    """Find the recordings of the paper among the files of TCD-TIMIT.

    Every speaker says sa1 and sa2 (``volunteers/01M/Clips/straightcam/sa1.mp4``); those of the
    first speakers make the 40 pairs of Shalev and Wolf (2020, section 5.2). The first are those
    whose names come first, which are 01M, 02M, 03F, 04M and 05F: three men and two women, as the
    paper says.

    Parameters
    ----------
    files
        Paths below the root of the corpus.
    speakers
        How many speakers.

    Raises
    ------
    DataError
        If fewer speakers have both sentences.
    """
    found: dict[str, dict[str, str]] = {}
    for file in sorted(files):
        parts = PurePosixPath(file).parts
        if len(parts) < 4 or parts[-2].lower() != TCD_VIEW or parts[-3].lower() != "clips":
            continue
        speaker, stem = parts[-4], PurePosixPath(file).stem.lower()
        if stem in TCD_SENTENCES and not speaker.lower().startswith("lipspkr"):
            found.setdefault(speaker, {}).setdefault(stem, file)
    able = [name for name in sorted(found) if len(found[name]) == len(TCD_SENTENCES)]
    if len(able) < speakers:
        raise DataError(
            f"found {len(able)} volunteers with SPEAKER/Clips/{TCD_VIEW}/sa1 and sa2, and this "
            f"needs {speakers}; build the set from the whole corpus"
        )
    return [
        Recording(sentence, speaker, found[speaker][sentence])
        for sentence in TCD_SENTENCES
        for speaker in able[:speakers]
    ]


def pairs_of(recordings: Iterable[Recording]) -> list[Pair]:
    """Return every picture with every other speaker's voice saying the same sentence.

    >>> two = [Recording("s", "a", "a.mp4"), Recording("s", "b", "b.mp4")]
    >>> [pair.name for pair in pairs_of(two)]
    ['a>b:s', 'b>a:s']

    Raises
    ------
    DataError
        If no sentence is said by two speakers.
    """
    known = sorted(recordings)
    pairs = [
        Pair(picture, voice)
        for picture in known
        for voice in known
        if picture.sentence == voice.sentence and picture.speaker != voice.speaker
    ]
    if not pairs:
        raise DataError(
            f"among {len(known)} recordings no sentence is said by two speakers; check the columns "
            "speaker and sentence"
        )
    return pairs


def keys_of(
    recordings: Sequence[Recording], clips: Mapping[str, tuple[str, int]]
) -> dict[str, str]:
    """Find the clip of each recording: the longest, where several faces were followed.

    Parameters
    ----------
    recordings
        To find.
    clips
        Key of each clip -> the file that it was cut from, and its frames.

    Returns
    -------
    dict
        File -> key, of the recordings that have a clip.

    Raises
    ------
    DataError
        If none has.
    """
    wanted = {one.file for one in recordings}
    best: dict[str, tuple[int, str]] = {}
    for key in sorted(clips):
        file, frames = clips[key]
        if file in wanted and frames > best.get(file, (0, ""))[0]:
            best[file] = (frames, key)
    if not best:
        raise DataError(
            f"none of {len(clips)} clips was cut from a recording that is listed, such as "
            f"{min(wanted, default='-')}; build the set from the folder that the list is about"
        )
    return {file: key for file, (_, key) in best.items()}
