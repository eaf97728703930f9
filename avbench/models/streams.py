"""The layers of the small two-stream networks."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import nn

from avbench import features

Widths: TypeAlias = tuple[int, int, int, int, int]
_Size: TypeAlias = "int | tuple[int, int]"
CODE = 64
"""Numbers that a late-fusion network keeps of each picture."""
_HIDDEN = 256
_FAINT = 0.02
"""Contrast below which a picture is not brought to full contrast, of white."""
_CONTRAST = 0.2
"""Standard deviation of a picture of full contrast."""


class LateFusion(nn.Module):
    """A video stream that looks at each picture by itself and then puts five of them together.

    A picture is seen once, not in five windows, and brought to one contrast, so that a dark face
    counts as much as a bright one.

    Parameters
    ----------
    widths
        Filters of the five convolutions.
    dim
        Length of an embedding.
    """

    def __init__(self, widths: Widths, dim: int) -> None:
        super().__init__()
        self.picture = video_stream(widths, CODE, pictures=1)
        joined = features.WINDOW * CODE
        self.together = nn.Sequential(
            nn.BatchNorm1d(joined),
            *_dense(joined, _HIDDEN),
            *_dense(_HIDDEN, _HIDDEN),
            nn.Linear(_HIDDEN, dim),
        )

    def codes(self, pictures: torch.Tensor) -> torch.Tensor:
        """Describe every picture; (B, T, 48, 48) in [0, 1] to (B, T, `CODE`)."""
        batch, frames = pictures.shape[:2]
        level = pictures.mean(dim=(2, 3), keepdim=True)
        contrast = pictures.std(dim=(2, 3), keepdim=True) + _FAINT
        seen = ((pictures - level) / contrast * _CONTRAST).flatten(0, 1).unsqueeze(1)
        out: torch.Tensor = self.picture(seen.contiguous(memory_format=torch.channels_last))
        return out.view(batch, frames, -1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Embed every five-frame window; (B, T, 48, 48) in [0, 1] to (B, T - 4, D)."""
        windows = self.codes(pictures).unfold(1, features.WINDOW, 1).flatten(2)
        out: torch.Tensor = self.together(windows.flatten(0, 1))
        return out.view(*windows.shape[:2], -1)


def _dense(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU(inplace=True)]


def video_stream(widths: Widths, dim: int, pictures: int = features.WINDOW) -> nn.Sequential:
    """Make layers that bring so many pictures of 48 x 48, as channels, to one embedding."""
    c1, c2, c3, c4, c5 = widths
    stream = nn.Sequential(
        *_block(pictures, c1, 5, stride=2, padding=2),  # 48 -> 24
        nn.MaxPool2d(3, 2, 1),  # 12
        *_block(c1, c2, 3, padding=1),
        nn.MaxPool2d(3, 2, 1),  # 6
        *_block(c2, c3, 3, padding=1),
        *_block(c3, c4, 3, padding=1),
        nn.MaxPool2d(2),  # 3
        *_block(c4, c5, 3),  # 1
        nn.Flatten(),
        nn.Linear(c5, dim),
    )
    return _channels_last(stream)


def audio_stream(widths: Widths, dim: int) -> nn.Sequential:
    """Make layers that bring a window of 40 x 18 log-mel frames to one embedding."""
    c1, c2, c3, c4, c5 = widths
    stream = nn.Sequential(
        *_block(1, c1, (5, 3), stride=(2, 1), padding=(2, 1)),  # 40 x 18 -> 20 x 18
        *_block(c1, c2, 3, padding=1),
        nn.MaxPool2d(2),  # 10 x 9
        *_block(c2, c3, 3, padding=1),
        *_block(c3, c4, 3, padding=1),
        nn.MaxPool2d(2, ceil_mode=True),  # 5 x 5
        *_block(c4, c5, 5),  # 1
        nn.Flatten(),
        nn.Linear(c5, dim),
    )
    return _channels_last(stream)


def dense_audio_stream(widths: Widths, dim: int) -> nn.Sequential:
    """Make layers that bring 40 x M log-mel frames to one embedding per video frame.

    Two poolings halve time, so one row comes out for every four mel frames: one video frame.
    """
    c1, c2, c3, c4, c5 = widths
    stream = nn.Sequential(
        *_block(1, c1, (5, 3), stride=(2, 1), padding=(2, 0)),  # 40 x 18 -> 20 x 16
        *_block(c1, c2, 3, padding=(1, 0)),
        nn.MaxPool2d(2),  # 10 x 7
        *_block(c2, c3, 3, padding=(1, 0)),
        *_block(c3, c4, (3, 2), padding=(1, 0)),
        nn.MaxPool2d(2),  # 5 x 2
        *_block(c4, c5, (5, 2)),  # 1
        nn.Flatten(2),
        _Transpose(),
        nn.Linear(c5, dim),
    )
    return _channels_last(stream)


class _Transpose(nn.Module):
    """Put time before features; (B, D, T) to (B, T, D)."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return rows.transpose(1, 2)


def _channels_last(stream: nn.Sequential) -> nn.Sequential:
    """Lay weights out as CPUs like them best: same numbers, more speed."""
    stream.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return stream


def _block(
    inputs: int, outputs: int, kernel: _Size, stride: _Size = 1, padding: _Size = 0
) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
