"""Write made videos and their truths to a directory, with many workers and resumable."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2

from avbench import __version__
from avbench.data import JSON
from avbench.errors import AvbenchError, DataError, UsageError
from avbench.media import write_video
from avbench.progress import bar
from avbench.synthetic import redub
from avbench.synthetic.plan import KINDS, Recipe
from avbench.synthetic.presets import DEFAULT_PRESET, find_preset
from avbench.synthetic.programme import render
from avbench.synthetic.truth import FORMAT
from avbench.synthetic.voice import espeak_files
from avbench.timing import FPS

CRF = 23
"""H.264 quality of the written videos."""
MANIFEST = "corpus.json"
SPLIT = "split.csv"
"""Names the pool as the split and the voice as the speaker, for ``build-shards --split``."""

RECORDINGS = "recordings.csv"
"""Says who says which sentence, for ``avbench redub``."""


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
        if self.videos < 1:
            raise UsageError(f"cannot make {self.videos} videos; ask for at least one")
        self.recipe(self.first)

    @property
    def indices(self) -> range:
        """Numbers of the videos."""
        return range(self.first, self.first + self.videos)

    def recipe(self, index: int) -> Recipe:
        """Return how video ``index`` is made."""
        return Recipe(
            kind=self.kind,
            index=index,
            seed=self.seed,
            pool=self.pool,
            preset=self.preset,
            seconds=KINDS.get(self.kind, 1.0) if self.seconds is None else self.seconds,
            offset=self.offset,
            shot_offsets=self.shot_offsets,
        )


def write_corpus(out: Path, request: CorpusRequest, *, workers: int = 1) -> dict[str, JSON]:
    """Make the videos that are not there yet, then write ``corpus.json``; return its content.

    Talking heads, which have one voice each, also get a ``split.csv``, and redubs a
    ``recordings.csv`` that says who says which sentence.

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
    AvbenchError
        If a worker dies.
    MissingDependency
        If espeakng-loader is not installed.
    """
    espeak_files()
    out = out.resolve()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the directory {out}: {error.strerror}") from error
    recipes = [request.recipe(index) for index in request.indices]
    missing = [recipe for recipe in recipes if not _is_done(out, recipe)]
    (out / MANIFEST).unlink(missing_ok=True)
    with bar("making videos", total=len(recipes), unit="video") as progress:
        progress.update(len(recipes) - len(missing))
        for _ in _in_processes(partial(_write_one, out), missing, workers):
            progress.update(1)
    manifest = _manifest(out, request, recipes)
    if request.kind in ("talking", "redub"):
        _write_split(out, recipes, manifest["videos"])
    if request.kind == "redub":
        _write_recordings(out, recipes)
    _write_json(out / MANIFEST, manifest, indent=1)
    return manifest


def _is_done(out: Path, recipe: Recipe) -> bool:
    path = out / f"{recipe.key}.truth.json"
    if not path.exists() or not (out / f"{recipe.key}.mp4").exists():
        return False
    try:
        truth = json.loads(path.read_text("utf-8"))
        found, version = dict(truth["recipe"]), truth["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no truth file; remove it to make its video again") from error
    wanted = recipe.to_json()
    if version != FORMAT or found != wanted:
        names = sorted(name for name in wanted if found.get(name) != wanted[name])
        raise UsageError(
            f"{path} was made with another {', '.join(names) or 'format'}; "
            "choose an empty directory with --out"
        )
    return True


def _write_one(out: Path, recipe: Recipe) -> str:
    made = render(recipe)
    # OpenCV's own threads would fight over the cores with the other workers.
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        write_video(out / f"{recipe.key}.mp4", made.pictures(), made.audio, crf=CRF)
    finally:
        cv2.setNumThreads(threads)
    _write_json(out / f"{recipe.key}.truth.json", made.truth.to_json())
    return recipe.key


def _in_processes(
    task: Callable[[Recipe], str], recipes: Sequence[Recipe], workers: int
) -> Iterator[str]:
    """Yield the task's results as they come, from this process where one worker is enough."""
    if min(workers, len(recipes)) <= 1:
        yield from map(task, recipes)
        return
    # Spawned, not forked: a process that holds threads cannot be forked safely.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        min(workers, len(recipes)), mp_context=context, initializer=_obey_parent
    ) as pool:
        try:
            for future in as_completed([pool.submit(task, recipe) for recipe in recipes]):
                yield future.result()
        except BrokenProcessPool as error:
            raise AvbenchError(
                "a worker died, perhaps for want of memory; run the same command again to go on, "
                "with fewer --workers"
            ) from error
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _obey_parent() -> None:
    """Let only the main process react to Ctrl-C, and let no worker outlive it.

    A worker finishes the video in hand after Ctrl-C; without its parent it would wait for ever.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def end_with_it() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=end_with_it, daemon=True).start()


def _manifest(out: Path, request: CorpusRequest, recipes: Sequence[Recipe]) -> dict[str, JSON]:
    videos = []
    for recipe in recipes:
        path = out / f"{recipe.key}.mp4"
        videos.append({"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()})
    shared = recipes[0].to_json()
    del shared["index"]
    return {
        "format": "avbench-corpus-1",
        "avbench": __version__,
        "recipe": shared,
        "preset": find_preset(request.preset).to_json(),
        "first": request.first,
        "videos": videos,
        "seconds": round(sum(_seconds(out, recipe) for recipe in recipes), 3),
    }


def _seconds(out: Path, recipe: Recipe) -> float:
    """Return how long a video is; a redub is as long as its speech."""
    if recipe.kind != "redub":
        return recipe.seconds
    truth = json.loads((out / f"{recipe.key}.truth.json").read_text("utf-8"))
    return float(truth["num_frames"]) / FPS


def _write_split(out: Path, recipes: Sequence[Recipe], videos: Sequence[JSON]) -> None:
    """List the videos with their speakers: two of one voice are not independent."""
    lines = ["file,split,speaker,sha256"]
    for recipe, video in zip(recipes, videos, strict=True):
        truth = json.loads((out / f"{recipe.key}.truth.json").read_text("utf-8"))
        voice = truth["shots"][0]["voice"]
        speaker = f"{voice['accent']}+{voice['variant']}"
        lines.append(f"{video['file']},{recipe.pool},{speaker},{video['sha256']}")
    _replace(out / SPLIT, "".join(f"{line}\n" for line in lines))


def _write_recordings(out: Path, recipes: Sequence[Recipe]) -> None:
    lines = ["file,speaker,sentence"]
    for recipe in recipes:
        speaker, sentence = redub.speaker_of(recipe.index), redub.sentence_of(recipe.index)
        lines.append(f"{recipe.key}.mp4,speaker-{speaker},sentence-{sentence}")
    _replace(out / RECORDINGS, "".join(f"{line}\n" for line in lines))


def _write_json(path: Path, value: JSON, indent: int | None = None) -> None:
    separators = (",", ":") if indent is None else None
    _replace(path, json.dumps(value, indent=indent, separators=separators) + "\n")


def _replace(path: Path, content: str) -> None:
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
