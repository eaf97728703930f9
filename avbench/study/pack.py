"""A study as a folder: videos under meaningless names, a page, and the key that is kept apart."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from avbench.data import JSON
from avbench.distort import rng_for
from avbench.errors import DataError, UsageError
from avbench.media import probe
from avbench.media.retime import output_rate, retime, sound_blocks, sound_form
from avbench.shards import write_json
from avbench.study.design import MODIFIED, REAL, Trial, assign

ENDINGS = (".mp4", ".m4v", ".mov", ".mkv", ".avi", ".mpg", ".webm")
KEY, PAGE, MEDIA = "key.json", "page", "media"
Watch = Callable[[Sequence[tuple[str, str]]], Iterable[tuple[str, str]]]
"""Passes videos on while showing how many are done."""


@dataclass(frozen=True)
class Study:
    """What was written."""

    folder: Path
    trials: tuple[Trial, ...]
    items: tuple[str, ...]

    @property
    def page(self) -> Path:
        """What participants open."""
        return self.folder / PAGE / "index.html"


def find_pairs(real: Path, modified: Path) -> dict[str, dict[str, Path]]:
    """Pair the videos of two folders by their names without the ending.

    Raises
    ------
    DataError
        If a video has no partner, or there are none.
    """
    found = {REAL: _videos(real), MODIFIED: _videos(modified)}
    lonely = sorted(set(found[REAL]) ^ set(found[MODIFIED]))
    if lonely:
        where = modified if lonely[0] in found[REAL] else real
        raise DataError(f"{where}: holds no video '{lonely[0]}'; both folders must hold the same.")
    if not found[REAL]:
        raise DataError(f"{real}: holds no video whose name ends in {', '.join(ENDINGS)}.")
    return {
        name: {version: found[version][name] for version in found} for name in sorted(found[REAL])
    }


def _videos(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise DataError(f"{folder}: is no folder; name one that holds videos.")
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in ENDINGS)
    names = {path.stem: path for path in paths}
    if len(names) < len(paths):
        raise DataError(f"{folder}: holds two videos of one name; rename one.")
    return names


def make_study(
    pairs: dict[str, dict[str, Path]],
    folder: Path,
    *,
    participants: int,
    per: int,
    seed: int,
    title: str = "Real or modified?",
    watch: Watch = lambda videos: videos,
) -> Study:
    """Write a study.

    Both versions are coded anew in the same way, so that neither the kind of file nor its quality
    tells them apart. ``page/`` is for the participants and holds nothing that says which is which;
    ``key.json`` is not for them.

    Parameters
    ----------
    pairs
        From `find_pairs`.
    folder
        To write to; it must not exist, or be empty.
    participants, per, seed
        As for `avbench.study.design.assign`.
    title
        Of the page.
    watch
        Shows the progress over videos.

    Raises
    ------
    UsageError
        If the folder holds something already.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: holds something already; name another folder")
    trials = assign(list(pairs), participants, per, seed)
    shown = sorted({(trial.item, trial.version) for trial in trials})
    drawn = rng_for(seed, "study-names", *pairs).permutation(len(shown))
    names = {video: f"v{int(n) + 1:03d}.mp4" for video, n in zip(shown, drawn, strict=True)}
    for item, version in watch(shown):
        _copy(pairs[item][version], folder / PAGE / MEDIA / names[item, version])
    identity = hashlib.sha256(repr([seed, sorted(pairs), participants, per]).encode()).hexdigest()
    plan: dict[str, list[str]] = {}
    for trial in trials:
        plan.setdefault(str(trial.participant), []).append(names[trial.item, trial.version])
    study = Study(folder, tuple(trials), tuple(pairs))
    page = _page({"study": identity[:12], "title": title, "plan": plan})
    study.page.write_text(page, "utf-8")
    key: dict[str, JSON] = {
        "format": 1,
        "study": identity[:12],
        "seed": seed,
        "participants": participants,
        "videos_per_participant": per,
        "videos": {names[video]: {"item": video[0], "version": video[1]} for video in shown},
        "plan": plan,
    }
    write_json(folder / KEY, key)
    return study


def _copy(source: Path, out: Path) -> None:
    """Code a video anew, its pictures and sound as they are."""
    rate, seconds = output_rate(source), probe(source).duration_s
    times = np.arange(max(round(seconds * rate), 1)) / float(rate)
    sound = sound_blocks(source, from_picture=True)
    retime(source, out, times, rate, sound, sound_form(source))


def _page(facts: dict[str, JSON]) -> str:
    """Return the page: style, script and plan within it, nothing loaded but the videos."""
    style, script, template = (
        files("avbench.study.assets").joinpath(name).read_text("utf-8")
        for name in ("study.css", "study.js", "study.html")
    )
    data = json.dumps(facts, sort_keys=True).replace("<", "\\u003c")
    return (
        template.replace("@TITLE@", html.escape(str(facts["title"])))
        .replace("@STYLE_HASH@", _hash(style))
        .replace("@SCRIPT_HASH@", _hash(script))
        .replace("@STYLE@", style)
        .replace("@DATA@", data)
        .replace("@SCRIPT@", script)
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
