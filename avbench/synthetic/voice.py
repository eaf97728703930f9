"""Speech from espeak-ng: 16 kHz sound and the times of its phones."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

from avbench.data import JSON, FloatArray
from avbench.errors import AvbenchError, MissingDependency
from avbench.synthetic.pools import check_pool, pool_of
from avbench.synthetic.script import draw_text
from avbench.timing import SAMPLE_RATE

_CHILD = Path(__file__).with_name("_espeak_child.py")
_CHILD_LIMIT_S = 120.0
_SPEED, _PITCH, _RANGE = 1, 3, 4
"""Numbers of espeak-ng's parameters."""
SPEECH_RMS = 0.08
"""Mean loudness of every utterance, of full scale."""
_PAUSE_S = (0.06, 0.22)
_STRESS = "',%=|"

ACCENTS = (
    "en",
    "en-us",
    "en-gb-scotland",
    "en-029",
    "en-gb-x-rp",
    "en-gb-x-gbclan",
    "en-gb-x-gbcwmd",
    "en-us-nyc",
)
# Natural enough, and none with a breath: espeak-ng's breath noise differs from run to run.
# fmt: off
VARIANTS = (
    "Alex", "Andrea", "Andy", "Annie", "Denis", "Diogo", "Gene", "Gene2", "Henrique", "Hugo",
    "Jacky", "Lee", "Mario", "Michael", "Mike", "Nguyen", "RicishayMax", "RicishayMax3",
    "adam", "anika", "announcer", "antonio", "aunty", "belinda", "benjamin", "boris", "david",
    "ed", "edward", "edward2", "f1", "f4", "grandma", "grandpa", "gustave", "ian", "iven",
    "iven2", "iven3", "iven4", "john", "kaukovalta", "klatt", "klatt2", "klatt3", "klatt4",
    "linda", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "marcelo", "max", "michel",
    "miguel", "mike2", "norbert", "pablo", "paul", "pedro", "quincy", "rob", "robert",
    "shelby", "steph", "steph2", "steph3", "travis", "zac",
)
# fmt: on


