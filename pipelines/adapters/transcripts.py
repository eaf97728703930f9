"""What the small text files beside the clips of public corpora say; pure functions of text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from avbench.data import JSON

GRID_RATE = 25_000
"""Units per second in GRID's alignment files: a thousand per video frame."""
_DIGITS = "zero one two three four five six seven eight nine"
GRID_WORDS = (
    {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    {"b": "blue", "g": "green", "r": "red", "w": "white"},
    {"a": "at", "b": "by", "i": "in", "w": "with"},
    {letter: letter for letter in "abcdefghijklmnopqrstuvxyz"},
    dict(zip("z123456789", _DIGITS.split(), strict=True)),
    {"a": "again", "n": "now", "p": "please", "s": "soon"},
)
"""GRID's grammar: the letter that stands for each word of a sentence in its file's name."""

_SENTENCE = re.compile(r"[bpls][bgrw][abiw][a-vx-z][z1-9][anps]")
_HEADER = re.compile(r"^\s*([A-Za-z][A-Za-z ]*?)\s*:\s*(.*?)\s*$")


def headers(text: str) -> dict[str, str]:
    r"""Return the ``Name: value`` lines of a text by their names in lower case.

    >>> headers("Text:  HELLO THERE\nConf:  3\n\nFRAME X Y W H")
    {'text': 'HELLO THERE', 'conf': '3'}
    """
    matches = (_HEADER.match(line) for line in text.splitlines())
    return {match[1].lower(): match[2] for match in matches if match}


def table(text: str, columns: Sequence[str]) -> Iterator[list[str]]:
    """Yield the rows below the line that names the columns, until an empty line."""
    inside = False
    for line in text.splitlines():
        words = line.split()
        if inside:
            if len(words) != len(columns):
                return
            yield words
        inside = inside or [word.upper() for word in words] == [c.upper() for c in columns]


def boxes(text: str) -> list[list[float]]:
    """Return the rows below ``FRAME X Y W H``: frame of the original video, and its box.

    x and y of the top left corner, width and height, as shares of the original picture.
    """
    return [[int(r[0]), *map(float, r[1:])] for r in table(text, ("FRAME", "X", "Y", "W", "H"))]


def words(text: str) -> list[list[JSON]]:
    """Return the rows below ``WORD START END ASDSCORE``: word, start and end in seconds, score."""
    rows = table(text, ("WORD", "START", "END", "ASDSCORE"))
    return [[row[0], *map(float, row[1:])] for row in rows]


def lrs(text: str) -> dict[str, JSON]:
    """Read the text beside a clip of LRS2 or LRS3.

    Returns
    -------
    dict
        ``text``, and where they are there ``confidence``, ``reference`` (the YouTube video),
        ``boxes`` and ``words``; of those that avbench wrote, ``speaker`` and ``alignment``.
    """
    named = headers(text)
    facts: dict[str, JSON] = {"text": named.get("text", "")}
    if "conf" in named:
        facts["confidence"] = float(named["conf"])
    if "ref" in named:
        facts["reference"] = named["ref"]
    if "speaker" in named:
        facts["speaker"] = named["speaker"]
    if "alignment" in named:
        facts["alignment"] = [int(frame) for frame in named["alignment"].split()]
    return facts | _tables(text)


def _tables(text: str) -> dict[str, JSON]:
    found = {"boxes": boxes(text), "words": words(text)}
    return {name: rows for name, rows in found.items() if rows}


def voxceleb(text: str) -> dict[str, JSON]:
    """Read the text beside a clip of VoxCeleb2.

    Returns
    -------
    dict
        Where they are there ``identity``, ``reference``, ``offset`` (as printed, see
        `pipelines.adapters.voxceleb2`), ``face_confidence``, ``speaking_confidence``, ``boxes``.
    """
    named = headers(text)
    facts: dict[str, JSON] = {n: named[n] for n in ("identity", "reference") if n in named}
    if "offset" in named:
        facts["offset"] = int(named["offset"].split()[0])
    for key, name in (("fv conf", "face_confidence"), ("asd conf", "speaking_confidence")):
        if key in named:
            facts[name] = float(named[key].split()[0])
    return facts | _tables(text)


def lrw(text: str) -> dict[str, JSON]:
    r"""Read the text beside a clip of LRW: where it was broadcast, and how long the word lasts.

    >>> lrw("Disk reference: 62\nChannel: BBC One HD\nDuration: 0.47 seconds")
    {'disk_reference': '62', 'channel': 'BBC One HD', 'word_seconds': 0.47}
    """
    facts: dict[str, JSON] = {k.replace(" ", "_"): v for k, v in headers(text).items()}
    if "duration" in facts:
        facts["word_seconds"] = float(facts.pop("duration").split()[0])
    return facts


def grid_sentence(name: str) -> str:
    """Return the sentence that a file name of GRID stands for; empty where it is none.

    >>> grid_sentence("bbaf2n"), grid_sentence("lwizzp"), grid_sentence("notes")
    ('bin blue at f two now', 'lay white in z zero please', '')
    """
    if not _SENTENCE.fullmatch(name):
        return ""
    return " ".join(choice[letter] for choice, letter in zip(GRID_WORDS, name, strict=True))


def grid_words(text: str) -> list[list[JSON]]:
    r"""Return word, start and end in seconds of every line of a GRID alignment but silences.

    >>> grid_words("0 23750 sil\n23750 29500 bin\n29500 34000 blue")
    [['bin', 0.95, 1.18], ['blue', 1.18, 1.36]]
    """
    rows = [line.split() for line in text.splitlines() if len(line.split()) == 3]
    return [
        [word, int(start) / GRID_RATE, int(stop) / GRID_RATE]
        for start, stop, word in rows
        if word not in ("sil", "sp")
    ]
