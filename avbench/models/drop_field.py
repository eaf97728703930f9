"""Alignments to pictures of which frames were dropped: a conditional random field over both.

Conventions
-----------
Rows of sound are numbered i = 0 .. N - 1, pictures that differ from each other j = 0 .. M - 1. Each
row of sound is that of a picture that is shown, or of a frame that was dropped, and from row to row
time moves on by one frame. The states at i are thus, for every j:

- the picture j itself;
- the one frame that was dropped before j, which counts as j (`avbench.distort.alignment_of`: the
  later neighbour on a tie);
- the first of two dropped frames before j, which counts as j - 1;
- the second and any later one, which count as j.

How probable each number of dropped frames is before each picture is told from outside
(`avbench.models.dropped`), weighted by learned factors. Now and then a picture is passed over.

References
----------
J. Lafferty, A. McCallum and F. Pereira, "Conditional Random Fields", ICML 2001. The states are
avbench's own.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from avbench.models.corrupt import PAPER_COLUMNS

LOW = -1e9
"""Score of what cannot be: it adds exactly nothing, and unlike -inf its gradient is zero."""
PASSED = (0.97, 0.01, 0.01, 0.01)
"""Where the probabilities of passing over 0, 1, 2 and 3 pictures start."""


class _States(NamedTuple):
    """One number for every state; shape (B, M) each, or (B, N, M) for all rows."""

    shown: torch.Tensor
    one: torch.Tensor
    first: torch.Tensor
    later: torch.Tensor

    def plus(self, other: _States) -> _States:
        return _States(*(a + b for a, b in zip(self, other, strict=True)))

    def row(self, at: int) -> _States:
        return _States(*(values[:, at] for values in self))


class DropField(nn.Module):
    """Posterior of every picture for every row of sound (forward-backward)."""

    def __init__(self) -> None:
        super().__init__()
        self.trust = nn.Parameter(torch.ones(3))
        """Factors on the logarithms that tell what was dropped."""
        self.prior = nn.Parameter(torch.zeros(3))
        self.passed = nn.Parameter(torch.tensor(PASSED).log())
        self.more = nn.Parameter(torch.tensor(-1.0))
        """Log-odds that more than two frames are dropped where two are."""
        self.share = nn.Parameter(torch.tensor(1.0))
        """What a dropped frame keeps of its neighbour's score."""
        self.bias = nn.Parameter(torch.zeros(2))
        self.start = nn.Parameter(torch.zeros(PAPER_COLUMNS))

    def forward(self, emission: torch.Tensor, dropped: torch.Tensor) -> torch.Tensor:
        """Return the log of every picture's posterior probability.

        Parameters
        ----------
        emission
            Score of every pair, `LOW` where a picture is not there; shape (B, N, M), M at most 75.
        dropped
            Logarithms of how probable it is that none, one, or more frames were dropped before each
            picture; shape (B, M, 3).

        Returns
        -------
        torch.Tensor
            Rows sum to 1 as probabilities; shape (B, N, M).
        """
        scores = self._scores(emission)
        told = (self.trust * dropped + self.prior).unbind(-1)
        ahead, behind = self._ahead(scores, told), self._behind(scores, told)
        rows = [one.plus(two) for one, two in zip(ahead, behind, strict=True)]
        shown, one, first, later = (
            torch.stack(values, dim=1) for values in zip(*rows, strict=True)
        )
        joint = _sum(shown, one, _left(first, 1), later)
        return joint - torch.logsumexp(joint, dim=-1, keepdim=True)

    def _scores(self, emission: torch.Tensor) -> _States:
        lost = (self.share * emission).masked_fill(emission <= LOW / 2, LOW)
        later = lost + self.bias[1]
        return _States(emission, lost + self.bias[0], _right(later, 1), later)

    def _ahead(self, scores: _States, told: tuple[torch.Tensor, ...]) -> list[_States]:
        none, one, more = told
        start = self.start[: none.shape[-1]]
        zero = torch.zeros_like(none)
        begin = _States(zero + start, one + start, more + start, more + start)
        out = [scores.row(0).plus(begin)]
        for at in range(1, scores.shown.shape[1]):
            last = out[-1]
            ways = [_right(last.shown, 1 + k) + s + none for k, s in enumerate(self.passed)]
            before = _right(last.shown, 1)
            moved = _States(
                _sum(*ways, last.one, last.later + F.logsigmoid(-self.more)),
                before + one,
                before + more,
                _sum(last.first, last.later + F.logsigmoid(self.more)),
            )
            out.append(moved.plus(scores.row(at)))
        return out

    def _behind(self, scores: _States, told: tuple[torch.Tensor, ...]) -> list[_States]:
        none, one, more = told
        zero = torch.zeros_like(none)
        out = [_States(zero, zero, zero, zero)]
        for at in range(scores.shown.shape[1] - 1, 0, -1):
            after = out[-1].plus(scores.row(at))
            ways = [_left(after.shown + none, 1 + k) + s for k, s in enumerate(self.passed)]
            out.append(
                _States(
                    _sum(*ways, _left(after.one + one, 1), _left(after.first + more, 1)),
                    after.shown,
                    after.later,
                    _sum(
                        after.shown + F.logsigmoid(-self.more),
                        after.later + F.logsigmoid(self.more),
                    ),
                )
            )
        return out[::-1]


def _sum(*scores: torch.Tensor) -> torch.Tensor:
    return torch.logsumexp(torch.stack(scores), dim=0)


def _right(values: torch.Tensor, by: int) -> torch.Tensor:
    """Move by so many pictures towards the later ones; what comes in cannot be."""
    return F.pad(values, (by, 0), value=LOW)[..., : values.shape[-1]]


def _left(values: torch.Tensor, by: int) -> torch.Tensor:
    return F.pad(values, (0, by), value=LOW)[..., by:]
