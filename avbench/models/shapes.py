"""Mouth shapes as labels: of a drawn head it is known what its mouth does in every frame.

A network that first learns to see that finds what sound and picture have in common far sooner than
one that must discover mouths through their agreement with sound. No paper of the methods does so,
and real videos have no such truth: it is a departure, for the embedded corpus.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from avbench.data import JSON, Clip, FloatArray
from avbench.errors import DataError
from avbench.models.streams import CODE

SPREAD = {"opening": 0.16, "width": 0.25, "rounding": 0.20, "tuck": 0.27, "tongue": 0.14}
"""What a shape consists of, and about how much each number varies over the corpus."""


class MouthTruth:
    """Finds the mouth shapes of clips in the truth files of made videos.

    Parameters
    ----------
    folders
        Where ``VIDEO_ID.truth.json`` of every video lies that clips were cut from; the first that
        has it counts.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = folders

    def __call__(self, clip: Clip) -> FloatArray | None:
        """Return the shape in every frame, each number divided by its `SPREAD`.

        Parameters
        ----------
        clip
            With the provenance that build-shards gave it.

        Returns
        -------
        FloatArray or None
            Shape (T, 5); None where the clip is not within one shot of the video.

        Raises
        ------
        DataError
            If there is no truth file of the video, or it is of another kind.
        """
        track = clip.meta["facetrack"]
        paths = [folder / f"{track['video_id']}.truth.json" for folder in self.folders]
        path = next(filter(Path.is_file, paths), paths[0])
        try:
            shots = json.loads(path.read_text("utf-8"))["shots"]
            start, stop = int(track["start"]), int(track["stop"])
            shot = next((s for s in shots if s["start"] <= start and stop <= s["stop"]), None)
            if shot is None or not shot["faces"]:
                return None
            span = slice(start - shot["start"], stop - shot["start"])
            mouth = _nearest(shot["faces"], track["boxes"], span)["mouth"]
            curves = [np.array(mouth[name][span]) / spread for name, spread in SPREAD.items()]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path} does not say how its mouths move ({type(error).__name__}); give the "
                "folder that avbench synth wrote and the clips were cut from"
            ) from error
        return np.stack(curves, axis=1).astype(np.float32)


def _nearest(
    faces: list[dict[str, Any]], boxes: list[list[float]], span: slice
) -> Mapping[str, JSON]:
    """Return the face whose boxes lie nearest to those of a track."""
    track = np.array(boxes)
    return min(faces, key=lambda face: float(np.abs(np.array(face["boxes"])[span] - track).mean()))


class ShapeLoss(nn.Module):
    """Mean squared error of the shape in every frame, read off its code linearly."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(CODE)
        self.read = nn.Linear(CODE, len(SPREAD))

    def of_codes(self, codes: torch.Tensor, shapes: torch.Tensor) -> torch.Tensor:
        """Return the loss of a batch.

        Parameters
        ----------
        codes
            What a late-fusion network keeps of every picture; shape (B, T, `CODE`).
        shapes
            In units of `SPREAD`; shape (B, T, 5).
        """
        found = self.read(F.relu(self.norm(codes.flatten(0, 1))))
        return F.mse_loss(found, shapes.flatten(0, 1))
