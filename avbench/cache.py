"""Embeddings kept on disk, so that a clip is embedded once per extractor and never again.

One small safetensors file per clip and extractor. Its name is a hash of everything the numbers
depend on: the clip's picture and sound, the extractor (weights, sizes, feature settings) and the
decoder. Nothing is ever looked up by a name that could come to mean something else.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from avbench.data import Embeddings

log = logging.getLogger(__name__)

ENVIRONMENT = "AVBENCH_CACHE"
"""Environment variable that names another directory."""
_FORMAT = 1


class Kept(NamedTuple):
    """Embeddings with the time that they took."""

    rows: Embeddings
    seconds: float


class EmbeddingCache:
    """Embeddings by clip and extractor in a directory, which is made when it is first written to.

    Several processes may use one directory at once. A damaged file is made anew.

    Parameters
    ----------
    directory
        Where the files lie; see `default_directory`.
    decoder
        Versions of what decodes, as from `avbench.media.decoder_versions`.
    """

    def __init__(self, directory: Path, decoder: Mapping[str, str]) -> None:
        self.directory = directory
        self._decoder = json.dumps(dict(decoder), sort_keys=True)

    def path(self, sha256: str, extractor: str) -> Path:
        """Return where the embeddings of a clip lie, or would."""
        parts = f"{_FORMAT}\n{sha256}\n{extractor}\n{self._decoder}"
        name = hashlib.sha256(parts.encode()).hexdigest()
        return self.directory / name[:2] / f"{name}.safetensors"

    def get(self, sha256: str, extractor: str) -> Kept | None:
        """Return what is kept, or None."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        path = self.path(sha256, extractor)
        try:
            found = load(path.read_bytes())
            return Kept(
                Embeddings(found["video"], found["audio"]), float(found["seconds"].reshape(()))
            )
        except FileNotFoundError:
            return None
        except (SafetensorError, KeyError, ValueError, OSError) as error:
            log.warning("%s is damaged (%s) and made anew", path, error)
            return None

    def put(self, sha256: str, extractor: str, kept: Kept) -> None:
        """Keep the embeddings of a clip."""
        from safetensors.numpy import save

        path = self.path(sha256, extractor)
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {
            "video": np.ascontiguousarray(kept.rows.video),
            "audio": np.ascontiguousarray(kept.rows.audio),
            "seconds": np.array([kept.seconds]),
        }
        # A name of its own for every writer; what is lost in a crash is only made again.
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            file.write(save(tensors))
        Path(file.name).replace(path)


def default_directory() -> Path:
    """Return ``$AVBENCH_CACHE``, else ``avbench`` in the user's directory of caches."""
    if named := os.environ.get(ENVIRONMENT):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "avbench" / "embeddings"
