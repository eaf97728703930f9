"""Clips as WebDataset samples: writing shards, indexing them, reading them back.

A sample has four members, readable with plain webdataset: ``key.mp4`` (the crop, 25 fps),
``key.flac`` (its sound, 16 kHz mono), ``key.alignment.npy`` (the truth) and ``key.json`` (the
truth in words and numbers, provenance, decisions); a builder may add more. Beside each
``<dataset>-<split>-<000000>.tar`` lie a Parquet table of one row per key and a JSON of totals;
``dataset.json``, written last, describes the set. The same samples give the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np

from avbench.data import JSON, Alignment, Clip, Item, cluster
from avbench.errors import DataError, UnknownName
from avbench.timing import FPS

if TYPE_CHECKING:
    import pandas as pd

FORMAT_VERSION = 1
"""Version of the layout of a sample and of ``dataset.json``."""
MANIFEST = "dataset.json"
FEW = 10
"""Intervals over fewer speakers than these say little."""
_MEMBERS = frozenset({"mp4", "flac", "alignment.npy", "json"})
"""Endings of the members that every sample has."""
_KEY = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, eq=False)
class Sample:
    """One stored clip, still encoded."""

    key: str
    """Unique in its set, ``[a-z0-9-]`` only: readers split member names at the first dot."""
    video: bytes
    """MP4, H.264, 25 fps."""
    sound: bytes
    """FLAC, 16 kHz mono."""
    alignment: Alignment
    info: Mapping[str, JSON]
    """The truth in words and numbers, provenance and decisions."""
    more: Mapping[str, bytes] = field(default_factory=dict)
    """Further members by their endings, such as ``mouth.mp4``."""

    def __post_init__(self) -> None:
        if not _KEY.fullmatch(self.key) or len(self.key) > 80:
            raise ValueError(f"got key {self.key!r}, expected at most 80 of [a-z0-9-], no dot")


@dataclass(frozen=True)
class ShardInfo:
    """Totals of one written shard."""

    name: str
    """File name of the tar."""
    split: str
    samples: int
    frames: int
    bytes: int
    sha256: str


class ShardWriter:
    """Write samples of one split into numbered shards; use it as a context manager.

    Shards are numbered without gaps and never empty; each appears under its name only when it is
    complete. Members carry no time and no owner, so equal samples give equal files.

    Parameters
    ----------
    directory
        Where the shards go; made if absent.
    dataset, split
        Parts of the file names.
    max_count, max_bytes
        A shard is closed before it would exceed either (a single larger sample excepted).
    """

    def __init__(
        self,
        directory: Path,
        dataset: str,
        split: str,
        *,
        max_count: int = 1000,
        max_bytes: int = 2**28,
    ) -> None:
        for part in (dataset, split):
            if not _KEY.fullmatch(part):
                raise ValueError(f"got name {part!r}, expected [a-z0-9-] only")
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self.dataset, self.split = directory, dataset, split
        self.max_count, self.max_bytes = max_count, max_bytes
        self.shards: list[ShardInfo] = []
        self._pending: list[tuple[Sample, dict[str, JSON]]] = []
        self._pending_bytes = 0

    def add(self, sample: Sample, **row: JSON) -> None:
        """Append one sample; ``row`` holds further scalar columns of the index."""
        size = len(sample.video) + len(sample.sound) + sum(map(len, sample.more.values()))
        full = len(self._pending) >= self.max_count
        if self._pending and (full or self._pending_bytes + size > self.max_bytes):
            self._flush()
        frames = len(sample.alignment)
        columns = {"key": sample.key, "split": self.split, "num_frames": frames}
        self._pending.append((sample, {**columns, "seconds": frames / FPS, **row}))
        self._pending_bytes += size

    def close(self) -> None:
        """Write what is pending."""
        if self._pending:
            self._flush()

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()

    def _flush(self) -> None:
        import pandas as pd

        stem = f"{self.dataset}-{self.split}-{len(self.shards):06d}"
        samples = [sample for sample, _ in self._pending]
        index = pd.DataFrame([{**row, "shard": f"{stem}.tar"} for _, row in self._pending])
        tar = self.directory / f"{stem}.tar"
        _write_tar(tar, samples)
        buffer = io.BytesIO()
        index.to_parquet(buffer, index=False)
        write_atomic(tar.with_suffix(".parquet"), buffer.getvalue())
        info = ShardInfo(
            name=tar.name,
            split=self.split,
            samples=len(samples),
            frames=int(index["num_frames"].sum()),
            bytes=tar.stat().st_size,
            sha256=_sha256(tar),
        )
        write_json(tar.with_suffix(".json"), vars(info))
        self.shards.append(info)
        self._pending, self._pending_bytes = [], 0


def _write_tar(path: Path, samples: Iterable[Sample]) -> None:
    import webdataset

    plain: dict[str, Any] = {"mtime": 0, "user": "", "group": "", "mode": 0o644}
    with _written(path) as file, webdataset.TarWriter(file, encoder=False, **plain) as tar:
        for sample in samples:
            alignment = io.BytesIO()
            np.save(alignment, sample.alignment.video_index, allow_pickle=False)
            members: dict[str, Any] = {
                "__key__": sample.key,
                "alignment.npy": alignment.getvalue(),
                "flac": sample.sound,
                "json": to_json(sample.info).encode(),
                "mp4": sample.video,
                **sample.more,
            }
            tar.write(members)


def finish_set(directory: Path, shards: Iterable[ShardInfo], recipe: Mapping[str, JSON]) -> None:
    """Write ``dataset.json``: the recipe, the totals and the shards with their hashes.

    Shards that an earlier run of the same set left behind and that are not listed are removed;
    a tar without its own table and totals beside it is nobody's shard and stays.
    """
    listed = list(shards)
    keep = {info.name for info in listed}
    for old in directory.glob("*-[0-9][0-9][0-9][0-9][0-9][0-9].tar"):
        stale = (old, old.with_suffix(".parquet"), old.with_suffix(".json"))
        if old.name not in keep and all(path.is_file() for path in stale):
            for path in stale:
                path.unlink()
    manifest = {
        "format_version": FORMAT_VERSION,
        "recipe": dict(recipe),
        "samples": sum(info.samples for info in listed),
        "frames": sum(info.frames for info in listed),
        "shards": [vars(info) for info in listed],
    }
    write_json(directory / MANIFEST, manifest)


@dataclass(frozen=True)
class ShardSet:
    """A directory of shards with its manifest."""

    directory: Path
    manifest: Mapping[str, JSON]

    @property
    def shards(self) -> list[ShardInfo]:
        """The shards in order."""
        return [ShardInfo(**entry) for entry in self.manifest["shards"]]

    @property
    def name(self) -> str:
        """Name of the data set, as its builder called it."""
        return str(self.manifest["recipe"].get("dataset") or self.directory.resolve().name)

    @property
    def synthetic(self) -> bool | None:
        """Whether the faces are drawn; None where the builder did not know."""
        return cast("bool | None", self.manifest["recipe"].get("synthetic"))

    @property
    def splits(self) -> list[str]:
        """Names of the splits that hold samples."""
        return sorted({info.split for info in self.shards})

    @property
    def sha256(self) -> str:
        """Hash of all shard hashes: the identity of the data."""
        joined = "".join(info.sha256 for info in self.shards)
        return hashlib.sha256(joined.encode()).hexdigest()

    def index(self, split: str | None = None) -> pd.DataFrame:
        """Return one row per key: split, shard, length, truth and decisions."""
        import pandas as pd

        tables = [self._index_of(info) for info in self._chosen(split)]
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()

    def _index_of(self, info: ShardInfo) -> pd.DataFrame:
        import pandas as pd

        return pd.read_parquet(self.directory / Path(info.name).with_suffix(".parquet"))

    def samples(self, split: str | None = None) -> Iterator[Sample]:
        """Yield the stored samples in shard order, still encoded."""
        for info in self._chosen(split):
            path = self.directory / info.name
            for key, members in _read_tar(path):
                yield _sample_of(path, key, members)

    def items(self, split: str | None = None, limit: int | None = None) -> Iterator[Item]:
        """Yield clips in shard order that are decoded when they are needed.

        Their ``source`` is the speaker where a split has at least ten that are known, so that
        statistics over them mean something, else the video.
        """
        return islice(self._items(split), limit)

    def _items(self, split: str | None) -> Iterator[Item]:
        known = _clusters(self.index(split))
        for info in self._chosen(split):
            path = self.directory / info.name
            for key, members in _read_tar(path):
                yield _item_of(path, key, members, known.get(key, key))

    def count(self, split: str | None = None) -> int:
        """Return the number of samples."""
        return sum(info.samples for info in self._chosen(split))

    def clips(self, split: str | None = None, limit: int | None = None) -> Iterator[Clip]:
        """Yield decoded clips in shard order, at most ``limit`` of them."""
        for number, sample in enumerate(self.samples(split)):
            if limit is not None and number >= limit:
                return
            yield decode_sample(sample)

    def _chosen(self, split: str | None) -> list[ShardInfo]:
        if split is not None and split not in self.splits:
            raise UnknownName("split", split, self.splits)
        return [info for info in self.shards if split in (None, info.split)]


def open_set(directory: Path) -> ShardSet:
    """Open a directory of shards.

    Raises
    ------
    DataError
        If it holds no finished set.
    """
    path = directory / MANIFEST
    try:
        manifest = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"{directory} holds no {MANIFEST}, so no finished shard set; make one with "
            f"'avbench build-shards VIDEOS --out {directory}'"
        ) from None
    except ValueError as error:
        raise DataError(f"{path} is not valid JSON ({error}); build the set again") from None
    if manifest.get("format_version") != FORMAT_VERSION:
        raise DataError(
            f"{path} has format version {manifest.get('format_version')}, expected "
            f"{FORMAT_VERSION}; build the set again with this avbench"
        )
    return ShardSet(directory, manifest)


def read_clips(
    directory: Path, split: str | None = None, limit: int | None = None
) -> Iterator[Clip]:
    """Yield the clips of a shard set in order: `open_set` and `ShardSet.clips` in one."""
    return open_set(directory).clips(split, limit)


def decode_sample(sample: Sample) -> Clip:
    """Decode pictures and sound of a stored sample into a `Clip`."""
    from avbench.media import read_sound, read_video

    try:
        return Clip(
            key=sample.key,
            frames=read_video(sample.video),
            audio=read_sound(sample.sound),
            alignment=sample.alignment,
            meta=sample.info,
        )
    except ValueError as error:
        raise DataError(f"sample {sample.key} is damaged: {error}") from error


def _clusters(index: pd.DataFrame) -> dict[str, str]:
    """Return what each clip shares with others, by its key; see `ShardSet.items`."""
    columns = [c for c in ("key", "video_id", "speaker") if c in index]
    if "speaker" in index and index["speaker"].nunique() < FEW:
        columns.remove("speaker")
    known = index[columns].astype(object).where(index[columns].notna(), None)
    rows = cast("list[dict[str, JSON]]", known.to_dict("records"))
    return {row["key"]: cluster(row, row["key"]) for row in rows}


def _item_of(path: Path, key: str, members: Mapping[str, bytes], source: str) -> Item:
    """Offer a stored clip; all but its length and truth is read when it is decoded."""
    alignment = _alignment_of(path, key, members)
    video, sound = members.get("mp4", b""), members.get("flac", b"")
    digest = hashlib.sha256(video)
    digest.update(len(video).to_bytes(8, "big"))
    digest.update(sound)
    return Item(
        key=key,
        num_frames=len(alignment),
        alignment=alignment,
        load=lambda: decode_sample(_sample_of(path, key, members)),
        source=source,
        sha256=digest.hexdigest(),
    )


def _read_tar(path: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield the members of every sample by their endings."""
    try:
        with tarfile.open(path, "r:") as tar:
            members: dict[str, bytes] = {}
            current = ""
            for entry in tar:
                key, _, suffix = entry.name.partition(".")
                if key != current and members:
                    yield current, members
                    members = {}
                current = key
                stream = tar.extractfile(entry)
                members[suffix] = stream.read() if stream else b""
            if members:
                yield current, members
    except FileNotFoundError:
        raise DataError(f"{path} is listed in {MANIFEST} and missing; build it again") from None
    except tarfile.TarError as error:
        raise DataError(f"{path} is not a readable tar ({error}); build it again") from error


