"""An attention decoder with a monotone field inside: a departure from the Temporal AutoEncoder.

The posteriors of `avbench.models.crf.MonotoneCrf` are read by a bidirectional LSTM beside the
cosines, and added to what the decoder says. Everything here that the paper does not have is its own
part: the field, the second direction, the bias of the attention towards the same time, the table
over moves, cosines in place of distances, and true answers fed back early in training.

Where pictures are shown again, the video was damaged, and more can be known: another field looks at
the pictures that differ (`avbench.models.distinct`) and is told where frames were dropped
(`avbench.models.dropped`, `avbench.models.drop_field`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from avbench.models.architectures import tuples
from avbench.models.corrupt import PAPER_COLUMNS, PAPER_ROWS
from avbench.models.crf import STEPS, Emission, EmissionConfig, MonotoneCrf
from avbench.models.distinct import gather
from avbench.models.drop_field import LOW, DropField
from avbench.models.dropped import DropConfig, DropDetector
from avbench.models.losses import cosine_matrix
from avbench.models.tae import (
    NEVER,
    Attention,
    Decoder,
    Tae,
    TaeConfig,
    feed_back,
    narrow,
    only,
    widen,
)


@dataclass(frozen=True)
class CrfDecoderConfig:
    """Size of a decoder with a field inside."""

    rows: int = PAPER_ROWS
    columns: int = PAPER_COLUMNS
    emission: EmissionConfig = field(default_factory=EmissionConfig)
    steps: tuple[float, ...] = STEPS
    encoder: int = 128
    """Width of the LSTM in each direction."""
    hidden: int = 128
    embedding: int = 64
    attention: int = 128
    mlp: int = 256
    nearby: float = 0.5
    """Initial loss of attention per row of distance in time."""
    inside: float = 0.5
    """Weight of the loss on the field's own posteriors."""
    drops: DropConfig = field(default_factory=DropConfig)

    @property
    def start(self) -> int:
        """Symbol before the first answer."""
        return self.columns


