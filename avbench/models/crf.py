"""Alignments that never go back: a conditional random field over picture rows, and what feeds it.

Conventions
-----------
Rows of sound are numbered i = 0 .. N - 1, rows of picture j = 0 .. M - 1. The state at i is the
picture row that belongs to it, and from i to i + 1 it moves on by 0 .. S - 1 picture rows: by 1 in
an undamaged clip, by 0 where a frame was dropped, by more where one was copied. Four occurrences of
a frame at most (Shalev and Wolf, 2020, section 5.1) make S = 5. A *sheared* matrix has the shift
j - i + N - 1 as its columns, N + M - 1 of them, so that a constant shift is one column.

References
----------
J. Lafferty, A. McCallum and F. Pereira, "Conditional Random Fields", ICML 2001. Y. Shalev and L.
Wolf, "End to End Lip Synchronization with a Temporal AutoEncoder", 2020, section 7, names monotone
constraints as future work; they are not part of their method.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

STEPS = (0.1, 0.7, 0.07, 0.07, 0.06)
"""Where the probabilities of moving on by 0, 1, 2, 3 and 4 picture rows start."""


def shear(values: torch.Tensor, fill: float = 0.0) -> torch.Tensor:
    """Lay a matrix out by shift; (..., N, M) to (..., N, N + M - 1), ``fill`` outside it.

    >>> shear(torch.tensor([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [[0.0, 1.0, 2.0], [3.0, 4.0, 0.0]]
    """
    rows, columns = values.shape[-2:]
    padded = F.pad(values, (rows - 1, rows - 1), value=fill)
    return padded.gather(
        -1, _shifted(rows, rows + columns - 1, values).expand(*values.shape[:-1], -1)
    )


def unshear(values: torch.Tensor, columns: int) -> torch.Tensor:
    """Undo `shear`; (..., N, N + M - 1) to (..., N, M) with M = ``columns``."""
    rows = values.shape[-2]
    place = torch.arange(columns, device=values.device) - torch.arange(
        rows, device=values.device
    ).unsqueeze(-1)
    return values.gather(-1, (place + rows - 1).expand(*values.shape[:-1], -1))


def _shifted(rows: int, width: int, values: torch.Tensor) -> torch.Tensor:
    """Return where in a matrix padded by rows - 1 columns each element of a sheared one lies."""
    place = torch.arange(width, device=values.device)
    return place + torch.arange(rows, device=values.device).unsqueeze(-1)


def forward_scores(emission: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    """Return the log of the summed weights of all ways to each state, its own emission included.

    Parameters
    ----------
    emission
        Score of every state; shape (B, N, M).
    steps
        Score of moving on by 0 .. S - 1; shape (S,).

    Returns
    -------
    torch.Tensor
        Shape (B, N, M).
    """
    out = [emission[:, 0]]
    for row in range(1, emission.shape[1]):
        out.append(_arrive(out[-1], steps) + emission[:, row])
    return torch.stack(out, dim=1)


def _arrive(before: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    """Return the log-sum over the states that each one can be reached from; (B, M) to (B, M)."""
    count = len(steps)
    # A score this low adds exactly nothing, and unlike -inf it has a gradient of zero, not NaN.
    padded = F.pad(before, (count - 1, 0), value=-1e9)
    # Window k of state j ends at j: its last element moves on by 0.
    return torch.logsumexp(padded.unfold(-1, count, 1) + steps.flip(0), dim=-1)


def path_score(emission: torch.Tensor, steps: torch.Tensor, path: torch.Tensor) -> torch.Tensor:
    """Return the score of one path; -inf where it goes back or leaps; (B, N) of states to (B,)."""
    moves = path.diff(dim=-1)
    legal = (moves >= 0) & (moves < len(steps))
    moved = torch.where(legal, steps[moves.clamp(0, len(steps) - 1)], -torch.inf)
    return emission.gather(-1, path.unsqueeze(-1)).squeeze(-1).sum(-1) + moved.sum(-1)


class MonotoneCrf(nn.Module):
    """A chain that moves on by a learned distribution of steps.

    Parameters
    ----------
    steps
        Initial probabilities of moving on by 0, 1, 2 ... picture rows. Every first state is as
        likely as any other.
    """

    def __init__(self, steps: tuple[float, ...] = STEPS) -> None:
        super().__init__()
        self.steps = nn.Parameter(torch.tensor(steps).log())

    def forward(self, emission: torch.Tensor) -> torch.Tensor:
        """Return the log of every state's posterior probability (forward-backward).

        Parameters
        ----------
        emission
            Score of every state; shape (B, N, M).

        Returns
        -------
        torch.Tensor
            Rows sum to 1 as probabilities; shape (B, N, M).
        """
        ahead = forward_scores(emission, self.steps)
        # Backwards in time, and with states in reverse, moves look as they do forwards.
        behind = forward_scores(emission.flip(1, 2), self.steps).flip(1, 2)
        joint = ahead + behind - emission
        return joint - torch.logsumexp(joint, dim=-1, keepdim=True)

    def log_likelihood(self, emission: torch.Tensor, path: torch.Tensor) -> torch.Tensor:
        """Return the log-probability of whole paths; (B, N, M) and (B, N) of states to (B,)."""
        total = torch.logsumexp(forward_scores(emission, self.steps)[:, -1], dim=-1)
        return path_score(emission, self.steps, path) - total


@dataclass(frozen=True)
class EmissionConfig:
    """Size of the network that scores states from cosines."""

    channels: int = 8
    layers: int = 3
    kernel: tuple[int, int] = (5, 3)
    """Sound rows and shifts that a convolution spans."""
    gain: float = 8.0
    """Initial factor on the cosine itself."""


class Emission(nn.Module):
    """Score of every pair of rows from the cosines around it along its shift.

    ``CNN([4 S, outside]) + g S`` on sheared cosines S; "outside" marks the corners that lie beyond
    the picture.
    """

    def __init__(self, config: EmissionConfig) -> None:
        super().__init__()
        height, width = config.kernel
        layers: list[nn.Module] = []
        for at in range(config.layers):
            inputs = 2 if at == 0 else config.channels
            padding = (height // 2, width // 2)
            layers += [
                nn.Conv2d(inputs, config.channels, config.kernel, padding=padding),
                nn.ReLU(),
            ]
        self.net = nn.Sequential(*layers, nn.Conv2d(config.channels, 1, 1))
        self.gain = nn.Parameter(torch.tensor(config.gain))

    def forward(self, similarity: torch.Tensor, there: torch.Tensor | None = None) -> torch.Tensor:
        """Return one score per pair; (B, N, M) of cosines to (B, N, M).

        Where ``there`` says which rows of picture there are, shape (B, M), the others lie beyond
        the picture too.
        """
        gone = torch.zeros_like(similarity)
        if there is not None:
            gone = gone + (~there).unsqueeze(1)
        outside = shear(gone, fill=1.0)
        seen = torch.stack((4 * shear(similarity), outside), dim=1)
        found: torch.Tensor = self.net(seen).squeeze(1)
        return unshear(found, similarity.shape[-1]) + self.gain * similarity
