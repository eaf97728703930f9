"""Losses that teach two streams one space."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


def cosine_matrix(audio: torch.Tensor, video: torch.Tensor) -> torch.Tensor:
    """Return the cosine of every audio row with every video row.

    Parameters
    ----------
    audio, video
        Shape (..., A, D) and (..., V, D).

    Returns
    -------
    torch.Tensor
        Rows audio, columns video; shape (..., A, V).
    """
    return F.normalize(audio, dim=-1) @ F.normalize(video, dim=-1).transpose(-1, -2)


class AngularLoss(nn.Module):
    """The angular multi-way matching loss (Kim et al., Eq. 3).

    For each video row, the cross-entropy of finding its own audio row among all audio rows of the
    same clip: a softmax over time of ``w cos``. The ``b`` of Eq. 3 cancels in the softmax, so it is
    not a parameter here.

    Parameters
    ----------
    scale
        Initial value of the learned w.
    both
        Also find the video row of each audio row, and take the mean (Eq. 3 has one direction).
    """

    def __init__(self, scale: float = 10.0, *, both: bool = True) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))
        self.both = both

    def forward(self, similarity: torch.Tensor) -> torch.Tensor:
        """Return the mean loss over rows and clips.

        Parameters
        ----------
        similarity
            Cosines of aligned rows, rows audio, columns video; shape (B, N, N).
        """
        batch, rows, _ = similarity.shape
        logits = self.scale * similarity
        target = torch.arange(rows, device=logits.device).expand(batch, rows)
        # cross_entropy takes classes on axis 1: there, audio rows are the classes of each column.
        loss = F.cross_entropy(logits, target)
        if self.both:
            loss = (loss + F.cross_entropy(logits.transpose(1, 2), target)) / 2
        return loss