def _sample_of(path: Path, key: str, members: Mapping[str, bytes]) -> Sample:
    try:
        return Sample(
            key=key,
            video=members["mp4"],
            sound=members["flac"],
            alignment=_alignment_of(path, key, members),
            info=json.loads(members["json"]),
            more={kind: value for kind, value in members.items() if kind not in _MEMBERS},
        )
    except KeyError as error:
        raise DataError(f"{path}: sample {key} has no {error.args[0]}; build it again") from None
    except ValueError as error:
        raise DataError(f"{path}: sample {key} is damaged ({error}); build it again") from error


def _alignment_of(path: Path, key: str, members: Mapping[str, bytes]) -> Alignment:
    try:
        return Alignment(np.load(io.BytesIO(members["alignment.npy"]), allow_pickle=False))
    except KeyError as error:
        raise DataError(f"{path}: sample {key} has no {error.args[0]}; build it again") from None
    except (ValueError, EOFError) as error:
        raise DataError(f"{path}: sample {key} is damaged ({error}); build it again") from error


def to_json(value: JSON) -> str:
    """Write JSON the one way avbench stores it: sorted keys, no NaN, final newline."""
    return json.dumps(value, sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def write_json(path: Path, value: JSON) -> None:
    """Write a JSON file atomically."""
    write_atomic(path, to_json(value).encode())


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that it is either whole or absent: part, sync, rename."""
    with _written(path) as file:
        file.write(data)


@contextmanager
def _written(path: Path) -> Iterator[BinaryIO]:
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
