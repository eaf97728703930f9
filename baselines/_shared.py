"""What the trained offset methods share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch.nn import functional as F

from avbench import features
from avbench.data import Alignment, Clip, Embeddings, FloatArray, Prediction
from avbench.errors import DataError, UsageError
from avbench.models import checkpoint as checkpoints
from avbench.models.architectures import get as architecture_of
from avbench.models.augment import Augmentation, FaceAugmentation, GeometryAugmentation
from avbench.models.geometry import LipGeometryNet
from avbench.models.pattern import PatternClassifier, PatternConfig
from avbench.models.shapes import MouthTruth
from avbench.models.training import FitReport, Recipe, has_bfloat16, new_network
from avbench.models.trainset import MOUTHS, Front, TrainingSet
from avbench.models.two_stream import Extractor, Network, one_thread
from avbench.models.vgg import build
from avbench.similarity import diagonal_means, pick_offset, similarity_matrix

SEARCH = 5
"""Largest candidate offset in frames, as in Kim et al."""
BATCH = 128
"""Windows that a classifier reads at once."""
CACHE_MIB = 4096
"""Bound on the memory of training clips: about 700 kB each for six seconds."""

CHUNG_2016 = """@inproceedings{chung2016out,
  title     = {Out of time: automated lip sync in the wild},
  author    = {Chung, Joon Son and Zisserman, Andrew},
  booktitle = {Workshop on Multi-view Lip-reading, ACCV},
  year      = {2016}
}"""
KIM_2021 = """@inproceedings{kim2021end,
  title     = {End-to-End Lip Synchronisation Based on Pattern Classification},
  author    = {Kim, You Jin and Heo, Hee Soo and Chung, Soo-Whan and Lee, Bong-Jin},
  booktitle = {IEEE Spoken Language Technology Workshop (SLT)},
  year      = {2021}
}"""


class OffsetMethod:
    """A method that scores candidate offsets from the embeddings of a clip."""

    name: ClassVar[str]
    BIBTEX: ClassVar[str]
    TRAINED_ON: ClassVar[str] = "drawn faces"
    """What the shipped checkpoint has seen."""

    def __init__(self, extractor: Extractor, *, search: int = SEARCH) -> None:
        if search < 1:
            raise UsageError(f"got search {search}, expected at least 1 frame")
        self.search = search
        self._use(extractor)

    def _use(self, extractor: Extractor) -> None:
        self._extractor = extractor
        self.extractor = extractor.id
        self.local = extractor.local

    def embed(self, clip: Clip) -> Embeddings:
        """Compute the embeddings of every five-frame window, not normalised; (T - 4, D) each."""
        return self._extractor.embed(clip.frames, clip.audio, unit=False)

    def compare(self, video: FloatArray, audio: FloatArray) -> FloatArray:
        """Score every candidate offset of B windows of N rows; higher is better.

        Shape (B, N, D) each to (B, 2 * search + 1), offsets ascending.
        """
        raise NotImplementedError

    def predict(self, clip: Clip) -> Prediction:
        """Say which constant offset a clip has, with one score per candidate."""
        embeddings = self.embed(clip)
        scores = self.compare(embeddings.video[None], embeddings.audio[None])[0]
        offset, _, confidence = pick_offset(np.negative(scores), self.search)
        return Prediction(
            key=clip.key,
            alignment=Alignment.from_offset(offset, len(clip)),
            confidence=confidence,
            scores=scores,
        )


class PatternMethod(OffsetMethod):
    """A method that reads the offset off the similarity matrix with a pattern classifier.

    The classifier has one head per matrix size N. A clip of another size is read with the largest
    head that fits: its N x N windows along the diagonal are classified one by one, and the mean of
    their log-probabilities counts.
    """

    RECIPE: ClassVar[Recipe]
    """How it is trained where the caller asks for nothing else."""

    def __init__(
        self,
        extractor: Extractor,
        classifier: PatternClassifier,
        *,
        scale: float = 10.0,
        search: int = SEARCH,
    ) -> None:
        super().__init__(extractor, search=search)
        if search > classifier.config.search:
            raise UsageError(
                f"{self.name} tells offsets up to {classifier.config.search} frames apart, not "
                f"{search}; give a smaller search, or train a classifier for it"
            )
        self._classifier = classifier.eval()
        self._scale = scale
        self.report: FitReport | None = None

    @classmethod
    def load(cls, checkpoint: Path | None = None, *, search: int = SEARCH) -> Any:
        """Make one from a checkpoint, the shipped one where None.

        Raises
        ------
        AvbenchError
            If there is no such file, or it holds no classifier.
        """
        path = checkpoint or checkpoints.shipped(cls.name)
        found = checkpoints.load(path)
        if found.classifier is None:
            raise UsageError(
                f"{path} holds no classifier; give a file from 'avbench train --method {cls.name}'"
            )
        extractor = Extractor(found.extractor)
        return cls(extractor, found.classifier, scale=found.scale, search=search)

    @classmethod
    def start(
        cls,
        init: Path | None = None,
        *,
        rng: np.random.Generator,
        config: PatternConfig | None = None,
        architecture: str | None = None,
    ) -> Any:
        """Make one to train: extractor, and classifier where it has one, from a checkpoint.

        Parameters
        ----------
        init
            Any trained checkpoint; the shipped ``syncnet`` where None.
        rng
            Source of the random start of what is new.
        config
            Size of a new classifier; None takes the one in ``init``, or the default size.
        architecture
            One of `avbench.models.architectures.ARCHITECTURES`: a new extractor, in place of that
            of ``init``.

        Raises
        ------
        UsageError
            If both ``init`` and ``architecture`` are given.
        """
        if architecture is not None:
            if init is not None:
                raise UsageError(
                    f"{cls.name} takes its network from --init or makes a new one by "
                    "--architecture; leave one of them out"
                )
            fresh = Extractor(new_network(lambda: build(architecture_of(architecture)), rng))
            size = config or PatternConfig()
            return cls(fresh, new_network(lambda: PatternClassifier(size), rng))
        found = checkpoints.load(init or checkpoints.shipped("syncnet"))
        classifier = found.classifier if config is None else None
        if classifier is None:
            size = config or PatternConfig()
            classifier = new_network(lambda: PatternClassifier(size), rng)
        return cls(Extractor(found.extractor), classifier, scale=found.scale)

    def save(self, path: Path) -> None:
        """Write extractor and classifier as safetensors, weights in half precision."""
        checkpoints.save(
            path,
            checkpoints.Checkpoint(
                self._extractor.network, self._scale, self._classifier, self.name
            ),
        )

    def plan(
        self,
        steps: int | None,
        bfloat16: bool | None,
        rows: int | None,
        augment: float | None = None,
    ) -> Recipe:
        """Return the recipe with what the caller asked for.

        Raises
        ------
        UsageError
            If clips are too short to hold the largest windows at every offset: a head would never
            see the largest ones.
        """
        recipe = with_options(self.RECIPE, steps, bfloat16, self._extractor.network, augment)
        recipe = recipe if rows is None else replace(recipe, rows=rows)
        sizes = self._classifier.config
        least = max(sizes.rows) + sizes.search
        if recipe.rows < least:
            raise UsageError(
                f"got {recipe.rows} rows of a clip; windows of {max(sizes.rows)} rows at offsets "
                f"up to {sizes.search} frames need {least}"
            )
        return recipe

    def compare(self, video: FloatArray, audio: FloatArray) -> FloatArray:
        """Return the log-probability of every candidate offset.

        Shape (B, N, D) each to (B, 2 * search + 1), offsets ascending.

        Raises
        ------
        DataError
            If N is below the smallest head.
        """
        similarity = similarity_matrix(audio, video).astype(np.float32)
        total = min(similarity.shape[-2:])
        fitting = [rows for rows in self._classifier.config.rows if rows <= total]
        if not fitting:
            least = min(self._classifier.config.rows) + features.WINDOW - 1
            raise DataError(
                f"got a clip of {total + features.WINDOW - 1} frames; {self.name} needs {least}"
            )
        rows = max(fitting)
        scores = np.mean(
            [
                self._classify(similarity[:, at : at + rows, at : at + rows])
                for at in range(total - rows + 1)
            ],
            axis=0,
        )
        beyond = self._classifier.config.search - self.search
        return np.asarray(scores[:, beyond : scores.shape[1] - beyond])

    def _classify(self, windows: FloatArray) -> FloatArray:
        # Always so many at once: kernels differ by batch size, and their last bits with them.
        spare = -len(windows) % BATCH
        filled = np.concatenate([windows, np.zeros((spare, *windows.shape[1:]), windows.dtype)])
        with torch.inference_mode(), one_thread():
            parts = torch.split(torch.from_numpy(filled), BATCH)
            logits = torch.cat([self._classifier(part) for part in parts])[: len(windows)]
            return np.asarray(F.log_softmax(logits.double(), dim=-1).numpy())


def along_diagonals(video: FloatArray, audio: FloatArray, search: int) -> FloatArray:
    """Return the mean similarity along the diagonal of every candidate offset.

    Shape (B, N, D) and (B, N + 2 * lead, D) to (B, 2 * search + 1), offsets ascending; -inf where
    a diagonal has no element.
    """
    lead = (audio.shape[1] - video.shape[1]) // 2
    return diagonal_means(similarity_matrix(audio, video), search, lead)


def training_set(
    clips: Iterable[Clip] | TrainingSet,
    recipe: Recipe,
    cache_mib: int,
    front: Front,
    shapes: MouthTruth | None = None,
) -> TrainingSet:
    """Return clips as a training set, reading them as a front keeps them if they are not yet."""
    if isinstance(clips, TrainingSet):
        return clips
    return TrainingSet.read(
        clips,
        min_frames=recipe.num_frames,
        max_bytes=cache_mib * 2**20,
        front=front,
        shapes=shapes,
    )


def with_options(
    recipe: Recipe,
    steps: int | None,
    bfloat16: bool | None,
    network: Network,
    augment: float | None = None,
) -> Recipe:
    """Return a recipe with what the caller asked for; bfloat16 where the CPU has it if None.

    Changes to pictures are those made for what the network sees, whole faces or mouths.

    Raises
    ------
    UsageError
        If the strength ``augment`` is asked of changes that have none.
    """
    kind = _changes_for(network)
    changes = recipe.augmentation
    if changes is not None and not isinstance(changes, kind):
        changes = kind()
    if augment is not None:
        if not isinstance(changes, Augmentation):
            raise UsageError("--augment is for networks that look at mouths alone; leave it out")
        changes = changes.times(augment)
    return replace(
        recipe,
        steps=recipe.steps if steps is None else steps,
        bfloat16=has_bfloat16() if bfloat16 is None else bfloat16,
        augmentation=changes,
    )


def _changes_for(network: Network) -> type[Augmentation | FaceAugmentation | GeometryAugmentation]:
    if isinstance(network, LipGeometryNet):
        return GeometryAugmentation
    return Augmentation if network.front.white == MOUTHS.white else FaceAugmentation
