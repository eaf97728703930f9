"""What a pattern classifier looks at in a similarity matrix."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch.nn import functional as F

from avbench.data import FloatArray
from avbench.errors import UsageError
from avbench.models.pattern import PatternClassifier
from avbench.models.two_stream import one_thread

Of = Literal["output", "loss"]
"""The output of the true class before the softmax, or the loss."""


def gradient(
    classifier: PatternClassifier, similarity: FloatArray, offset: int, of: Of = "output"
) -> FloatArray:
    """Return the gradient of a classifier's output for the true offset on a similarity matrix.

    Kim et al. (2021, section 3.2.2) propagate back from the node of the true offset in the output
    layer: where the gradient is positive, more similarity speaks for that offset.

    Parameters
    ----------
    classifier
        In evaluation mode.
    similarity
        Rows audio, columns video; shape (N, N), N one of the classifier's sizes.
    offset
        The true one, in frames; positive: audio leads.
    of
        ``output``: as in the paper; ``loss``: minus the gradient of the cross-entropy, that of
        the log-probability, which also shows what speaks against the other offsets.

    Returns
    -------
    FloatArray
        Shape (N, N), float32.

    Raises
    ------
    UsageError
        If the classifier knows neither the size nor the offset.
    """
    config = classifier.config
    size = similarity.shape[-1]
    if similarity.shape != (size, size) or size not in config.rows:
        known = ", ".join(str(rows + 4) for rows in config.rows)
        raise UsageError(
            f"got a window of {size + 4} frames, and the classifier reads windows of {known} frames"
        )
    if abs(offset) > config.search:
        raise UsageError(
            f"got offset {offset:+d}, and the classifier tells offsets up to {config.search} apart"
        )
    given = torch.from_numpy(similarity.astype(np.float32))[None].requires_grad_()
    with one_thread():
        logits = classifier(given)
        scores = logits if of == "output" else F.log_softmax(logits, dim=-1)
        (found,) = torch.autograd.grad(scores[0, offset + config.search], given)
    return np.asarray(found[0].numpy())
