"""What a small pinned set gave when somebody last looked: every answer, and the counts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd

from avbench.data import JSON
from avbench.errors import DataError
from avbench.leaderboard.card import metric_versions, parameters, platform, task_of
from avbench.metrics.offset import outcomes
from avbench.results import Run
from avbench.shards import write_json

FORMAT = 1
TRUTH = "truth"
"""Stands among the methods for what they should have answered."""
Said: TypeAlias = "tuple[int | None, ...]"
"""Predicted offsets of one clip by repeat and window; None: no answer."""
Answers: TypeAlias = dict[str, dict[int, dict[str, Said]]]
"""Method -> window length -> clip -> what was said."""
Cell: TypeAlias = tuple[str, int, str]
"""Method, window length, metric."""


@dataclass(frozen=True, eq=False)
class Tally:
    """Hits and questions by clip."""

    hits: Mapping[str, int]
    asked: Mapping[str, int]

    @property
    def total(self) -> int:
        """Hits over all clips."""
        return sum(self.hits.values())

    @property
    def n(self) -> int:
        """Questions over all clips."""
        return sum(self.asked.values())

    @property
    def share(self) -> float:
        """Hits divided by questions."""
        return self.total / self.n


@dataclass(frozen=True, eq=False)
class Expected:
    """What a small set gave when somebody last looked, and what it depended on."""

    identity: Mapping[str, JSON]
    """The parts of the run card that decide how numbers may be compared."""
    answers: Answers
    """Of every method, and of the pseudo-method ``truth``."""

    @classmethod
    def of(cls, run: Run) -> Expected:
        """Take what a run gave as the expectation."""
        card = run.block
        names = ("dataset", "split", "task", "questions_sha256", "shards_sha256", "clips_sha256")
        identity = {name: card.get(name) for name in (*names, "commit")}
        identity |= {
            "platform": platform(card),
            "parameters": parameters(card),
            "metrics": metric_versions(task_of(card)),
        }
        return cls(identity, _answers(run.predictions))

    def tallies(self) -> dict[Cell, Tally]:
        """Count the hits of every method, window length and share, by clip."""
        return _tallies(self.answers, self.identity["task"]["tolerances"])

    def write(self, path: Path) -> None:
        """Write it as JSON: counts to read, answers in compact form to compare with."""
        counts: dict[str, JSON] = {}
        for (method, window, metric), tally in sorted(self.tallies().items()):
            row = counts.setdefault(method, {}).setdefault(str(window), {"questions": tally.n})
            row[metric] = tally.total
        answers = {
            method: {
                str(window): {key: _packed(said) for key, said in sorted(clips.items())}
                for window, clips in sorted(windows.items())
            }
            for method, windows in sorted(self.answers.items())
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {"format": FORMAT, **self.identity, "counts": counts, "answers": answers}
        write_json(path, content)

    @classmethod
    def read(cls, path: Path) -> Expected:
        """Read it back.

        Raises
        ------
        DataError
            If there is no such file, or it is damaged or of another format.
        """
        try:
            content = json.loads(path.read_text("utf-8"))
            if content.pop("format") != FORMAT:
                raise ValueError("another format")
            content.pop("counts")
            answers = {
                method: {
                    int(window): {key: _unpacked(text) for key, text in clips.items()}
                    for window, clips in windows.items()
                }
                for method, windows in content.pop("answers").items()
            }
            answers[TRUTH]
        except FileNotFoundError:
            raise DataError(
                f"there is no expectation {path}; make one with "
                f"'avbench leaderboard update RESULTS --expected {path}'"
            ) from None
        except (ValueError, KeyError, AttributeError, TypeError, OSError) as error:
            raise DataError(
                f"{path} is not an expectation ({error!r}); make it again with "
                f"'avbench leaderboard update RESULTS --expected {path}'"
            ) from error
        return cls(content, answers)


def _packed(said: Said) -> str:
    return " ".join("." if offset is None else str(offset) for offset in said)


def _unpacked(text: str) -> Said:
    return tuple(None if word == "." else int(word) for word in text.split())


def _answers(predictions: pd.DataFrame) -> Answers:
    ordered = predictions.sort_values(["repeat", "window"], kind="stable")
    found: Answers = {}
    for (method, _, key), part in ordered.groupby(["method", "length", "key"], sort=True):
        length = int(part["length"].iloc[0])
        said = tuple(None if pd.isna(x) else int(x) for x in part["predicted"])
        found.setdefault(str(method), {}).setdefault(length, {})[str(key)] = said
        truth = tuple(int(x) for x in part["offset"])
        found.setdefault(TRUTH, {}).setdefault(length, {})[str(key)] = truth
    return found


def _tallies(answers: Answers, tolerances: Sequence[int]) -> dict[Cell, Tally]:
    found: dict[Cell, Tally] = {}
    for method, windows in answers.items():
        if method == TRUTH:
            continue
        for window, clips in windows.items():
            asked = {key: len(said) for key, said in clips.items()}
            truth = [offset for key in clips for offset in answers[TRUTH][window][key]]
            said = np.array([x for key in clips for x in clips[key]], dtype=np.float64)
            stops = np.cumsum(list(asked.values()))
            for metric, hit in outcomes(
                np.array(truth, dtype=np.float64), said, tolerances
            ).items():
                hits = (int(part.sum()) for part in np.split(hit, stops[:-1]))
                found[method, window, metric] = Tally(dict(zip(clips, hits, strict=True)), asked)
    return found
