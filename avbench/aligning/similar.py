"""An aligner out of any embeddings: how alike rows are stands for how probable they are."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from avbench.data import Clip, Embeddings, FloatArray, Prediction
from avbench.methods import Aligned, Embedder
from avbench.similarity import similarity_matrix

SHARPNESS = 4.0
"""What cosines, less the means of their row and column, are multiplied by before the softmax."""


class BySimilarity:
    """Says of every row of sound by itself which row of picture is most alike.

    Cosines less the means of their row and column, as some sounds resemble every picture, are the
    logarithms of the posterior but for a factor. Meant for ``how="viterbi"``, which weighs rows
    against their neighbours.

    Parameters
    ----------
    method
        Whose embeddings are compared.
    sharpness
        The factor. Neighbouring rows see much the same frames, so that it is far smaller than the
        one of a training loss, which looks at one row at a time.
    """

    name: ClassVar[str] = "by-similarity"
    BIBTEX: ClassVar[str] = ""

    def __init__(self, method: Embedder, sharpness: float = SHARPNESS) -> None:
        self._method, self._sharpness = method, sharpness
        self.extractor = method.extractor

    def embed(self, clip: Clip) -> Embeddings:
        """Compute the embeddings of every five-frame window of a clip."""
        return self._method.embed(clip)

    def predict(self, clip: Clip) -> Prediction:
        """Align a clip of any length."""
        from avbench.aligning.whole import whole

        return Prediction(clip.key, whole(self, self.embed(clip), "viterbi"))

    def align(self, video: FloatArray, audio: FloatArray) -> Aligned:
        """Say which picture row each row of sound is most like, and how probable each is.

        Shapes (B, M, D) and (B, N, D).
        """
        similarity = similarity_matrix(audio, video).astype(np.float64)
        similarity = np.nan_to_num(similarity)
        centred = (
            similarity
            - similarity.mean(1, keepdims=True)
            - similarity.mean(2, keepdims=True)
            + similarity.mean((1, 2), keepdims=True)
        )
        logs = self._sharpness * centred
        logs -= logs.max(axis=-1, keepdims=True)
        logs -= np.log(np.exp(logs).sum(axis=-1, keepdims=True))
        return Aligned(logs.argmax(axis=-1).astype(np.float64), logs)
