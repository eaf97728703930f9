"""The Temporal AutoEncoder: an alignment read off rows of distances, one answer after the other.

Every row of sound i is known by its distances rho_i from all M rows of picture (Eq. 2). An LSTM
encoder reads rho_1 .. rho_N; an LSTM decoder with additive attention (Eq. 4 to 7), told its last
answer, names a picture row for each row of sound as one of M classes (Eq. 8 and 9).

What the paper does not say is taken from the authors' released code and named here: the decoder's
cell starts at zero, the encoder's is not handed on; besides M classes the decoder knows a start and
a padding symbol; it attends with the hidden state after its step; training feeds back its own
answers, never the true ones; linear and LSTM biases start as N(0, 1).

References
----------
Y. Shalev and L. Wolf, "End to End Lip Synchronization with a Temporal AutoEncoder", 2020: sections
3.2 (architecture), 3.3 (loss), 3.4 (initialisation, dropout).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from avbench.models.corrupt import PAPER_COLUMNS, PAPER_ROWS
from avbench.models.losses import cosine_matrix, distance_matrix

NEVER = -1e4
"""Score of an answer that is not allowed: its probability is zero, its gradient no NaN."""


@dataclass(frozen=True)
class TaeConfig:
    """Size of a decoder; the defaults are the paper's."""

    rows: int = PAPER_ROWS
    columns: int = PAPER_COLUMNS
    hidden: int = 512
    layers: int = 3
    embedding: int = 512
    attention: int = 256
    """Width of the attention; 0 leaves it out (the ablation of Tables 2 and 3)."""
    mlp: tuple[int, int] = (512, 256)
    dropout: float = 0.1
    """On the embedding of the last answer."""
    distance: Literal["raw", "unit"] = "raw"
    """Of embeddings as they are, as published, or of unit vectors (a departure)."""
    centre: float = 0.0
    gain: float = 1.0
    """The LSTM reads ``gain * (distance - centre)``; 0 and 1 as published (else a departure)."""
    bias_std: float = 1.0
    """Spread of initial biases: 1 in the released code; the paper does not say."""

    @property
    def start(self) -> int:
        """Symbol before the first answer."""
        return self.columns

    @property
    def pad(self) -> int:
        """Symbol in the place of a missing answer, which no loss looks at."""
        return self.columns + 1


SMALL = TaeConfig(
    hidden=128,
    layers=1,
    embedding=64,
    attention=128,
    mlp=(256, 128),
    distance="unit",
    centre=1.2,
    gain=4.0,
    bias_std=0.0,
)
"""For a CPU, and for streams that were trained on cosines."""


