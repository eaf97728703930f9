"""Speak one text with espeak-ng; run as a script in a process of its own, never imported.

espeak-ng is under the GPL and keeps hidden state between utterances: a fresh process for each
keeps the library out of avbench and makes the same text give the same bytes every time.
Standard library only, so that it starts in milliseconds.

Arguments: the shared library, its data directory. Standard input: JSON with ``voice``,
``parameters`` (espeak number -> value) and ``text``. Standard output: one line of JSON with
``rate``, ``samples`` and ``phones`` ([mnemonic, first sample], ...), then 16-bit sound.
"""

from __future__ import annotations

import ctypes
import json
import sys
from typing import Any

_RETRIEVAL, _PHONEME_EVENTS, _UTF8 = 1, 1, 1
_EVENT_END, _EVENT_PHONEME = 0, 7


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("mnemonic", ctypes.c_char * 8),
    ]


def main(library: str, data: str) -> None:
    """Speak what standard input asks for."""
    request: dict[str, Any] = json.load(sys.stdin)
    espeak = ctypes.CDLL(library)
    rate = espeak.espeak_Initialize(_RETRIEVAL, 0, data.encode(), _PHONEME_EVENTS)
    if rate <= 0:
        sys.exit(f"espeak-ng does not start with the data in {data}")
    sound = bytearray()
    phones: list[tuple[str, int]] = []

    def receive(samples: int | None, count: int, events: Any) -> int:
        if samples and count > 0:
            sound.extend(ctypes.string_at(samples, 2 * count))
        index = 0
        while events[index].type != _EVENT_END:
            if events[index].type == _EVENT_PHONEME:
                phones.append((events[index].mnemonic.decode(), events[index].sample))
            index += 1
        return 0

    callback = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event)
    )(receive)
    espeak.espeak_SetSynthCallback(callback)
    if espeak.espeak_SetVoiceByName(request["voice"].encode()) != 0:
        sys.exit(f"espeak-ng has no voice {request['voice']}")
    for number, value in request["parameters"].items():
        espeak.espeak_SetParameter(int(number), value, 0)
    text = request["text"].encode()
    espeak.espeak_Synth(text, len(text) + 1, 0, 0, 0, _UTF8, None, None)
    espeak.espeak_Synchronize()
    header = {"rate": rate, "samples": len(sound) // 2, "phones": phones}
    sys.stdout.buffer.write(json.dumps(header).encode() + b"\n" + sound)


if __name__ == "__main__":
    main(*sys.argv[1:])
