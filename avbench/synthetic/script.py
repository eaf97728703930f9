"""What the heads say: English sentences from a small grammar, in disjoint pools."""

from __future__ import annotations

import numpy as np

from avbench.synthetic.pools import check_pool, pool_of

_WORDS: dict[str, str] = {
    "person": "my brother|the baker|a farmer|our teacher|the old pilot|your mother|the mayor|"
    "a young painter|the boy|every woman|the bishop|a famous poet|our father|the nurse|"
    "this fisherman|the whole family|a police officer|the bus driver|my best friend|the judge",
    "thing": "a blue boat|the front door|five apples|some warm bread|the morning paper|"
    "a heavy box|the piano|my umbrella|a bowl of soup|the map of Europe|both pictures|"
    "a wooden table|the white van|fresh pepper|their bicycle|a pair of shoes|the big drum|"
    "an empty bottle|the village clock|purple flowers|an old film|the phone number",
    "place": "in the market|by the river|behind the house|near Boston|under the bridge|"
    "at the airport|above the valley|in a small village|on the farm|outside the theatre|"
    "across the bay|beside the church|at the summer fair|in room fifty four",
    "time": "yesterday|this morning|every Monday|before lunch|after the meeting|last week|"
    "at half past five|in November|once again|for the first time|tomorrow evening|by now",
    "past": "found|bought|painted|moved|wanted|brought back|forgot about|talked about|"
    "looked for|measured|gave up|broke|remembered|photographed|paid for|watched|borrowed",
    "base": "find|buy|paint|move|bring back|forget about|talk about|look for|measure|fix|"
    "open|carry|wash|photograph|pay for|watch|borrow|wrap up",
    "adjective": "wonderful|very heavy|rather small|almost new|far too loud|beautiful|"
    "pretty warm|often wet|perfectly safe|quite remarkable|deep and wide|above average",
    "opinion": "I believe|we all hope|people say|they thought|you know|nobody told me|"
    "it was clear|she felt sure|as far as I know|the reports show",
    "number": "two|five|seven|eleven|forty|about fifty|one hundred|twenty five|a million",
    "unit": "people|minutes|miles|pounds|visitors|pages|windows|members|weeks|families",
    "link": "because|while|before|after|although|but|and|so",
}
_TEMPLATES = (
    "{person} {past} {thing} {place}",
    "{time} {person} {past} {thing}",
    "{opinion} that {person} {past} {thing} {time}",
    "{person} will {base} {thing} {link} {person} {past} {thing}",
    "there were {number} {unit} {place} {time}",
    "{thing} {place} looked {adjective}",
    "could {person} {base} {thing} {place}",
    "{person} and {person} may {base} {thing} {time}",
    "it took {number} {unit} to {base} {thing} {place}",
    "{opinion} {thing} was {adjective} {link} {person} {past} it",
    "we must {base} {thing} {link} {person} can {base} {number} {unit}",
    "what did {person} {base} {place} {time}",
)
_CHOICES = {slot: words.split("|") for slot, words in _WORDS.items()}


def draw_sentence(rng: np.random.Generator, pool: str) -> str:
    """Draw one sentence that belongs to ``pool`` and to no other.

    A sentence's pool is a hash of its text, so the pools are disjoint whatever the seeds.

    Raises
    ------
    UnknownName
        If there is no such pool.
    """
    check_pool(pool)
    while True:
        sentence = _draw(rng)
        if pool_of("sentence", sentence) == pool:
            return sentence


def draw_text(rng: np.random.Generator, pool: str, num_words: int) -> list[str]:
    """Draw sentences of ``pool`` until they hold at least ``num_words`` words together."""
    sentences: list[str] = []
    while sum(len(sentence.split()) for sentence in sentences) < num_words:
        sentences.append(draw_sentence(rng, pool))
    return sentences


def _draw(rng: np.random.Generator) -> str:
    text = _TEMPLATES[int(rng.integers(len(_TEMPLATES)))]
    while "{" in text:
        slot = text[text.index("{") + 1 : text.index("}")]
        words = _CHOICES[slot]
        text = text.replace(f"{{{slot}}}", words[int(rng.integers(len(words)))], 1)
    return text[0].upper() + text[1:] + "."
