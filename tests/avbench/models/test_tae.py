"""Decoders that name a picture row for every row of sound: sizes of the paper, and laws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from avbench.models.architectures import TAE_2020
from avbench.models.crf_decoder import CrfDecoder, CrfDecoderConfig, build, config_from_json
from avbench.models.tae import SMALL, Tae, TaeConfig, narrow, tell, widen
from avbench.models.training import new_network
from avbench.models.vgg import PaperTwoStream

TINY = replace(SMALL, rows=6, columns=10, hidden=12, embedding=8, attention=8, mlp=(16, 8))
CONFIGS = {
    "tae": TINY,
    "no-attention": replace(TINY, attention=0),
    "layers": replace(TINY, layers=3, distance="raw", centre=0.0, gain=1.0, bias_std=1.0),
    "crf": CrfDecoderConfig(6, 10, encoder=8, hidden=8, embedding=8, attention=8, mlp=16),
}


def make(config, seed=0):
    made = new_network(lambda: build(config), np.random.default_rng(seed))
    if isinstance(made, CrfDecoder):  # whose answers would be the field's alone
        with torch.no_grad():
            made.mlp[-1].weight.normal_(generator=torch.Generator().manual_seed(1))
    return made.eval()


def rows(count, num, seed=0, dim=8):
    made = np.random.default_rng([seed, num]).standard_normal((count, num, dim))
    return torch.from_numpy(made.astype(np.float32))


@pytest.fixture(params=CONFIGS)
def decoder(request):
    return make(CONFIGS[request.param])


def test_the_paper_says_these_sizes():
    tae = Tae(TaeConfig())
    for lstm, inputs in ((tae.encoder, 75), (tae.decoder, 512 + 512)):
        assert (lstm.input_size, lstm.hidden_size, lstm.num_layers) == (inputs, 512, 3)
    assert tae.answers.weight.shape == (77, 512)
    assert [m.weight.shape for m in tae.mlp if isinstance(m, nn.Linear)] == [
        (512, 1024),
        (256, 512),
        (75, 256),
    ]
    assert tae.attention.of_state.weight.shape == (256, 512)
    assert tae.attention.of_outputs.weight.shape == (256, 512)
    assert tae.attention.score.weight.shape == (1, 256)
    assert tae.dropout.p == 0.1


def test_the_released_streams_have_these_sizes():
    sides = [size[-1] for size in TAE_2020.picture_sizes()]
    assert sides == [120, 118, 58, 29, 15, 15, 15, 13, 6, 1]
    assert TAE_2020.sound_sizes()[-2:] == [(5, 4), (1, 1)]
    assert [layers[-1].filters for layers in (TAE_2020.video, TAE_2020.audio)] == [2048, 2048]
    assert TAE_2020.head == (2048, 1024)
    streams = PaperTwoStream(TAE_2020)
    pictures, sound = torch.zeros(1, 6, 120, 120, 1), torch.zeros(1, 2, 13, 20)
    with torch.inference_mode():
        assert streams.eval().embed_video(pictures).shape == (1, 2, 1024)
        assert streams.embed_audio(sound).shape == (1, 2, 1024)


def test_without_attention_nothing_of_it_is_left():
    tae = Tae(TaeConfig(attention=0))
    assert not hasattr(tae, "attention")
    assert tae.decoder.input_size == 512
    assert tae.mlp[0].in_features == 512


def test_weights_start_as_in_the_paper():
    small = TaeConfig(hidden=64, layers=1)
    tae = new_network(lambda: Tae(small), np.random.default_rng(0)).requires_grad_(False)
    for name in ("weight_ih_l0", "weight_hh_l0"):
        weight = getattr(tae.encoder, name)
        wide = weight if weight.shape[0] < weight.shape[1] else weight.T
        eye = torch.eye(len(wide))
        torch.testing.assert_close(wide @ wide.T, eye, atol=1e-4, rtol=0)
    first = tae.mlp[0].weight
    assert float(first.std()) == pytest.approx((2 / sum(first.shape)) ** 0.5, rel=0.05)
    assert float(tae.mlp[0].bias.std()) == pytest.approx(1, rel=0.2)


@pytest.mark.parametrize("config", [TaeConfig(), CrfDecoderConfig()], ids=["tae", "crf"])
def test_one_step_and_one_answer_at_full_size(config):
    decoder = build(config)
    audio, video = rows(1, 25, dim=1024), rows(1, 75, dim=1024)
    target = torch.arange(25, 50).unsqueeze(0)
    decoder.loss(audio, video, target).backward()
    for name, parameter in decoder.named_parameters():
        if name.startswith(("drops.", "damaged.")):  # which are trained by themselves
            assert parameter.grad is None, name
            continue
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    torch.optim.Adam(decoder.parameters(), lr=1e-6, betas=(0.5, 0.999)).step()
    with torch.inference_mode():
        assert decoder.eval()(audio, video).shape == (1, 25, 75)


def test_windows_of_a_batch_do_not_see_each_other(decoder):
    audio, video = rows(3, 6), rows(3, 10)
    with torch.inference_mode():
        together = decoder(audio, video)
        alone = torch.cat([decoder(audio[[i]], video[[i]]) for i in range(3)])
    torch.testing.assert_close(together, alone)


def test_only_distances_count(decoder):
    """Turning both streams together changes nothing."""
    audio, video = rows(2, 6), rows(2, 10)
    turn, _ = torch.linalg.qr(rows(1, 8, seed=9)[0])
    with torch.inference_mode():
        torch.testing.assert_close(
            decoder(audio, video), decoder(audio @ turn, video @ turn), atol=1e-4, rtol=1e-4
        )


@pytest.mark.parametrize("name", ["tae", "no-attention", "layers"])
def test_the_decoder_is_handed_hidden_states_and_no_cell(name):
    decoder, seen = make(CONFIGS[name]), []
    decoder.encoder.register_forward_hook(lambda _, __, out: seen.append(out[1][0]))
    decoder.decoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1]))
    with torch.inference_mode():
        decoder(rows(2, 6), rows(2, 10))
    assert torch.equal(seen[1][0], seen[0])
    assert not seen[1][1].any()


def test_unit_distances_know_no_length_and_raw_ones_do():
    audio, video = rows(1, 6), rows(1, 10)
    with torch.inference_mode():
        for name, same in (("tae", True), ("crf", True), ("layers", False)):
            decoder = make(CONFIGS[name])
            close = torch.allclose(decoder(audio, video), decoder(3 * audio, video), atol=1e-4)
            assert close is same, name


def test_an_answer_depends_on_the_answers_before_it_alone(decoder):
    audio, video = rows(2, 6), rows(2, 10)
    told = torch.full((2, 6), -1)
    told[:, 2] = 9 - decoder(audio, video)[:, 2].argmax(-1)
    with torch.inference_mode():
        own, changed = decoder(audio, video), decoder(audio, video, told)
    assert torch.equal(own[:, :3], changed[:, :3])
    assert not torch.allclose(own[:, 3:], changed[:, 3:])


def test_its_own_answers_are_what_is_fed_back(decoder):
    audio, video = rows(2, 6), rows(2, 10)
    with torch.inference_mode():
        own = decoder(audio, video)
        assert torch.equal(own, decoder(audio, video, own.argmax(-1)))


def test_padding_is_not_looked_at(decoder):
    audio, video = rows(1, 6), rows(1, 10)
    target = torch.tensor([[1, 2, 3, 4, 5, 6]])
    padded = target.clone()
    padded[0, 3:] = 11
    with torch.inference_mode():
        logits = decoder(audio, video)
        expected = nn.functional.cross_entropy(logits[0, :3], target[0, :3])
        torch.testing.assert_close(decoder.cross_entropy(logits, padded), expected)


def test_answers_that_are_not_allowed_are_not_given(decoder):
    audio, video = rows(4, 6), rows(4, 10)
    allowed = torch.zeros(6, 10, dtype=torch.bool)
    allowed[torch.arange(6), torch.tensor([3, 1, 4, 1, 5, 9])] = True
    if isinstance(decoder, CrfDecoder):  # a field goes only ways that do not go back
        allowed = torch.tril(torch.triu(torch.ones(6, 10, dtype=torch.bool), 1), 2)
    with torch.inference_mode():
        logits = decoder(audio, video, allowed=allowed)
        assert torch.isfinite(logits).all()
        answers = logits.argmax(-1)
    assert allowed[torch.arange(6), answers].all()


def test_a_smaller_window_is_filled_up(decoder):
    audio, video = rows(2, 4), rows(2, 7)
    with torch.inference_mode():
        logits = decoder(audio, video)
    assert logits.shape == (2, 4, 7)
    assert (logits > -1e3).all(), "only what was added is ruled out"


def test_filling_and_cutting_undo_each_other():
    values = rows(2, 5, dim=7)
    filled, allowed = widen(values, 12, None)
    assert torch.equal(narrow(allowed, 7), torch.ones(5, 7, dtype=torch.bool))
    assert int(allowed.sum()) == 35
    torch.testing.assert_close(narrow(filled, 7), values)
    torch.testing.assert_close(filled.mean(-1), values.mean(-1))
    assert widen(values, 7, None) == (values, None)


def test_true_answers_are_told_by_their_share():
    target = torch.randint(0, 75, (200, 25), generator=torch.Generator().manual_seed(0))
    assert tell(target, 0.0, np.random.default_rng(0)) is None
    told = tell(target, 0.3, np.random.default_rng(0))
    assert float((told >= 0).float().mean()) == pytest.approx(0.3, abs=0.02)
    assert torch.equal(told[told >= 0], target[told >= 0])


def test_a_decoder_begins_as_its_field_alone():
    decoder = build(CONFIGS["crf"]).eval()
    audio, video = rows(2, 6), rows(2, 10)
    with torch.inference_mode():
        inside = decoder.posteriors(decoder_cosines(audio, video))
        torch.testing.assert_close(decoder(audio, video), inside)


def decoder_cosines(audio, video):
    return nn.functional.normalize(audio, dim=-1) @ nn.functional.normalize(video, dim=-1).mT


@pytest.mark.parametrize("name", CONFIGS)
def test_sizes_survive_json(name):
    import json
    from dataclasses import asdict

    assert config_from_json(json.loads(json.dumps(asdict(CONFIGS[name])))) == CONFIGS[name]


@pytest.mark.parametrize("name", ["tae", "no-attention", "crf"])
def test_it_learns_to_follow_a_line(name):
    """Sound rows that equal picture rows at a shift that varies from window to window."""
    decoder, rng = make(CONFIGS[name]).train(), np.random.default_rng(3)
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=1e-2)

    def window(count):
        video = torch.from_numpy(rng.standard_normal((count, 10, 8)).astype(np.float32))
        target = torch.from_numpy(rng.integers(0, 5, (count, 1)) + np.arange(6))
        return torch.gather(video, 1, target[..., None].expand(-1, -1, 8)), video, target

    for _ in range(200):
        audio, video, target = window(32)
        optimiser.zero_grad()
        decoder.loss(audio, video, target).backward()
        optimiser.step()
    audio, video, target = window(200)
    with torch.inference_mode():
        right = (decoder.eval()(audio, video).argmax(-1) == target).float().mean()
    assert float(right) > 0.8
