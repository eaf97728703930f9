"""What a shard set holds, counted: the statistics that a paper gives of its data.

The table of the SyncNet paper (Chung and Zisserman, "Out of time", 2016, Table 1) has, for each
split, the recording dates, the number of audio-video pairs and the hours. A genuine pair there is
a clip of five frames with its own sound (section 3.1); a false pair is the same five frames with
the sound of the same clip, shifted by up to two seconds. The paper does not say how densely the
windows lie, so both ways of counting are given.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avbench.data import JSON, FloatArray, IntArray
from avbench.dates import date_of, readings_of_path
from avbench.errors import DataError
from avbench.shards import ShardSet
from avbench.timing import FPS

if TYPE_CHECKING:
    import pandas as pd

PAIRS, DUPLICATES = "pairs.parquet", "duplicates.parquet"
"""Tables that a builder may leave beside the shards."""
WINDOW = 5
"""Frames of a pair (0.2 s)."""
SHIFT = 2 * FPS
"""Largest shift of the sound of a false pair, in frames (2 s)."""
CONFIDENCE_STEP = 0.05
LENGTH_STEPS = (1.0, 5.0, 20.0, 60.0, 600.0)
"""Widths in seconds of the columns of a histogram, the first that gives at most 31."""


@dataclass(frozen=True)
class SplitCount:
    """One line of the table."""

    dataset: str
    split: str
    first: str | None
    """Earliest recording date, ISO; None where no source tells one."""
    last: str | None
    dated: int
    """Sources whose name tells a date."""
    sources: int
    speakers: int | None
    """None where the set does not name them."""
    clips: int
    frames: int
    genuine: int
    """Five-frame windows side by side."""
    windows: int
    """Five-frame windows at every frame."""
    false: int
    """Pairs of such a window with the sound of another within two seconds, in the same clip."""
    drawn: tuple[int, int] | None = None
    """Genuine and false pairs that were drawn and stored; None where the set has none."""

    @property
    def hours(self) -> float:
        """Length of all clips in hours."""
        return self.frames / FPS / 3600


@dataclass(frozen=True)
class Spread:
    """How often each value occurs."""

    name: str
    unit: str
    counts: Mapping[str, int]
    """Value or interval as text -> number, ascending, gaps included."""
    quantiles: Mapping[str, float] = field(default_factory=dict)
    """10 %, 50 % and 90 %."""
    of: str = "clips"
    """What is counted."""


@dataclass(frozen=True)
class Census:
    """What one set holds."""

    dataset: str
    identity: str
    synthetic: bool | None
    splits: Sequence[SplitCount]
    spreads: Sequence[Spread]
    duplicates: Sequence[Mapping[str, JSON]] | None = None
    """Near-duplicates across splits, a row per pair; None where they were not looked for."""


def count_pairs(lengths: IntArray) -> tuple[int, int, int]:
    """Count the pairs that clips of some lengths give.

    Parameters
    ----------
    lengths
        Frames of each clip; shape (N,).

    Returns
    -------
    tuple
        Windows side by side, windows at every frame, and false pairs: each of the latter with
        the sound of every other that begins at most `SHIFT` frames away.

    >>> count_pairs(np.array([12]))
    (2, 8, 56)
    """
    windows = np.maximum(np.asarray(lengths, np.int64) - WINDOW + 1, 0)
    shifts = np.arange(1, SHIFT + 1)
    false = 2 * np.maximum(windows[:, None] - shifts, 0).sum()
    return int((np.asarray(lengths) // WINDOW).sum()), int(windows.sum()), int(false)


def take(found: ShardSet) -> Census:
    """Count what a set holds.

    Raises
    ------
    DataError
        If a shard is missing or damaged.
    """
    index = found.index()
    if index.empty:
        return Census(found.name, found.sha256, found.synthetic, [], [])
    speakers: dict[str, str] = {}
    dates: dict[str, str | None] = {}
    drifts: list[IntArray] = []
    for key, info, shown in _truths(found):
        speakers[key] = str(info.get("speaker") or "")
        dates[key] = _dated(info)
        drift = shown - np.arange(len(shown))
        if len(drift) and np.ptp(drift):
            drifts.append(drift)
    splits = [
        _count(found.name, str(split), part, speakers, dates)
        for split, part in index.groupby("split")
    ]
    drawn = _drawn(found)
    splits = [replace(count, drawn=drawn.get(count.split)) for count in splits]
    spreads = _spreads(index, drifts)
    return Census(found.name, found.sha256, found.synthetic, splits, spreads, _duplicates(found))


def total(counts: Sequence[SplitCount], name: str = "all") -> SplitCount:
    """Add up the lines of splits that share no source.

    Speakers are not added: the same one may be in several.
    """
    firsts = [count.first for count in counts if count.first]
    lasts = [count.last for count in counts if count.last]
    sums = {
        field_: sum(getattr(count, field_) for count in counts)
        for field_ in ("dated", "sources", "clips", "frames", "genuine", "windows", "false")
    }
    return SplitCount(
        dataset=counts[0].dataset,
        split=name,
        first=min(firsts, default=None),
        last=max(lasts, default=None),
        speakers=None,
        drawn=_added([count.drawn for count in counts]),
        **sums,
    )


def _added(drawn: Sequence[tuple[int, int] | None]) -> tuple[int, int] | None:
    known = [pair for pair in drawn if pair is not None]
    return (sum(g for g, _ in known), sum(f for _, f in known)) if known else None


def _drawn(found: ShardSet) -> dict[str, tuple[int, int]]:
    """Return how many genuine and false pairs each split stores, where it stores any."""
    import pandas as pd

    path = found.directory / PAIRS
    if not path.is_file():
        return {}
    genuine = pd.read_parquet(path, columns=["split", "genuine"]).groupby("split")["genuine"]
    counts = genuine.agg(["sum", "size"])
    return {
        str(split): (int(row["sum"]), int(row["size"] - row["sum"]))
        for split, row in counts.iterrows()
    }


def _duplicates(found: ShardSet) -> list[Mapping[str, JSON]] | None:
    """Return the pairs of clips of different splits that show or play the same."""
    import pandas as pd

    path = found.directory / DUPLICATES
    if not path.is_file():
        return None
    table = pd.read_parquet(path)
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def _count(
    dataset: str,
    split: str,
    part: pd.DataFrame,
    speakers: Mapping[str, str],
    dates: Mapping[str, str | None],
) -> SplitCount:
    genuine, windows, false = count_pairs(part["num_frames"].to_numpy())
    owners = part["video_id"] if "video_id" in part else part["key"]
    by_source = dict(zip(owners, (dates.get(str(key)) for key in part["key"]), strict=True))
    known = [date for date in by_source.values() if date]
    named = {speakers[str(key)] for key in part["key"] if speakers.get(str(key))}
    return SplitCount(
        dataset=dataset,
        split=split,
        first=min(known, default=None),
        last=max(known, default=None),
        dated=len(known),
        sources=len(by_source),
        speakers=len(named) or None,
        clips=len(part),
        frames=int(part["num_frames"].sum()),
        genuine=genuine,
        windows=windows,
        false=false,
    )


def _dated(info: Mapping[str, JSON]) -> str | None:
    """Return when a clip was recorded: as the set says, else as its file name does."""
    said = date_of(str(info.get("date") or ""))
    path = str((info.get("source") or {}).get("path", ""))
    return said or next(iter(readings_of_path(path)), None)


def _spreads(index: pd.DataFrame, drifts: Sequence[IntArray]) -> list[Spread]:
    seconds = index["num_frames"].to_numpy() / FPS
    step = next((s for s in LENGTH_STEPS if seconds.max() <= 30 * s), LENGTH_STEPS[-1])
    found = [_binned("length", "s", seconds, step, 0)]
    for column, name in (
        ("offset", "true offset (positive: sound early)"),
        ("sync_offset", "offset measured before any fault"),
    ):
        if column in index and index[column].notna().any():
            found.append(_whole(name, "frames", index[column].dropna().to_numpy(int)))
    if "sync_confidence" in index and index["sync_confidence"].notna().any():
        values = index["sync_confidence"].dropna().to_numpy(float)
        found.append(_binned("sync confidence", "", values, CONFIDENCE_STEP, 2))
    if drifts:
        found.append(_whole("drift over time", "frames", np.concatenate(drifts), "frames"))
        reach = np.array([int(np.abs(drift - drift[0]).max()) for drift in drifts])
        found.append(_whole("farthest drift from the start of a clip", "frames", reach))
    return found


def _whole(name: str, unit: str, values: IntArray, of: str = "clips") -> Spread:
    counts = Counter(values.tolist())
    every = range(min(counts), max(counts) + 1)
    return Spread(name, unit, {f"{v:+d}": counts[v] for v in every}, _quantiles(values), of)


def _binned(name: str, unit: str, values: FloatArray, step: float, digits: int) -> Spread:
    # Rounded first, so that 0.15 / 0.05 falls where it is read.
    bins = Counter(np.floor(np.round(values / step, 6)).astype(int).tolist())
    every = range(min(bins), max(bins) + 1)
    counts = {f"{b * step:.{digits}f} to {(b + 1) * step:.{digits}f}": bins[b] for b in every}
    return Spread(name, unit, counts, _quantiles(values))


def _quantiles(values: FloatArray | IntArray) -> dict[str, float]:
    shares = {"10 %": 0.1, "50 %": 0.5, "90 %": 0.9}
    return {name: round(float(np.quantile(values, q)), 4) for name, q in shares.items()}


def _truths(found: ShardSet) -> Iterator[tuple[str, Mapping[str, JSON], IntArray]]:
    """Yield key, facts and alignment of every sample, passing over pictures and sound."""
    for shard in found.shards:
        yield from _truths_of(found.directory / shard.name)


def _truths_of(path: Path) -> Iterator[tuple[str, Mapping[str, JSON], IntArray]]:
    infos: dict[str, Mapping[str, JSON]] = {}
    shown: dict[str, IntArray] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for entry in tar:
                key, _, suffix = entry.name.partition(".")
                if suffix not in ("json", "alignment.npy"):
                    continue
                stream = tar.extractfile(entry)
                content = stream.read() if stream else b""
                if suffix == "json":
                    infos[key] = json.loads(content)
                else:
                    shown[key] = np.load(io.BytesIO(content), allow_pickle=False)
        for key, info in infos.items():
            yield key, info, shown[key]
    except FileNotFoundError:
        raise DataError(f"{path} is listed in the set and missing; build it again") from None
    except (tarfile.TarError, ValueError, KeyError) as error:
        raise DataError(f"{path} is damaged ({error}); build it again") from error
