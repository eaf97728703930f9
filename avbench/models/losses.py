"""Losses that teach two streams one space, each from the equation it was published with.

Every loss is a module with ``of_rows(audio, video, rng)``: embeddings of aligned rows, shape
(B, N, D) each, row t of one belongs to row t of the other, false pairs come from other times of
the same clip, and the mean over clips comes back. Numbers that a loss learns are its parameters.

References
----------
Chung and Zisserman, "Out of time", 2016 (contrastive). Arandjelovic and Zisserman, "Objects that
sound", 2018 (AVE-Net). Chung, Chung and Kang, "Perfect match", 2019 (multi-way matching). Chung,
Kang and Chung, "Seeing voices and hearing voices", 2020 (angular, cross-domain discriminative).
Kim et al., "End-to-End Lip Synchronisation Based on Pattern Classification", 2021 (angular).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from avbench.errors import UnknownName

REACH = 50
"""False pairs are at most this many frames apart: 2 s, as in Chung and Zisserman (section 3.1)."""


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


def distance_matrix(audio: torch.Tensor, video: torch.Tensor) -> torch.Tensor:
    """Return the Euclidean distance of every audio row from every video row.

    The gradient where two rows are equal is zero, not undefined.

    Parameters
    ----------
    audio, video
        Shape (..., A, D) and (..., V, D).

    Returns
    -------
    torch.Tensor
        Rows audio, columns video; shape (..., A, V).
    """
    difference = audio.unsqueeze(-2) - video.unsqueeze(-3)
    distance: torch.Tensor = torch.linalg.vector_norm(difference, dim=-1)
    return distance


class RowLoss(nn.Module):
    """A loss of aligned rows of sound and pictures."""

    def of_rows(
        self, audio: torch.Tensor, video: torch.Tensor, rng: np.random.Generator
    ) -> torch.Tensor:
        """Return the mean loss over clips.

        Parameters
        ----------
        audio, video
            Embeddings, row t of one belongs to row t of the other; shape (B, N, D) each.
        rng
            Draws false pairs, in losses that look at some of them only.
        """
        raise NotImplementedError


class AngularLoss(RowLoss):
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
        logits = self.scale * similarity
        loss = _matching(logits)
        if self.both:
            loss = (loss + _matching(logits.transpose(1, 2))) / 2
        return loss

    def of_rows(
        self, audio: torch.Tensor, video: torch.Tensor, rng: np.random.Generator
    ) -> torch.Tensor:
        """Return the mean loss over rows and clips; see `RowLoss`."""
        loss: torch.Tensor = self(cosine_matrix(audio, video))
        return loss


def false_pairs(rows: int, reach: int, rng: np.random.Generator) -> np.ndarray:
    """Draw for each of N pictures the row of a sound at another time.

    Uniform over the rows of the clip that are at most ``reach`` away, the true one excluded.

    Returns
    -------
    numpy.ndarray
        Row numbers; shape (N,).

    Raises
    ------
    ValueError
        If there is no other row.
    """
    if rows < 2 or reach < 1:
        raise ValueError(f"got {rows = }, {reach = }, expected at least 2 rows and reach >= 1")
    own = np.arange(rows)
    low, high = np.maximum(own - reach, 0), np.minimum(own + reach, rows - 1)
    drawn = low + np.floor(rng.random(rows) * (high - low)).astype(np.int64)
    return np.asarray(drawn + (drawn >= own))  # skips the true row


class PairLoss(RowLoss):
    """A loss that looks at single pairs: each true one, and a false one for every picture.

    Parameters
    ----------
    reach
        Largest distance in frames of the sound of a false pair.
    """

    def __init__(self, reach: int = REACH) -> None:
        super().__init__()
        self.reach = reach

    def of_rows(
        self, audio: torch.Tensor, video: torch.Tensor, rng: np.random.Generator
    ) -> torch.Tensor:
        """Return the mean loss over as many true as false pairs; see `RowLoss`."""
        batch, rows, _ = video.shape
        other = np.stack([false_pairs(rows, self.reach, rng) for _ in range(batch)])
        index = torch.from_numpy(other).to(audio.device).unsqueeze(-1).expand_as(audio)
        wrong = torch.gather(audio, 1, index)
        genuine = torch.ones(batch, rows, device=audio.device, dtype=audio.dtype)
        return self.of_pairs(
            torch.cat([audio, wrong], 1),
            torch.cat([video, video], 1),
            torch.cat([genuine, torch.zeros_like(genuine)], 1),
        )

    def of_pairs(
        self, audio: torch.Tensor, video: torch.Tensor, genuine: torch.Tensor
    ) -> torch.Tensor:
        """Return the mean loss over pairs; shape (..., D) each, and (...) of 0 or 1."""
        raise NotImplementedError


class ContrastiveLoss(PairLoss):
    """The contrastive loss of SyncNet (Chung and Zisserman, Eq. 1 and 2).

    ``1 / 2N sum y d^2 + (1 - y) max(margin - d, 0)^2`` with the Euclidean distance d of the
    embeddings as they are. Where a false pair coincides, its gradient is zero.

    Parameters
    ----------
    margin
        Distance that false pairs are pushed to. The paper does not state it; 20 is the value that
        Shalev and Wolf trained the same loss with.
    reach
        As in `PairLoss`.
    """

    def __init__(self, margin: float = 20.0, reach: int = REACH) -> None:
        super().__init__(reach)
        self.margin = margin

    def of_pairs(
        self, audio: torch.Tensor, video: torch.Tensor, genuine: torch.Tensor
    ) -> torch.Tensor:
        """Return the mean loss over pairs; see `PairLoss`."""
        distance = torch.linalg.vector_norm(video - audio, dim=-1)
        pulled = genuine * distance**2
        pushed = (1 - genuine) * F.relu(self.margin - distance) ** 2
        loss: torch.Tensor = (pulled + pushed).mean() / 2
        return loss


class AveNetLoss(PairLoss):
    """The binary classification of AVE-Net: whether a pair is genuine.

    The distance d of unit embeddings is all that the classifier sees: it says yes with probability
    ``sigmoid(w (1 - d) + b)``, which is AVE-Net's layer of two outputs and softmax with its two
    redundant numbers taken out. w and b are learned.

    Parameters
    ----------
    scale, bias
        Initial w and b. In [0, 2], unrelated unit vectors are about sqrt(2) apart.
    reach
        As in `PairLoss`.
    """

    def __init__(self, scale: float = 10.0, bias: float = 0.0, reach: int = REACH) -> None:
        super().__init__(reach)
        self.scale = nn.Parameter(torch.tensor(scale))
        self.bias = nn.Parameter(torch.tensor(bias))

    def of_pairs(
        self, audio: torch.Tensor, video: torch.Tensor, genuine: torch.Tensor
    ) -> torch.Tensor:
        """Return the mean cross-entropy over pairs; see `PairLoss`."""
        difference = F.normalize(video, dim=-1) - F.normalize(audio, dim=-1)
        distance = torch.linalg.vector_norm(difference, dim=-1)
        logits = self.scale * (1 - distance) + self.bias
        return F.binary_cross_entropy_with_logits(logits, genuine)


class MultiWayLoss(RowLoss):
    """Multi-way matching with inverse Euclidean distances (Chung et al. 2020, Eq. 1 to 3).

    ``L_AV + L_VA``: the cross-entropy of finding its picture for every sound, plus that of finding
    its sound for every picture, among all rows of the clip, with logits ``1 / distance``.

    The inverse diverges where rows coincide. Here it is ``1 / sqrt(d^2 + floor^2)``: at most
    ``1 / floor``, with a gradient of at most ``0.385 / floor^2`` that vanishes at d = 0. At d = 1
    it differs from the equation by 5e-5 of its value.

    Parameters
    ----------
    both
        Both directions, summed as printed; else only each picture's search for its sound, as in
        "Perfect match" and in Eq. 2 of Kim et al.
    floor
        See above.
    """

    def __init__(self, *, both: bool = True, floor: float = 1e-2) -> None:
        super().__init__()
        self.both = both
        self.floor = floor

    def of_rows(
        self, audio: torch.Tensor, video: torch.Tensor, rng: np.random.Generator
    ) -> torch.Tensor:
        """Return the mean loss over clips; see `RowLoss`."""
        logits = self.logits(audio, video)
        loss = _matching(logits)
        return loss + _matching(logits.transpose(1, 2)) if self.both else loss

    def logits(self, audio: torch.Tensor, video: torch.Tensor) -> torch.Tensor:
        """Return the bounded inverse distance of every pair; (B, N, D) each to (B, N, N)."""
        return (distance_matrix(audio, video) ** 2 + self.floor**2).rsqrt()


class CrossDomainLoss(RowLoss):
    """The cross-domain discriminative loss (Chung et al. 2020, Eq. 4 to 6).

    ``L_AV + L_VA + L_AA,V + L_VV,A`` with ``S = exp(w cos + b)``. The last two set each genuine
    pair against pairs of two sounds, or of two pictures; pairs across modalities are not in their
    denominators. b cancels in all four and is no parameter here.

    Parameters
    ----------
    scale
        Initial value of the learned w.
    """

    def __init__(self, scale: float = 10.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def of_rows(
        self, audio: torch.Tensor, video: torch.Tensor, rng: np.random.Generator
    ) -> torch.Tensor:
        """Return the mean loss over clips; see `RowLoss`."""
        across = self.scale * cosine_matrix(audio, video)
        total = _matching(across) + _matching(across.transpose(1, 2))
        genuine = across.diagonal(dim1=-2, dim2=-1)
        own = torch.eye(across.shape[-1], dtype=torch.bool, device=across.device)
        for rows in (audio, video):
            within = self.scale * cosine_matrix(rows, rows)
            # In place of a row's similarity with itself stands that of the genuine pair.
            total = total + _matching(torch.where(own, genuine.unsqueeze(-1), within))
        return total


def _matching(logits: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy of finding row t for column t; shape (B, N, N)."""
    batch, rows, _ = logits.shape
    target = torch.arange(rows, device=logits.device).expand(batch, rows)
    # cross_entropy takes classes on axis 1.
    return F.cross_entropy(logits, target)


LOSSES: Mapping[str, Callable[[], RowLoss]] = {
    "angular": AngularLoss,
    "angular-video": lambda: AngularLoss(both=False),
    "ave-net": AveNetLoss,
    "cddl": CrossDomainLoss,
    "contrastive": ContrastiveLoss,
    "multi-way": MultiWayLoss,
    "multi-way-video": lambda: MultiWayLoss(both=False),
}
"""Every loss by name, with its defaults; in those that end in -video each picture looks for its
sound and no sound for its picture."""


def make(name: str, scale: float | None = None) -> RowLoss:
    """Make a loss by name; ``scale`` is where its factor on cosines starts, if it has one.

    Raises
    ------
    UnknownName
        If there is none of that name.
    """
    if name not in LOSSES:
        raise UnknownName("loss", name, LOSSES)
    loss = LOSSES[name]()
    if scale is not None and isinstance(loss, AngularLoss | CrossDomainLoss):
        loss.scale.data.fill_(scale)
    return loss
