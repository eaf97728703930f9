"""What participants said: how often each kind of video was called real, with intervals."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from avbench.data import JSON
from avbench.distort import rng_for
from avbench.errors import DataError
from avbench.statistics import mean_interval, resampled_means, totals
from avbench.study.design import MODIFIED, REAL, VERSIONS

FIELDS = ("study", "participant", "position", "video", "answer")
REPORTED = {REAL: 86, MODIFIED: 83}
"""Percent called real by 20 people in Shalev and Wolf (2020), Table 7."""


@dataclass(frozen=True)
class Answer:
    """What one participant said of one video."""

    participant: str
    item: str
    version: str
    """What it was."""
    said_real: bool


@dataclass(frozen=True)
class Share:
    """A share of answers with its 95 % interval over participants."""

    value: float
    low: float | None
    high: float | None
    """None where there are too few participants for one."""


@dataclass(frozen=True)
class Results:
    """Table 7 of the paper, with intervals over participants."""

    answers: tuple[Answer, ...]
    called_real: dict[str, Share]
    """Version -> share of its videos that was called real."""
    difference: Share
    """Share of the real ones less that of the modified ones, with its 95 % interval."""
    correct: Share
    """Share of right answers; 0.5 is chance."""
    missing: tuple[str, ...]
    """Participants of whom some or all answers are missing."""


def read_answers(paths: Iterable[Path], key: dict[str, JSON]) -> list[Answer]:
    """Read files of answers and say of each what the video was.

    Parameters
    ----------
    paths
        CSV or JSON, as the page saves them.
    key
        The study's ``key.json``.

    Raises
    ------
    DataError
        If a file is of another study, damaged, or answers something twice.
    """
    found: dict[tuple[str, str], Answer] = {}
    for path in paths:
        for row in _rows(path):
            if row["study"] != key["study"]:
                raise DataError(f"{path}: is of study {row['study']}, not of {key['study']}.")
            video, person = row["video"], row["participant"]
            if video not in key["plan"].get(person, ()):
                raise DataError(f"{path}: participant {person} was not to see {video}.")
            if row["answer"] not in VERSIONS:
                raise DataError(
                    f"{path}: holds the answer '{row['answer']}', expected real or modified."
                )
            if (person, video) in found:
                raise DataError(
                    f"{path}: participant {person} answers {video} a second time; give each file "
                    "once."
                )
            truth = key["videos"][video]
            found[person, video] = Answer(
                person, truth["item"], truth["version"], row["answer"] == REAL
            )
    return list(found.values())


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        text = path.read_text("utf-8")
        rows = (
            json.loads(text)
            if path.suffix.lower() == ".json"
            else list(csv.DictReader(text.splitlines()))
        )
        return [{name: str(row[name]) for name in FIELDS} for row in rows]
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: holds no answers of a study; save them from its page.") from error


def read_key(path: Path) -> dict[str, JSON]:
    """Read the key of a study."""
    try:
        key: dict[str, JSON] = json.loads(path.read_text("utf-8"))
        if not {"study", "plan", "videos"} <= set(key):
            raise ValueError("not a key")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{path}: is no key of a study; name the key.json beside its page."
        ) from error
    return key


def results(answers: Sequence[Answer], key: dict[str, JSON], *, seed: int = 0) -> Results:
    """Compute the table.

    Answers of one participant are not independent, so that whole participants are resampled
    (`avbench.statistics`).

    Raises
    ------
    DataError
        If there are no answers about one of the versions.
    """
    for version in VERSIONS:
        if not any(answer.version == version for answer in answers):
            raise DataError(
                f"there is no answer about a {version} video; give more files of answers"
            )
    shares = {
        version: _share(
            [(a.participant, a.said_real) for a in answers if a.version == version], seed, version
        )
        for version in VERSIONS
    }
    right = [(a.participant, a.said_real == (a.version == REAL)) for a in answers]
    people = [a.participant for a in answers]
    told = np.array(
        [[a.said_real if a.version == v else np.nan for v in VERSIONS] for a in answers]
    )
    table = totals(told.astype(float), people)
    means = resampled_means(table, rng_for(seed, "study-difference"))
    gaps = means[:, 0] - means[:, 1]
    low, high = np.nanpercentile(gaps, [2.5, 97.5]).tolist()
    value = float(table.means[0] - table.means[1])
    counts = {person: people.count(person) for person in set(people)}
    missing = [p for p, videos in key["plan"].items() if counts.get(p, 0) < len(videos)]
    gap = Share(value, low, high) if len(counts) > 1 else Share(value, None, None)
    return Results(tuple(answers), shares, gap, _share(right, seed, "right"), tuple(missing))


def _share(values: Sequence[tuple[str, bool]], seed: int, name: str) -> Share:
    people, hits = zip(*values, strict=True)
    told = np.array(hits, float)
    held = mean_interval(told, people, rng=rng_for(seed, "study", name))
    return Share(float(told.mean()), held.low, held.high)


def table_text(found: Results) -> str:
    """Return the table as text, beside what the paper reports."""
    lines = ["| videos | answers | called real (%) | 95 % interval | Shalev and Wolf (2020) |"]
    lines.append("|---|---:|---:|---:|---:|")
    for version in VERSIONS:
        held = found.called_real[version]
        count = sum(answer.version == version for answer in found.answers)
        lines.append(
            f"| {version} | {count} | {100 * held.value:.1f} | {_span(held.low, held.high)} | "
            f"{REPORTED[version]} |"
        )
    gap = found.difference
    people = len({answer.participant for answer in found.answers})
    lines += [
        "",
        f"Difference {100 * gap.value:+.1f} points ({_span(gap.low, gap.high)}); "
        f"right answers {100 * found.correct.value:.1f} % "
        f"({_span(found.correct.low, found.correct.high)}, chance is 50 %); "
        f"{people} participants.",
    ]
    if found.missing:
        lines.append(f"Answers are missing of participants {', '.join(found.missing)}.")
    return "\n".join(lines)


def _span(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "none"
    return f"{100 * low:.1f} to {100 * high:.1f}"


def as_json(found: Results) -> dict[str, JSON]:
    """Return the table as a JSON object; shares are fractions."""
    return {
        "format": 1,
        "answers": len(found.answers),
        "participants": len({answer.participant for answer in found.answers}),
        "called_real": {v: asdict(held) for v, held in found.called_real.items()},
        "difference": asdict(found.difference),
        "correct": asdict(found.correct),
        "missing": list(found.missing),
    }
