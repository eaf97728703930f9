"""How early or late the sound of a video is, face by face: what ``avbench sync`` does.

- `reading`: an offset with its confidence from a similarity matrix: pure functions on arrays;
- `faces`: a video's faces, through the installed pipeline;
- `verdict`: what the readings of all faces come to, in words;
- `video`: a file in, a report out.
"""

from __future__ import annotations

from avbench.syncing.reading import Reading, read_offset
from avbench.syncing.verdict import Verdict, decide
from avbench.syncing.video import FaceReport, VideoReport, measure

__all__ = ["FaceReport", "Reading", "Verdict", "VideoReport", "decide", "measure", "read_offset"]
