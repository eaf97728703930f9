"""A facetrack step without faces, for tests of everything around it.

It takes the whole picture of a small video as one clip, or does what the name of the file says:
hang, die, raise, fault, none, or two (two clips that share frames).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from avbench import media

CONTEXT = 25


def write_source(path: Path, seed: int = 0, frames: int = 60, size: int = 32) -> Path:
    """Write a small video with moving pictures and sound."""
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 255, (size, size, 3), dtype=np.uint8)
    sound = rng.uniform(-0.5, 0.5, frames * 640).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = (np.roll(base, index, axis=1) for index in range(frames))
    media.write_video(path, pictures, sound, audio_codec="flac")
    return path


def make_process(log: Path | None = None, pause_s: float = 0.0) -> Callable[..., Any]:
    """Return a stand-in for ``process_video``; nested, so that it travels to workers by value."""
    context = CONTEXT

    def process(path: Path, video_id: str, out: Path, settings: Any) -> Any:
        import json
        import os
        import signal
        import time
        from types import SimpleNamespace

        import numpy as np

        from avbench import media
        from avbench.errors import DataError

        if log is not None:
            with log.open("a") as file:
                file.write(video_id + "\n")
        behaviour = path.stem.partition("-")[0]
        if behaviour == "hang":
            time.sleep(1000)
        if behaviour == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if behaviour == "raise":
            raise KeyError(f"something unforeseen in {path.name}")
        pictures = [frame.image for frame in media.iter_frames(path)]
        total = len(pictures)
        spans = {"none": [], "two": [(5, 35), (15, total)]}.get(behaviour, [(5, total)])
        audio = media.read_audio(path, total)
        padded = np.pad(audio, context * 640)
        tracks = []
        for number, (start, stop) in enumerate(spans):
            key = f"{video_id}-0000-{number:02d}"
            with media.VideoWriter(out / f"{key}.mp4") as writer:
                for picture in pictures[start:stop]:
                    writer.write(picture)
                    time.sleep(pause_s / total)
            sound = padded[start * 640 : (stop + 2 * context) * 640]
            (out / f"{key}.flac").write_bytes(media.encode_sound(sound))
            real = {"before": min(start, context), "after": min(total - stop, context)}
            track = {"key": key, "shot": 0, "track": number, "start": start, "stop": stop}
            facts = {**track, "video_id": video_id, "context": real}
            facts["source"] = {"path": path.name}
            (out / f"{key}.json").write_text(json.dumps(facts))
            tracks.append(track)
        if behaviour == "fault":
            raise DataError(f"{path}: the file is damaged beyond use")
        kept = len({f for start, stop in spans for f in range(start, stop)})
        report = {
            "num_frames": total + (behaviour == "leak"),
            "frames": {"kept": kept, "no-face": total - kept},
            "tracks": tracks,
            "source": {"path": path.name},
        }
        return SimpleNamespace(as_json=lambda: report)

    return process
