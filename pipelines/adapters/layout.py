"""How a corpus lies on the disk: what a layout says of every one of its clips.

A layout is a description, not a loader: which files are clips, who speaks, which official split a
clip is in, whether the pictures are face crops already, and what lies beside them. Two functions
of paths and texts say it, `Layout.clips` from the names alone (fast for a million files) and
`Layout.read` for one clip at a time from the small files beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from avbench.data import JSON
from avbench.errors import DataError, UsageError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Entry:
    """One clip of a corpus."""

    file: str
    """Path of its picture below the root, with ``/``."""
    split: str = ""
    """Official split: train, val or test; empty where it is drawn."""
    draw: Sequence[str] = SPLITS
    """Splits among which it is drawn, where there is no official one."""
    group: str = ""
    """What stays together when splits are drawn: the speaker, or the recording it was cut from."""
    speaker: str = ""
    part: str = ""
    """The corpus' own name of the subset it is in, such as pretrain."""
    sound: str = ""
    """Path of its sound below the root, where that is a file of its own."""
    offset: int = 0
    """Offset that the corpus states for the recording, in 25 fps frames of avbench's sign; the
    sound is moved by it, so that the clip is in sync."""
    alignment: tuple[int, ...] = ()
    """Video frame of each 40 ms of its sound, where it is not in sync and is to stay so."""
    facts: Mapping[str, JSON] = field(default_factory=dict)
    """What else is known of it: text, words with times, confidence, boxes."""
    tracks: tuple[Mapping[str, JSON], ...] = ()
    """Facetracks of the video that the corpus gives (`pipelines.adapters.given.Given`)."""


def nothing_more(root: Path, entry: Entry) -> Entry:
    """Return an entry as it is: nothing lies beside the clips of this layout."""
    return entry


@dataclass(frozen=True)
class Layout:
    """A corpus' directory layout."""

    name: str
    """What ``--layout`` calls it."""
    title: str
    """What its makers call it."""
    expected: str
    """What a root holds, for messages."""
    crops: bool
    """Whether its pictures are face crops already."""
    splits: str
    """Where its splits come from, for the data card."""
    licence: str
    """What its makers say of its use, for the data card; no legal advice."""
    cite: str
    """What to cite."""
    clips: Callable[[Path], Iterable[Entry]]
    """Lists the clips below a root from their names; UsageError where it is no such root."""
    read: Callable[[Path, Entry], Entry] = nothing_more
    """Adds what the files beside a clip say."""
    version: int = 1
    """Goes up whenever the same files would be described otherwise."""

    def wrong_root(self, root: Path, problem: str) -> UsageError:
        """Return the error for a root that is not one of this layout."""
        return UsageError(
            f"{root}: {problem}, so it is no {self.title} folder; --layout {self.name} expects "
            f"{self.expected}"
        )


def files(root: Path, *patterns: str) -> Iterator[Path]:
    """Yield the files below a root that match any of the patterns, sorted, none hidden."""
    found = {path for pattern in patterns for path in root.glob(pattern)}
    yield from sorted(path for path in found if path.is_file() and not path.name.startswith("."))


def below(path: Path, root: Path) -> str:
    """Return a path below a root as text with ``/``."""
    return path.relative_to(root).as_posix()


def read_text(path: Path) -> str | None:
    """Return the text of a small file beside a clip; None where there is none.

    Raises
    ------
    DataError
        If it cannot be read, or is no text.
    """
    try:
        return path.read_text("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError:
        raise DataError(f"{path}: is no text in UTF-8; copy it again from its origin.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its access.") from error


def read_lists(folder: Path, names: Mapping[str, str]) -> dict[str, str]:
    """Read lists of clips, one a line, whose first word names the clip.

    Parameters
    ----------
    folder
        Where the lists lie.
    names
        File name -> what its clips are.

    Returns
    -------
    dict
        Clip -> what it is; without those of lists that are not there.

    Raises
    ------
    DataError
        If a clip is in two lists that say otherwise.
    """
    found: dict[str, str] = {}
    for name, meaning in names.items():
        for line in (read_text(folder / name) or "").splitlines():
            clip = line.split()[0].removesuffix(".mp4") if line.split() else ""
            if clip and found.setdefault(clip, meaning) != meaning:
                raise DataError(
                    f"{folder / name}: lists {clip}, which another list has in {found[clip]}; "
                    "clips of two splits would leak: mend the lists."
                )
    return found
