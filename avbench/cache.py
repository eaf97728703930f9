"""Embeddings kept on disk, so that a clip is embedded once per extractor and never again.

One small safetensors file per clip and extractor. Its name is a hash of everything the numbers
depend on: the clip's picture and sound, the extractor (weights, sizes, feature settings), the code
that runs it and the decoder. So a change of any of them is measured anew, never looked up.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

import avbench
from avbench.data import Embeddings
from avbench.methods import Embedder

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

    def path(self, sha256: str, method: Embedder) -> Path:
        """Return where a method's embeddings of a clip lie, or would."""
        code = _code_of(type(method).__module__)
        parts = f"{_FORMAT}\n{sha256}\n{method.extractor}\n{code}\n{self._decoder}"
        name = hashlib.sha256(parts.encode()).hexdigest()
        return self.directory / name[:2] / f"{name}.safetensors"

    def get(self, sha256: str, method: Embedder) -> Kept | None:
        """Return what is kept, or None."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        path = self.path(sha256, method)
        try:
            found = load(path.read_bytes())
            seconds = float(found["seconds"].reshape(()))
            return Kept(Embeddings(found["video"], found["audio"]), seconds)
        except FileNotFoundError:
            return None
        except (SafetensorError, KeyError, ValueError, OSError) as error:
            log.warning("%s is damaged (%s) and made anew", path, error)
            return None

    def put(self, sha256: str, method: Embedder, kept: Kept) -> None:
        """Keep the embeddings of a clip."""
        from safetensors.numpy import save

        path = self.path(sha256, method)
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


@lru_cache
def _code_of(module: str) -> str:
    """Hash the sources of avbench and of the package, or lone module, that a method is in."""
    top = module.partition(".")[0]
    digest = hashlib.sha256()
    for origin in (avbench.__file__, getattr(sys.modules.get(top), "__file__", None)):
        if origin is None:
            continue
        path = Path(origin)
        sources = sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]
        for source in sources:
            digest.update(hashlib.sha256(source.read_bytes()).digest())
    return digest.hexdigest()


def default_directory() -> Path:
    """Return ``$AVBENCH_CACHE``, else ``avbench`` in the user's directory of caches."""
    if named := os.environ.get(ENVIRONMENT):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "avbench" / "embeddings"
