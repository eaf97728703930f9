from pathlib import Path

from avbench import Alignment, Clip, Item
from avbench.datasets import identity
from avbench.media import read_audio, read_video


class Folder:
    """Face crops in a folder, 25 fps and in sync: one .mp4 each, with its sound."""

    name, synthetic, splits = "folder", None, ("test",)

    def __init__(self, root: str):
        self.files = sorted(Path(root).glob("*.mp4"))
        self.sha256 = identity(self.files)

    def count(self, split: str) -> int:
        return len(self.files)

    def items(self, split: str, limit: int | None = None):
        for path in self.files[:limit]:
            frames = read_video(path)
            audio = read_audio(path, len(frames))
            truth = Alignment.from_offset(0, len(frames))
            yield Item.of(Clip(path.stem, frames, audio, truth), identity([path]))
