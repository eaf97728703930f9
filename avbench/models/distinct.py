"""Rows of a video without the pictures that it shows again.

A picture that is shown twice says nothing the second time. The streams look at the pictures that
differ from each other, and every frame of the video has the row of its picture. Five moments in a
row are looked at, as in any other video: a frame that was dropped, as far as can be told, is made
from the pictures before and after it.

Four numbers follow each row, so that windows can be cut out of the rows as out of any others: the
number of the picture, counted from 1 (0: no picture is shown again, and nothing is known), and the
logarithms of how probable it is that none, one, or more frames were dropped before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

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
        Embeddings around each different picture, see `TimeLine`; shape (K, D).
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


@dataclass(frozen=True, eq=False)
class TimeLine:
    """When different pictures were taken, as is likeliest.

    Moments are numbered from two before the first picture to two after the last.
    """

    before: IntArray
    """The picture at each moment, or the last one before it; shape (T,)."""
    weight: torch.Tensor
    """What the next picture has of each moment, in [0, 1); shape (T,)."""
    row: IntArray
    """Row of each picture, which sees two moments before it and two after; shape (K,)."""

    def restore(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return a picture of every moment; (K, ...) to (T, ...)."""
        after = np.minimum(self.before + 1, len(pictures) - 1)
        weight = self.weight.view(-1, *[1] * (pictures.ndim - 1))
        old, new = pictures[self.before], pictures[after]
        # What weighs nothing must not spoil the rest: where no face was found, there are no points.
        mixed = torch.where(weight > 0, old * (1 - weight) + new * weight, old)
        return mixed if pictures.is_floating_point() else mixed.round().to(pictures.dtype)


def time_line(told: torch.Tensor) -> TimeLine:
    """Place pictures in time.

    Parameters
    ----------
    told
        As in `distinct_rows`.

    Examples
    --------
    >>> line = time_line(torch.tensor([[0.9, 0.1], [0.2, 0.8]]).log())  # one frame is missing
    >>> line.before.tolist(), line.weight.tolist(), line.row.tolist()
    ([0, 0, 0, 0, 1, 1, 1], [0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0], [0, 2])
    """
    taken = _taken(told).numpy() - int(told[0].argmax()) - 1
    moments = np.arange(-CENTRE, taken[-1] + CENTRE + 1).clip(0, taken[-1])
    before = np.searchsorted(taken, moments, side="right") - 1
    gap = np.append(np.diff(taken), 1)[before]
    return TimeLine(before, torch.from_numpy((moments - taken[before]) / gap).float(), taken)


def _taken(told: torch.Tensor) -> torch.Tensor:
    """Count the frames up to each picture, dropped ones too; (..., K, 3) to (..., K)."""
    return (told.argmax(dim=-1) + 1).cumsum(dim=-1)


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

    @property
    def time(self) -> torch.Tensor:
        """When each picture was taken, as is likeliest, that at place 37 at 75; shape (B, 75)."""
        taken = _taken(self.dropped)
        since = taken - taken[:, PAPER_COLUMNS // 2].unsqueeze(-1)
        return (since + PAPER_COLUMNS).clamp(0, 2 * PAPER_COLUMNS)

    def lay_out(self, values: torch.Tensor, fill: torch.Tensor) -> torch.Tensor:
        """Lay what is said of places out in time; (B, N, 75) to (B, N, 151).

        Where there is no picture it is ``fill``; shape (B, N, 1).
        """
        wide = fill.expand(-1, -1, 2 * PAPER_COLUMNS + 1)
        return wide.scatter(-1, self.time.unsqueeze(1).expand_as(values), values)

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