class Decoder(nn.Module):
    """What names a picture row for every row of sound, from the embeddings of both."""

    config: Any

    def forward(
        self,
        audio: torch.Tensor,
        video: torch.Tensor,
        told: torch.Tensor | None = None,
        allowed: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return logits over picture rows.

        Parameters
        ----------
        audio, video
            Embeddings; shape (B, N, D) and (B, M, D), N and M at most those of the configuration.
        told
            True answers to feed back in place of the own ones, -1 where the own one counts;
            shape (B, N). None: own answers everywhere.
        allowed
            Which answers may be given; shape (N, M). None: all.

        Returns
        -------
        torch.Tensor
            Given the answers that were fed back; shape (B, N, M).
        """
        raise NotImplementedError

    def loss(
        self,
        audio: torch.Tensor,
        video: torch.Tensor,
        target: torch.Tensor,
        told: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the mean cross-entropy over rows of sound (Eq. 10).

        Parameters
        ----------
        target
            Picture row of each row of sound, or the configuration's ``pad``; shape (B, N).
        audio, video, told
            As in `forward`.
        """
        return self.cross_entropy(self(audio, video, told), target)

    def cross_entropy(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the mean over the rows whose target is no padding; (B, N, M) and (B, N)."""
        return F.cross_entropy(
            logits.flatten(0, 1), target.flatten(), ignore_index=self.config.columns + 1
        )


class Tae(Decoder):
    """The paper's encoder and decoder."""

    config: TaeConfig

    def __init__(self, config: TaeConfig) -> None:
        super().__init__()
        self.config = config
        hidden, context = config.hidden, config.hidden if config.attention else 0
        self.encoder = nn.LSTM(config.columns, hidden, config.layers, batch_first=True)
        self.answers = nn.Embedding(config.columns + 2, config.embedding, padding_idx=config.pad)
        self.dropout = nn.Dropout(config.dropout)
        self.decoder = nn.LSTM(config.embedding + context, hidden, config.layers, batch_first=True)
        if config.attention:
            self.attention = Attention(hidden, hidden, config.attention)
        first, second = config.mlp
        self.mlp = nn.Sequential(
            nn.Linear(hidden + context, first),
            nn.ReLU(),
            nn.Linear(first, second),
            nn.ReLU(),
            nn.Linear(second, config.columns),
        )
        initialise(self, config.bias_std)

    def distances(self, audio: torch.Tensor, video: torch.Tensor) -> torch.Tensor:
        """Return rho: the distance of every row of sound from every row of picture (Eq. 2)."""
        if self.config.distance == "unit":
            # The same as the distance of unit vectors, without one vector per pair.
            return (2 - 2 * cosine_matrix(audio, video)).clamp_min(1e-12).sqrt()
        return distance_matrix(audio, video)

    def forward(
        self,
        audio: torch.Tensor,
        video: torch.Tensor,
        told: torch.Tensor | None = None,
        allowed: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return logits over picture rows; see `Decoder.forward`."""
        config = self.config
        rho, allowed = widen(self.distances(audio, video), config.columns, allowed)
        count = rho.shape[1]
        rho = config.gain * (lengthen(rho, config.rows) - config.centre)
        outputs, (hidden, _) = self.encoder(rho)
        state = (hidden, torch.zeros_like(hidden))
        keys = self.attention.keys(outputs) if config.attention else None
        context = outputs.new_zeros(len(outputs), config.hidden)
        answer = torch.full((len(outputs),), config.start, device=outputs.device)
        logits = []
        for row in range(count):
            parts = [self.dropout(self.answers(answer))]
            if keys is not None:
                parts.append(context)
            out, state = self.decoder(torch.cat(parts, dim=-1).unsqueeze(1), state)
            seen = [out.squeeze(1)]
            if keys is not None:
                weights = self.attention(state[0][-1], keys)
                context = torch.bmm(weights.unsqueeze(1), outputs).squeeze(1)
                seen.append(context)
            logits.append(only(self.mlp(torch.cat(seen, dim=-1)), allowed, row))
            answer = feed_back(logits[-1], told, row)
        return narrow(torch.stack(logits, dim=1), video.shape[1])


class Attention(nn.Module):
    """Additive attention: weights over the encoder's outputs (Eq. 5 and 6)."""

    def __init__(self, state: int, outputs: int, width: int) -> None:
        super().__init__()
        self.of_state = nn.Linear(state, width)
        self.of_outputs = nn.Linear(outputs, width, bias=False)
        self.score = nn.Linear(width, 1, bias=False)

    def keys(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return the part that is the same at every step; (B, N, H) to (B, N, width)."""
        found: torch.Tensor = self.of_outputs(outputs)
        return found

    def forward(
        self, state: torch.Tensor, keys: torch.Tensor, bias: torch.Tensor | float = 0.0
    ) -> torch.Tensor:
        """Return weights; state (B, H), keys (B, N, width), ``bias`` on scores, to (B, N)."""
        scores = self.score(torch.tanh(self.of_state(state).unsqueeze(1) + keys)).squeeze(-1)
        return torch.softmax(scores + bias, dim=-1)


def widen(
    values: torch.Tensor, columns: int, allowed: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Fill a narrow matrix up to ``columns`` on both sides, and allow none of what was added.

    What is added is as near as the mean of its row; (B, N, M) to (B, N, columns).
    """
    rows, spare = values.shape[1], columns - values.shape[2]
    if spare == 0:
        return values, allowed
    sides = (spare // 2, spare - spare // 2)
    if allowed is None:
        allowed = torch.ones(rows, values.shape[2], dtype=torch.bool, device=values.device)
    mean = values.mean(dim=-1, keepdim=True)
    filled = F.pad(values - mean, sides) + mean
    return filled, F.pad(allowed, sides, value=False)


def lengthen(values: torch.Tensor, rows: int) -> torch.Tensor:
    """Add rows that say nothing: an encoder that always read ``rows`` of them is lost in fewer.

    What is added is as near as the mean of all; (B, N, M) to (B, ``rows``, M).
    """
    spare = rows - values.shape[1]
    mean = values.mean(dim=(1, 2), keepdim=True)
    return torch.cat((values, mean.expand(-1, max(0, spare), values.shape[2])), dim=1)


def narrow(logits: torch.Tensor, columns: int) -> torch.Tensor:
    """Undo `widen`; (B, N, columns of the decoder) to (B, N, ``columns``)."""
    first = (logits.shape[-1] - columns) // 2
    return logits[..., first : first + columns]


def only(logits: torch.Tensor, allowed: torch.Tensor | None, row: int) -> torch.Tensor:
    """Rule out the answers that are not allowed in a row; (B, M) to (B, M)."""
    return logits if allowed is None else logits.masked_fill(~allowed[row], NEVER)


def feed_back(logits: torch.Tensor, told: torch.Tensor | None, row: int) -> torch.Tensor:
    """Return what the decoder is told of a row: its own answer, or the true one where there is."""
    own = logits.detach().argmax(dim=-1)
    return own if told is None else torch.where(told[:, row] >= 0, told[:, row], own)


def tell(target: torch.Tensor, share: float, rng: np.random.Generator) -> torch.Tensor | None:
    """Choose which true answers are fed back in training; None where the share is zero."""
    if share <= 0:
        return None
    chosen = torch.from_numpy(rng.random(tuple(target.shape)) < share).to(target.device)
    return torch.where(chosen, target, -1)


def initialise(network: nn.Module, bias_std: float) -> None:
    """Start weights as the paper does: Xavier in linear layers, orthogonal in LSTMs.

    Biases start as N(0, bias_std).
    """
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_normal_(module.weight)
            if module.bias is not None:
                nn.init.normal_(module.bias, std=bias_std)
        elif isinstance(module, nn.LSTM | nn.LSTMCell):
            for name, weight in module.named_parameters():
                if "weight" in name:
                    nn.init.orthogonal_(weight)
                else:
                    nn.init.normal_(weight, std=bias_std)