class CrfDecoder(Decoder):
    """Field, encoder and decoder."""

    config: CrfDecoderConfig

    def __init__(self, config: CrfDecoderConfig) -> None:
        super().__init__()
        self.config = config
        width = 2 * config.encoder
        self.emission = Emission(config.emission)
        self.crf = MonotoneCrf(config.steps)
        self.encoder = nn.LSTM(
            2 * config.columns, config.encoder, batch_first=True, bidirectional=True
        )
        self.answers = nn.Embedding(config.columns + 1, config.embedding)
        self.cell = nn.LSTMCell(config.embedding + width, config.hidden)
        self.attention = Attention(config.hidden, width, config.attention)
        distance = torch.arange(1 - config.rows, config.rows).abs()
        self.nearby = nn.Parameter(-config.nearby * distance.float())
        last = nn.Linear(config.mlp, config.columns)
        # At first the field alone speaks.
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.mlp = nn.Sequential(nn.Linear(config.hidden + width, config.mlp), nn.ReLU(), last)
        self.trust = nn.Parameter(torch.ones(()))
        self.moves = nn.Parameter(torch.zeros(2 * config.columns - 1))
        self.drops = DropDetector(config.drops)
        self.damaged = DamagedField(config.emission)

    def posteriors(
        self, similarity: torch.Tensor, allowed: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the field's log-posteriors; (B, N, M) of cosines to (B, N, M)."""
        emission = self.emission(similarity)
        if allowed is not None:
            emission = emission.masked_fill(~allowed, NEVER)
        found: torch.Tensor = self.crf(emission)
        return found

    def forward(
        self,
        audio: torch.Tensor,
        video: torch.Tensor,
        told: torch.Tensor | None = None,
        allowed: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return logits over picture rows; see `Decoder.forward`."""
        similarity, allowed = widen(cosine_matrix(audio, video), self.config.columns, allowed)
        logits = self._decode(similarity, self.posteriors(similarity, allowed), told, allowed)
        return narrow(logits, video.shape[1])

    def loss(
        self,
        audio: torch.Tensor,
        video: torch.Tensor,
        target: torch.Tensor,
        told: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the cross-entropy of the answers and, by its weight, of the field's posteriors."""
        similarity = cosine_matrix(audio, video)
        inside = self.posteriors(similarity)
        said = self.cross_entropy(self._decode(similarity, inside, told), target)
        return said + self.config.inside * self.cross_entropy(inside, target)

    def _decode(
        self,
        similarity: torch.Tensor,
        inside: torch.Tensor,
        told: torch.Tensor | None,
        allowed: torch.Tensor | None = None,
    ) -> torch.Tensor:
        count, rows, columns = similarity.shape
        outputs, _ = self.encoder(torch.cat((4 * similarity, inside.exp()), dim=-1))
        keys = self.attention.keys(outputs)
        state = outputs.new_zeros(2, count, self.config.hidden).unbind()
        context = outputs.new_zeros(count, outputs.shape[-1])
        answer = torch.full((count,), self.config.start, device=outputs.device)
        place = torch.arange(columns, device=outputs.device)
        logits: list[torch.Tensor] = []
        for row in range(rows):
            state = self.cell(torch.cat((self.answers(answer), context), dim=-1), state)
            # The bias of time i lies at i - row + N - 1, N the rows of the configuration.
            bias = self.nearby[self.config.rows - 1 - row :][:rows]
            weights = self.attention(state[0], keys, bias)
            context = torch.bmm(weights.unsqueeze(1), outputs).squeeze(1)
            said = self.mlp(torch.cat((state[0], context), dim=-1)) + self.trust * inside[:, row]
            if row:
                said = said + self.moves[place - answer.unsqueeze(-1) + columns - 1]
            logits.append(only(said, allowed, row))
            answer = feed_back(logits[-1], told, row)
        return torch.stack(logits, dim=1)


class DamagedField(nn.Module):
    """Which picture belongs to each row of sound, where pictures are known to be shown again.

    Pairs are scored with the pictures laid out in time, where what belongs together lies along one
    diagonal although frames were dropped.
    """

    def __init__(self, config: EmissionConfig) -> None:
        super().__init__()
        self.emission = Emission(config)
        self.field = DropField()

    def forward(
        self, audio: torch.Tensor, video: torch.Tensor, allowed: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return log-probabilities of columns, -inf where a column is no last copy.

        Parameters
        ----------
        audio
            Embeddings; shape (B, N, D).
        video
            Rows of `avbench.models.distinct.distinct_rows`; shape (B, M, D + 4), M at most 75.
        allowed
            Which answers may be given; shape (N, M). None: all.

        Returns
        -------
        torch.Tensor
            Shape (B, N, M).
        """
        found = gather(video)
        there = found.there.unsqueeze(1)
        similarity = cosine_matrix(audio, found.rows)
        count = there.sum(-1, keepdim=True).clamp_min(1)
        mean = (similarity * there).sum(-1, keepdim=True) / count
        wide = found.lay_out(torch.where(there, similarity, mean), mean)
        seen = found.lay_out(there, torch.zeros_like(there[..., :1])).squeeze(1)
        scores = self.emission(wide, seen).gather(-1, found.time.unsqueeze(1).expand_as(similarity))
        may = there if allowed is None else there & found.collect(allowed)
        posteriors: torch.Tensor = self.field(torch.where(may, scores, LOW), found.dropped)
        return found.spread(posteriors)

    def loss(self, audio: torch.Tensor, video: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the mean cross-entropy of the columns ``target`` of all rows; shape (B, N)."""
        told = self(audio, video).gather(-1, target.unsqueeze(-1))
        loss: torch.Tensor = -told.clamp_min(-30.0).mean()
        return loss


def build(config: TaeConfig | CrfDecoderConfig) -> Decoder:
    """Make the decoder that a configuration describes."""
    return Tae(config) if isinstance(config, TaeConfig) else CrfDecoder(config)


def config_from_json(found: Mapping[str, Any]) -> TaeConfig | CrfDecoderConfig:
    """Read the sizes that a checkpoint holds."""
    if "emission" not in found:
        return TaeConfig(**tuples(found))
    emission = EmissionConfig(**tuples(found["emission"]))
    drops = DropConfig(**found.get("drops", {}))
    return CrfDecoderConfig(**{**tuples(found), "emission": emission, "drops": drops})
