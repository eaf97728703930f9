"""Rows of a video without the pictures that it shows again.

A picture that is shown twice says nothing the second time. The streams look at the pictures that
differ from each other, five at a time, and every frame of the video has the row of its picture.
Four numbers follow each row, so that windows can be cut out of the rows as out of any others: the
number of the picture, counted from 1 (0: no picture is shown again, and nothing is known), and the
logarithms of how probable it is that none, one, or more frames were dropped before it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from avbench import features
from avbench.data import IntArray
from avbench.models.corrupt import CENTRE, PAPER_COLUMNS
from avbench.models.drop_field import LOW
from avbench.models.dropped import DropDetector

KNOWN = 4
"""Numbers that follow a row."""


def distinct_rows(rows: torch.Tensor, told: torch.Tensor, number: IntArray) -> torch.Tensor:
    """Give every frame's row to it, with what is known.

    Parameters
    ----------
    rows
        Embeddings around each different picture, see `around`; shape (K, D).
    told
        Of each, as from `avbench.models.dropped.DropDetector.log_probabilities`; shape (K, 3).
    number
        Which of the pictures each frame shows, from 0, never falling; shape (T,).

    Returns
    -------
    torch.Tensor
        Row t is that of the picture of frame t + 2; shape (T - 4, D + 4).
    """
    shown = torch.from_numpy(number[CENTRE : len(number) - CENTRE])
    count = (shown + 1).unsqueeze(-1).to(rows.dtype)
    return torch.cat((rows[shown], count, told[shown].to(rows.dtype)), dim=-1)


def around(count: int) -> IntArray:
    """Return the pictures to embed for a row around each of so many: the first and last repeat.

    >>> around(3).tolist()
    [0, 0, 0, 1, 2, 2, 2]
    """
    return np.arange(-CENTRE, count + features.WINDOW - 1 - CENTRE).clip(0, count - 1)


def unknown(rows: torch.Tensor) -> torch.Tensor:
    """Add numbers that say that nothing is known; (..., D) to (..., D + 4)."""
    return F.pad(rows, (0, KNOWN))


class Gathered(NamedTuple):
    """The different pictures of windows, the one shown in the middle at place 37."""

    rows: torch.Tensor
    """Zero where there is none; shape (B, 75, D)."""
    there: torch.Tensor
    """Whether there is a picture; shape (B, 75)."""
    dropped: torch.Tensor
    """Surely none where there is no picture; shape (B, 75, 3)."""
    place: torch.Tensor
    """Place of each column, -1 where the next column shows the same picture; shape (B, M)."""

    def spread(self, values: torch.Tensor) -> torch.Tensor:
        """Give columns what is said of places; (B, N, 75) to (B, N, M), -inf where none is."""
        index = self.place.clamp_min(0).unsqueeze(1).expand(-1, values.shape[1], -1)
        return values.gather(-1, index).masked_fill(self.place.unsqueeze(1) < 0, -torch.inf)

    def collect(self, values: torch.Tensor) -> torch.Tensor:
        """Give places what is said of columns; (N, M) to (B, N, 75), False where there is none."""
        out = values.new_zeros(len(self.place), values.shape[0], PAPER_COLUMNS)
        window, column = torch.nonzero(self.place >= 0, as_tuple=True)
        out[window, :, self.place[window, column]] = values[:, column].T
        return out


def gather(video: torch.Tensor) -> Gathered:
    """Leave out what windows show again: of copies the last one stays.

    Parameters
    ----------
    video
        Rows of which all is known; shape (B, M, D + 4), M at most 75.
    """
    number = video[..., -KNOWN].long()
    columns = number.shape[1]
    stays = F.pad(number.diff(dim=1) > 0, (0, 1), value=True)
    middle = number[:, columns // 2].unsqueeze(-1)
    place = torch.where(stays, number - middle + PAPER_COLUMNS // 2, -1)
    window, column = torch.nonzero(stays, as_tuple=True)
    full = video.new_zeros(len(video), PAPER_COLUMNS, video.shape[-1])
    full[..., 2 - KNOWN :] = LOW  # so that no way leads through places without a picture
    full[window, place[window, column]] = video[window, column]
    return Gathered(full[..., :-KNOWN], full[..., -KNOWN] > 0, full[..., 1 - KNOWN :], place)


def tell(detector: DropDetector, pictures: torch.Tensor) -> torch.Tensor:
    """Return what a detector says of different pictures, in full precision; (K, 3)."""
    with torch.no_grad(), torch.autocast(pictures.device.type, enabled=False):
        return detector.log_probabilities(pictures)