@dataclass(frozen=True)
class Voice:
    """One speaker's voice; its bands of pitch and speed belong to one pool only."""

    accent: str
    variant: str
    pitch: int
    """espeak-ng's base pitch, 0 to 99."""
    pitch_range: int
    """espeak-ng's intonation, 0 to 99."""
    speed: int
    """Words per minute."""

    @property
    def pool(self) -> str:
        """The pool that owns every voice of this accent, variant, pitch and speed band."""
        return pool_of("voice", self.accent, self.variant, self.pitch // 10, self.speed // 15)

    def to_json(self) -> dict[str, JSON]:
        """Return the voice as a JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class Phone:
    """One phone as spoken, in seconds; pauses are called ``_``."""

    name: str
    """espeak-ng's mnemonic without stress marks."""
    start_s: float
    stop_s: float


@dataclass(frozen=True, eq=False)
class Speech:
    """Continuous speech with short pauses."""

    audio: FloatArray
    """Mono at 16 kHz, float32, at a fixed mean loudness; shape (S,)."""
    phones: tuple[Phone, ...]
    text: str


def draw_voice(rng: np.random.Generator, pool: str) -> Voice:
    """Draw a voice that belongs to ``pool`` and to no other."""
    check_pool(pool)
    while True:
        voice = Voice(
            accent=ACCENTS[int(rng.integers(len(ACCENTS)))],
            variant=VARIANTS[int(rng.integers(len(VARIANTS)))],
            pitch=int(rng.integers(20, 80)),
            pitch_range=int(rng.integers(25, 75)),
            speed=int(rng.integers(135, 195)),
        )
        if voice.pool == pool:
            return voice


def speak_for(seconds: float, voice: Voice, pool: str, rng: np.random.Generator) -> Speech:
    """Speak sentences of ``pool`` that last at least ``seconds``, then cut there."""
    num_words = int(np.ceil(seconds * voice.speed / 60 * 1.4)) + 6
    while True:
        sentences = draw_text(rng, pool, num_words)
        speech = speak(sentences, voice, rng)
        if len(speech.audio) >= seconds * SAMPLE_RATE:
            return _cut(speech, seconds)
        num_words += num_words // 2


def speak(
    sentences: list[str],
    voice: Voice,
    rng: np.random.Generator,
    speeds: Sequence[int] | None = None,
) -> Speech:
    """Speak sentences with pauses of drawn length between them.

    Parameters
    ----------
    sentences, voice
        What is said by whom.
    rng
        Draws the pauses.
    speeds
        Words per minute, word by word; those of the voice throughout where None.

    Raises
    ------
    MissingDependency
        If espeakng-loader is not installed.
    AvbenchError
        If espeak-ng fails.
    """
    text = " ".join(sentences)
    rate, sound, marks = _run_espeak(text if speeds is None else _paced(text, speeds), voice)
    stops = [start for _, start in marks[1:]] + [len(sound)]
    pieces: list[FloatArray] = []
    phones: list[Phone] = []
    length = 0
    for (name, start), stop in zip(marks, stops, strict=True):
        if stop <= start:
            continue
        piece = sound[start:stop]
        clean = name.lstrip(_STRESS)
        silent = clean.startswith("_") or not clean
        if silent:
            if phones and phones[-1].name == "_":
                continue
            clean = "_"
            piece = _fit_pause(piece, round(rng.uniform(*_PAUSE_S) * rate))
        phones.append(Phone(clean, length / rate, (length + len(piece)) / rate))
        pieces.append(piece)
        length += len(piece)
    audio = resample_poly(np.concatenate(pieces), SAMPLE_RATE * 2, rate * 2)
    audio *= SPEECH_RMS / max(float(np.sqrt(np.mean(audio**2))), 1e-6)
    return Speech(np.clip(audio, -0.98, 0.98).astype(np.float32), tuple(phones), text)


def _paced(text: str, speeds: Sequence[int]) -> str:
    """Put espeak-ng's command for its speed before every word; phones stay what they are."""
    return " ".join(f"\x01{n}S {word}" for n, word in zip(speeds, text.split(), strict=True))


def _fit_pause(piece: FloatArray, length: int) -> FloatArray:
    """Cut or lengthen a pause, keeping the dying sound at its start and fading it out."""
    fitted = np.zeros(length)
    kept = min(length, len(piece))
    fitted[:kept] = piece[:kept] * np.linspace(1.0, 0.0, kept) ** 0.5
    return fitted


def _cut(speech: Speech, seconds: float) -> Speech:
    phones = tuple(
        Phone(phone.name, phone.start_s, min(phone.stop_s, seconds))
        for phone in speech.phones
        if phone.start_s < seconds
    )
    return Speech(speech.audio[: round(seconds * SAMPLE_RATE)], phones, speech.text)


def _run_espeak(text: str, voice: Voice) -> tuple[int, FloatArray, list[tuple[str, int]]]:
    """Return the rate, the samples in [-1, 1] and [mnemonic, first sample] of each phone."""
    library, data = espeak_files()
    request = {
        "voice": f"{voice.accent}+{voice.variant}",
        "parameters": {_SPEED: voice.speed, _PITCH: voice.pitch, _RANGE: voice.pitch_range},
        "text": text,
    }
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(_CHILD), library, data],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=_CHILD_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise AvbenchError(f"espeak-ng hung with voice {request['voice']}; try again") from error
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else f"exit status {done.returncode}"
        raise AvbenchError(f"espeak-ng cannot speak with voice {request['voice']}: {reason}")
    line, _, pcm = done.stdout.partition(b"\n")
    header = json.loads(line)
    samples = np.frombuffer(pcm, np.int16).astype(np.float64) / 32768
    phones = [(re.sub(r"\s", "", name), int(start)) for name, start in header["phones"]]
    return int(header["rate"]), samples, phones


def espeak_files() -> tuple[str, str]:
    """Return the paths of espeak-ng's shared library and its data, loading neither.

    Raises
    ------
    MissingDependency
        If espeakng-loader is not installed.
    """
    try:
        import espeakng_loader
    except ImportError as error:
        raise MissingDependency(
            "drawn talking heads need espeak-ng for their speech; "
            "install it with: pip install 'avbench[synth]'"
        ) from error
    return str(espeakng_loader.get_library_path()), str(espeakng_loader.get_data_path())
