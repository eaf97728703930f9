"""Sentences, voices and the speech that espeak-ng makes of them."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avbench.distort import rng_for
from avbench.errors import AvbenchError, MissingDependency, UnknownName
from avbench.synthetic.mouth import visemes_of
from avbench.synthetic.pools import POOLS
from avbench.synthetic.script import draw_sentence, draw_text
from avbench.synthetic.voice import ACCENTS, VARIANTS, draw_voice, espeak_files, speak, speak_for
from avbench.timing import SAMPLE_RATE


def sentences(pool: str, seed: int = 0) -> set[str]:
    rng = rng_for(seed, "sentences")
    return {draw_sentence(rng, pool) for _ in range(400)}


def test_pools_share_no_sentence_even_when_drawn_from_the_same_stream() -> None:
    drawn = {pool: sentences(pool) for pool in POOLS}
    assert min(map(len, drawn.values())) > 350
    assert not drawn["train"] & drawn["test"]
    assert not drawn["train"] & drawn["val"]
    assert not drawn["val"] & drawn["test"]


def test_pools_share_no_voice_band() -> None:
    bands = {}
    for pool in POOLS:
        rng = rng_for(1, "voices")
        voices = [draw_voice(rng, pool) for _ in range(300)]
        assert {voice.pool for voice in voices} == {pool}
        bands[pool] = {(v.accent, v.variant, v.pitch // 10, v.speed // 15) for v in voices}
    assert not bands["train"] & (bands["val"] | bands["test"])
    assert not bands["val"] & bands["test"]


def test_every_word_in_every_accent_has_a_mouth_shape() -> None:
    rng = rng_for(2, "words")
    voice = draw_voice(rng, "train")
    # 400 words reach every word of the grammar several times over the eight accents.
    for accent in ACCENTS:
        speech = speak(draw_text(rng, "train", 400), replace(voice, accent=accent), rng)
        names = {phone.name for phone in speech.phones}
        assert len(names) > 30
        for name in names:
            assert visemes_of(name)


def test_an_unknown_phone_is_an_error() -> None:
    with pytest.raises(KeyError, match="no mouth shape"):
        visemes_of("!!")


def test_no_voice_breathes() -> None:
    # espeak-ng's breath noise comes from memory it never wrote: it differs from run to run.
    _, data = espeak_files()
    for variant in VARIANTS:
        text = (Path(data) / "voices" / "!v" / variant).read_text("utf-8", errors="replace")
        assert not re.search(r"^breath\b", text, re.MULTILINE), variant


@pytest.mark.parametrize("variant", VARIANTS[::12])
def test_the_same_utterance_has_the_same_bytes(variant: str) -> None:
    voice = replace(draw_voice(rng_for(3, "v"), "val"), variant=variant)
    text = draw_text(rng_for(3, "t"), "val", 12)
    first, second = (speak(text, voice, rng_for(3, "pauses")) for _ in range(2))
    assert first.audio.tobytes() == second.audio.tobytes()
    assert first.phones == second.phones


def test_speech_fills_the_time_with_short_pauses() -> None:
    rng = rng_for(4, "fill")
    speech = speak_for(8.0, draw_voice(rng, "train"), "train", rng)
    assert len(speech.audio) == 8 * SAMPLE_RATE
    starts = [phone.start_s for phone in speech.phones]
    stops = [phone.stop_s for phone in speech.phones]
    assert starts[0] == 0.0
    assert stops[-1] == pytest.approx(8.0, abs=0.01)
    assert starts[1:] == pytest.approx(stops[:-1])
    pauses = [phone.stop_s - phone.start_s for phone in speech.phones if phone.name == "_"]
    assert max(pauses) < 0.25
    assert sum(pauses) < 0.15 * 8


def test_sound_is_loud_in_vowels_and_faint_in_pauses() -> None:
    rng = rng_for(5, "loud")
    speech = speak_for(10.0, draw_voice(rng, "train"), "train", rng)

    def loudness(names: set[str]) -> float:
        parts = [
            speech.audio[round(p.start_s * SAMPLE_RATE) : round(p.stop_s * SAMPLE_RATE)]
            for p in speech.phones
            if p.name in names
        ]
        return float(np.sqrt(np.mean(np.concatenate(parts) ** 2)))

    vowels = {"a", "aI", "eI", "E", "oU", "i:", "aa", "O:"}
    assert loudness(vowels) > 5 * loudness({"_"})


def test_the_gpl_library_is_never_loaded_here() -> None:
    code = (
        "from avbench.synthetic import render_talking\n"
        "made = render_talking(0, seconds=1.0)\n"
        "import sys\n"
        "maps = open('/proc/self/maps').read() if sys.platform == 'linux' else ''\n"
        "assert 'espeak' not in maps, 'espeak-ng is in this process'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_missing_espeak_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    voice = draw_voice(rng_for(0, "v"), "train")
    with pytest.raises(MissingDependency, match=r"pip install 'avbench\[synth\]'"):
        speak(["Hello."], voice, rng_for(0))


def test_a_voice_that_espeak_lacks_is_named() -> None:
    voice = replace(draw_voice(rng_for(0, "v"), "train"), accent="xx-nowhere")
    with pytest.raises(AvbenchError, match="xx-nowhere"):
        speak(["Hello."], voice, rng_for(0))


def test_an_unknown_pool_is_named() -> None:
    with pytest.raises(UnknownName, match=r"'tset'\. Did you mean 'test'"):
        draw_sentence(rng_for(0), "tset")
