"""Write made videos and their truths to a directory, with many workers and resumable."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from avbench import __version__
from avbench.data import JSON
from avbench.errors import DataError, UsageError
from avbench.progress import bar
from avbench.synthetic.presets import DEFAULT_PRESET, find_preset
from avbench.synthetic.programme import MAX_OFFSET, Rendered, render_programme, render_talking
from avbench.synthetic.truth import FORMAT
from avbench.synthetic.voice import espeak_files

KINDS = {"talking": 6.0, "programme": 30.0}
"""Kind of video -> its usual length in seconds."""
CRF = 23
"""H.264 quality of the written videos."""
MANIFEST = "corpus.json"


@dataclass(frozen=True)
class CorpusRequest:
    """What a corpus holds."""

    videos: int
    pool: str = "train"
    preset: str = DEFAULT_PRESET
    kind: str = "talking"
    seconds: float | None = None
    """Length of each video; None takes the kind's usual one."""
    seed: int = 0
    first: int = 0
    """Number of the first video within the pool."""
    offset: int = 0
    """Planted in every video, in frames (positive: audio leads)."""
    shot_offsets: int = 0
    """Every shot of a programme draws its own offset within this many frames."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"no kind of video is called '{self.kind}'; choose from {[*KINDS]}")
        if self.videos < 1 or self.first < 0:
            raise UsageError(f"cannot make {self.videos} videos from number {self.first}")
        if self.shot_offsets and self.kind != "programme":
            raise UsageError("only a programme has shots with offsets of their own")
        find_preset(self.preset)

    @property
    def length_s(self) -> float:
        """Length of each video in seconds."""
        return KINDS[self.kind] if self.seconds is None else self.seconds

    def render(self, index: int) -> Rendered:
        """Make video ``index`` in memory."""
        common = {
            "seed": self.seed,
            "pool": self.pool,
            "preset": self.preset,
            "seconds": self.length_s,
            "offset": self.offset,
        }
        if self.kind == "talking":
            return render_talking(index, **common)  # type: ignore[arg-type]
        return render_programme(index, **common, shot_offsets=self.shot_offsets)  # type: ignore[arg-type]

    def recipe(self, index: int) -> dict[str, JSON]:
        """Return what the truth file of video ``index`` says about its making."""
        return {
            "kind": self.kind,
            "index": index,
            "seed": self.seed,
            "pool": self.pool,
            "preset": self.preset,
            "seconds": self.length_s,
            "offset": self.offset,
            "shot_offsets": self.shot_offsets,
        }

    def key(self, index: int) -> str:
        """Return the name of video ``index``."""
        return f"{self.kind}-{self.pool}-{index:06d}"


def write_corpus(out: Path, request: CorpusRequest, *, workers: int = 1) -> dict[str, JSON]:
    """Make the videos that are not there yet, then write ``corpus.json``; return its content.

    Every ``<key>.mp4`` has ``<key>.truth.json`` beside it, which is written after it: a video
    with a truth is complete. The bytes do not depend on the workers or on interruptions.

    Parameters
    ----------
    out
        Directory, made if absent.
    request
        What to make.
    workers
        Processes.

    Raises
    ------
    UsageError
        If the directory holds videos of the same names made otherwise.
    DataError
        If a truth file there is damaged.
    MissingDependency
        If espeakng-loader is not installed.
    """
    espeak_files()
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    (out / MANIFEST).unlink(missing_ok=True)
    indices = range(request.first, request.first + request.videos)
    missing = [index for index in indices if not _is_done(out, request, index)]
    with bar("making videos", total=len(indices), unit="video") as progress:
        progress.update(len(indices) - len(missing))
        for _ in _in_processes(partial(_write_one, out, request), missing, workers):
            progress.update(1)
    manifest = _manifest(out, request, indices)
    _write_json(out / MANIFEST, manifest, indent=1)
    return manifest


def _is_done(out: Path, request: CorpusRequest, index: int) -> bool:
    path = out / f"{request.key(index)}.truth.json"
    if not path.exists() or not path.with_name(f"{request.key(index)}.mp4").exists():
        return False
    try:
        truth = json.loads(path.read_text("utf-8"))
        found, version = truth["recipe"], truth["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no truth file; remove it to make its video again") from error
    wanted = json.loads(json.dumps(request.recipe(index)))
    if version != FORMAT or found != wanted:
        names = sorted(name for name in wanted if found.get(name) != wanted[name])
        raise UsageError(
            f"{path} was made with another {', '.join(names) or 'format'}; "
            "choose an empty directory with --out"
        )
    return True


def _write_one(out: Path, request: CorpusRequest, index: int) -> str:
    import cv2

    from avbench.media import write_video

    made = request.render(index)
    key = request.key(index)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        write_video(out / f"{key}.mp4", made.pictures(), made.audio, crf=CRF)
    finally:
        cv2.setNumThreads(threads)
    _write_json(out / f"{key}.truth.json", made.truth.to_json())
    return key


def _in_processes(task: partial[str], indices: Iterable[int], workers: int) -> Iterator[str]:
    """Yield the task's results as they come, from this process where one worker is enough."""
    if workers <= 1:
        yield from map(task, indices)
        return
    # Spawned, not forked: a process that holds threads cannot be forked safely.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        waiting = iter(indices)
        pending = {pool.submit(task, index) for index, _ in zip(waiting, range(2 * workers))}
        try:
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
                    for index in waiting:
                        pending.add(pool.submit(task, index))
                        break
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _manifest(out: Path, request: CorpusRequest, indices: range) -> dict[str, JSON]:
    videos = []
    for index in indices:
        path = out / f"{request.key(index)}.mp4"
        videos.append({"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()})
    recipe = request.recipe(request.first)
    del recipe["index"]
    return {
        "format": "avbench-corpus-1",
        "avbench": __version__,
        "recipe": recipe,
        "preset": find_preset(request.preset).to_json(),
        "first": request.first,
        "videos": videos,
        "seconds": round(len(videos) * request.length_s, 3),
    }


def _write_json(path: Path, value: JSON, indent: int | None = None) -> None:
    part = path.with_name(path.name + ".part")
    separators = (",", ":") if indent is None else None
    with part.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=indent, separators=separators)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


__all__ = ["CRF", "KINDS", "MANIFEST", "MAX_OFFSET", "CorpusRequest", "write_corpus"]
