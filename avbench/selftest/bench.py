"""A method on its material: what several checks need is measured once, when first asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from avbench.data import Clip, FloatArray
from avbench.selftest import doubt, offsets
from avbench.selftest.material import Material, backwards, cut, own_offset, starts, unrelated
from avbench.selftest.report import Finding
from avbench.selftest.subject import Answer, Subject
from avbench.selftest.sweep import WINDOWS, Sweep, measure, read

_CLIP_FRAMES = 61
"""Frames of the clip that structural checks look at."""
_FEW = 4
"""Windows that the dearer checks ask about."""


@dataclass(frozen=True, eq=False)
class Bench:
    """A method under test and the clips to test it on."""

    subject: Subject
    material: Material
    each: int = WINDOWS
    """Windows per clip that are asked about at every offset."""

    @cached_property
    def clip(self) -> Clip:
        """The clip that structural checks look at."""
        whole = self.material.clips[0]
        return whole.window(0, min(_CLIP_FRAMES, len(whole)))

    @cached_property
    def few(self) -> list[Clip]:
        """A few windows in sync, of different clips."""
        return self.windows()[:_FEW]

    def windows(self, *offsets: int) -> list[Clip]:
        """Return a window of every clip, at the given offsets in turn; in sync where none."""
        length, search = self.subject.length, self.subject.search
        turns = offsets or (0,)
        return [
            cut(clip, place, length, turns[number % len(turns)])
            for number, clip in enumerate(self.material.clips)
            for place in starts(clip, length, search, 1)
        ]

    @cached_property
    def displaced(self) -> list[Clip]:
        """A few windows, sound early and late in turn."""
        return self.windows(*self.two_sided)[:_FEW]

    @property
    def shortest_asked(self) -> int:
        """Length of the shorter windows that are asked about, in frames."""
        return self.subject.short or self.subject.length

    @property
    def two_sided(self) -> tuple[int, int]:
        """An offset to ask about, well inside the search range, and its opposite."""
        far = min(2, self.subject.search)
        return far, -far

    @cached_property
    def sweep(self) -> Sweep:
        """Answers at every offset, in long windows."""
        return self._measure(self.material.clips, self.subject.length)

    @cached_property
    def short_sweep(self) -> Sweep | None:
        """The same in short windows, where it answers any."""
        short = self.subject.short
        return None if short is None else self._measure(self.material.clips, short)

    @cached_property
    def unrelated_sweep(self) -> Sweep:
        """The same where picture and sound come from different clips."""
        return self._measure(unrelated(self.material.clips), self.subject.length)

    def _measure(self, clips: Sequence[Clip], length: int, lead: int = 0) -> Sweep:
        return measure(self.subject, clips, length, self.each, lead)

    @cached_property
    def whole(self) -> list[Answer]:
        """Answers about windows in sync, one of every clip."""
        return [self.subject.ask(window) for window in self.windows()]

    @cached_property
    def spoilt(self) -> dict[str, list[Answer]]:
        """Answers about silence, stills and noise, for windows that it answers unspoilt."""
        pairs = zip(self.windows(), self.whole, strict=True)
        fit = [window for window, answer in pairs if answer.failure is None]
        return doubt.degenerate_answers(self.subject, fit)

    @property
    def knows(self) -> bool:
        """Whether the answers about speech can be told from guessing."""
        return not self.material.missing and read(self.sweep).known

    def failures(self) -> Finding:
        """Count the questions of all sweeps that it failed on."""
        sweeps = [self.sweep, self.short_sweep, self.unrelated_sweep]
        return offsets.failures(*(sweep for sweep in sweeps if sweep is not None))

    def edges(self) -> Finding:
        """Judge the ends of the search range in windows that are short, where they show."""
        return offsets.edges(self.short_sweep or self.sweep)

    def longer(self) -> Finding:
        """Judge whether more frames help."""
        if self.short_sweep is None:
            return Finding("longer", "not-applicable", "It answers windows of one length only.")
        return offsets.longer(self.short_sweep, self.sweep)

    def outside(self) -> Finding:
        """Judge answers from sound that is longer than the picture, for methods that take it."""
        subject = self.subject
        takes = subject.embedding is not None and getattr(subject.method, "hears_outside", False)
        if not takes:
            return Finding("outside", "not-applicable", "It does not declare hears_outside.")
        return offsets.outside(
            self._measure(self.material.clips, self.shortest_asked, subject.search),
            self.short_sweep or self.sweep,
        )

    def reversal(self) -> Finding:
        """Play windows backwards and judge."""
        reading = read(self.sweep)
        if (unknown := offsets.unless_known("reversal", self.sweep, reading)) is not None:
            return unknown
        windows = self.windows(*self.two_sided)
        answers = [self.subject.ask(backwards(window)).offset for window in windows]
        said = [np.nan if offset is None else offset - reading.bias for offset in answers]
        true = [reading.sign * own_offset(window) for window in windows]
        return offsets.reversal(np.array(said, np.float64), np.array(true, np.float64))

    def confidence(self) -> Finding:
        """Compare the confidences in speech with those in nonsense."""
        mixed = Bench(self.subject, Material(unrelated(self.material.clips), ""))
        return doubt.confidence(
            _confidences(self.whole),
            {kind: _confidences(said) for kind, said in self.spoilt.items()},
            _confidences([self.subject.ask(window) for window in mixed.windows()]),
        )


def _confidences(answers: list[Answer]) -> FloatArray:
    return np.array([answer.confidence for answer in answers], np.float64)
