"""Reading and writing video and sound: the only part of avbench that knows the decoder (PyAV).

Reading puts every source on the one time base of `avbench.timing`: pictures on the 25 fps grid
that starts at the first picture, mono sound at 16 kHz whose sample 0 is that same instant. Writing
gives the same bytes for the same input in every process.
"""

from __future__ import annotations

from avbench.media.complaints import complaints
from avbench.media.decode import (
    Frame,
    FrameStream,
    has_index,
    iter_frames,
    open_frames,
    read_pieces,
    read_video,
)
from avbench.media.encode import VideoWriter, encode_sound, reorder_video, write_video
from avbench.media.join import join
from avbench.media.picture import Part
from avbench.media.probe import MediaInfo, decoder_versions, probe
from avbench.media.sound import FULL_SCALE, iter_audio, read_audio, read_sound, read_track, to_int16

__all__ = [
    "FULL_SCALE",
    "Frame",
    "FrameStream",
    "MediaInfo",
    "Part",
    "VideoWriter",
    "complaints",
    "decoder_versions",
    "encode_sound",
    "has_index",
    "iter_audio",
    "iter_frames",
    "join",
    "open_frames",
    "probe",
    "read_audio",
    "read_pieces",
    "read_sound",
    "read_track",
    "read_video",
    "reorder_video",
    "to_int16",
    "write_video",
]
