import numpy as np

from avbench import Alignment, Clip, Prediction


class Loudness:
    """Match how much the mouth region moves with how loud it is."""

    name, BIBTEX, search = "loudness", "", 5

    @classmethod
    def load(cls, checkpoint=None, *, search=5):
        method = cls()
        method.search = search
        return method

    def predict(self, clip: Clip) -> Prediction:
        mouth = clip.frames[:, 130:, 70:154].mean(axis=3)
        moves = np.abs(np.diff(mouth, axis=0, prepend=mouth[:1])).mean(axis=(1, 2))
        loud = clip.audio.reshape(len(clip), -1).std(axis=1)
        moves, loud = moves - moves.mean(), loud - loud.mean()
        offsets = range(-self.search, self.search + 1)  # picture t belongs to sound t - offset
        fits = [np.mean(moves * np.roll(loud, offset)) for offset in offsets]
        offset = offsets[int(np.argmax(fits))]
        return Prediction(clip.key, Alignment.from_offset(offset, len(clip)), max(fits))
