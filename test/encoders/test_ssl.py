from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoFeatureExtractor, AutoModel

from speechlm.core.errors import UserError
from speechlm.core.seq import Seq
from speechlm.encoders.ssl import LengthGroupNorm, SslEncoder
from test.families.checkpoints import tiny_checkpoint

ALL = ["hubert_base", "hubert_large", "wav2vec2_base", "wav2vec2_large", "wavlm_base", "wavlm_large"]
LARGE = [kind for kind in ALL if kind.endswith("large")]


def build(kind: str, **options: Any) -> SslEncoder:
    return SslEncoder(1, checkpoint=str(tiny_checkpoint(kind)), **options).eval()


def wave(length: int, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(length, generator=torch.Generator().manual_seed(seed)) + 0.02


@torch.no_grad()
def reference(kind: str, samples: torch.Tensor, **options: Any) -> Any:
    """Hugging Face's own way for one utterance: its preprocessor, its model, no padding."""
    place = tiny_checkpoint(kind)
    ready = AutoFeatureExtractor.from_pretrained(place)(np.asarray(samples), sampling_rate=16000, return_tensors="pt")
    return AutoModel.from_pretrained(place).eval()(ready.input_values, **options)


@pytest.mark.parametrize("kind", ALL)
@torch.no_grad()
def test_one_utterance_is_what_hugging_face_gives(kind):
    out = build(kind)(Seq.of([wave(5000)]))
    torch.testing.assert_close(out.data, reference(kind, wave(5000)).last_hidden_state, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ALL)
@torch.no_grad()
def test_rows_of_a_padded_batch_are_what_hugging_face_gives_alone(kind):
    lengths = (3000, 9000, 4000)
    out = build(kind)(Seq.of([wave(n, n) for n in lengths]))
    for length, row in zip(lengths, out.rows()):
        expected = reference(kind, wave(length, length)).last_hidden_state[0]
        torch.testing.assert_close(row, expected, atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_without_the_length_group_norm_padding_would_leak():
    encoder = build("hubert_base")
    first = encoder.model.feature_extractor.conv_layers[0]
    plain = torch.nn.GroupNorm(8, 8)
    plain.load_state_dict(first.layer_norm.state_dict())
    first.layer_norm = plain
    together = encoder(Seq.of([wave(3000), wave(9000)]))
    alone = encoder(Seq.of([wave(3000)]))
    assert (together.data[0, : alone.lens[0]] - alone.data[0]).abs().max() > 1e-2


def test_length_group_norm_is_group_norm_over_true_frames():
    norm = torch.nn.GroupNorm(5, 5)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    ours, x = LengthGroupNorm(norm), 3 + torch.randn(2, 5, 9)
    ours.lens = torch.tensor([9, 4])
    y = ours(x)
    torch.testing.assert_close(y[:1], norm(x[:1]), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(y[1:, :, :4], norm(x[1:, :, :4]), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_lengths_follow_the_formula_and_the_model():
    encoder = build("hubert_base")
    for length in (*range(1, 1500, 67), 399, 400, 719, 720, 721, 3280, 3359, 3360):
        out = encoder(Seq.of([wave(length)]))
        assert out.lens.item() == out.data.shape[1] == max((length - 400) // 320 + 1, 1), length


def test_an_empty_row_gives_no_step():
    out = build("hubert_large")(Seq(torch.zeros(2, 900), torch.tensor([0, 900])))
    assert out.lens.tolist() == [0, 2]
    assert not out.data[0].any() and torch.isfinite(out.data).all()


@pytest.mark.parametrize("kind", ["hubert_base", "hubert_large", "wavlm_large"])
@pytest.mark.parametrize("layer", [1, 2, 3])
@torch.no_grad()
def test_a_chosen_layer_is_that_hidden_state(kind, layer):
    encoder = build(kind, layer=layer)
    assert len(encoder.layers()) == layer
    states = reference(kind, wave(4000), output_hidden_states=True)
    expected = states.last_hidden_state if layer == 3 else states.hidden_states[layer]
    torch.testing.assert_close(encoder(Seq.of([wave(4000)])).data, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("layer", [0, 4])
def test_a_layer_that_is_not_there_is_told(layer):
    with pytest.raises(UserError, match=f"encoder.layer: must be 1 to 3, is {layer}"):
        build("hubert_base", layer=layer)


@pytest.mark.parametrize("kind", ["wav2vec2_base", "wav2vec2_large"])
@torch.no_grad()
def test_weighted_sum_is_over_all_layers_and_starts_even(kind):
    encoder = build(kind, weighted_sum=True)
    states = reference(kind, wave(4000), output_hidden_states=True)
    stack = torch.stack([*states.hidden_states[:3], states.last_hidden_state])
    speech = Seq.of([wave(4000)])
    torch.testing.assert_close(encoder(speech).data, stack.mean(0), atol=2e-5, rtol=1e-4)
    encoder.layer_weights.copy_(torch.tensor([0.0, 50.0, 0.0, 0.0]))
    torch.testing.assert_close(encoder(speech).data, stack[1], atol=2e-5, rtol=1e-4)


def test_normalisation_follows_the_preprocessor_or_the_option(tmp_path):
    assert build("hubert_large").normalize and not build("hubert_base").normalize
    assert build("hubert_base", normalize=True).normalize
    for kind, expected in (("hubert_base", False), ("hubert_large", True)):
        place = tmp_path / kind
        shutil.copytree(tiny_checkpoint(kind), place)
        (place / "preprocessor_config.json").unlink()
        assert SslEncoder(1, checkpoint=str(place)).normalize is expected


@torch.no_grad()
def test_normalised_audio_does_not_depend_on_loudness_or_offset():
    encoder = build("hubert_large")
    quiet, loud = (encoder(Seq.of([wave(2000), scale * wave(5000) + shift])) for scale, shift in ((1, 0), (3, 0.5)))
    torch.testing.assert_close(quiet.data, loud.data, atol=1e-3, rtol=1e-3)


def test_the_convolutional_part_is_frozen_by_option():
    kept, free = build("hubert_large").train(), build("hubert_large", freeze_conv=False).train()
    for encoder in (kept, free):
        encoder(Seq.of([wave(4000)])).data.square().sum().backward()
    assert all(p.grad is None for p in kept.model.feature_extractor.parameters())
    assert all(p.grad is not None for p in free.model.feature_extractor.parameters())
    assert sum(p.requires_grad for p in kept.model.parameters()) < sum(p.requires_grad for p in free.model.parameters())


def test_spec_augment_acts_in_training_only_when_asked_for():
    speech = Seq.of([wave(16000)])
    for asked in (False, True):
        encoder = build("hubert_large", spec_augment=asked)
        encoder.model.config.mask_time_prob = 0.5
        for module in encoder.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        for layer in encoder.layers():
            layer.attention.dropout = 0.0
        assert torch.equal(encoder.eval()(speech).data, encoder(speech).data)
        assert torch.equal(encoder.train()(speech).data, encoder(speech).data) is not asked


def test_spec_augment_lets_short_audio_through():
    assert build("hubert_large", spec_augment=True).train()(Seq.of([wave(1600)])).lens.tolist() == [4]


def test_layer_drop_is_off():
    encoder = build("hubert_large").train()
    assert encoder.model.config.layerdrop == 0.0


@pytest.mark.parametrize("kind", ["hubert_large", "wavlm_base"])
def test_recomputed_activations_give_the_same_gradient(kind):
    speech, found = Seq.of([wave(3000), wave(2000)]), []
    for recompute in (False, True):
        encoder = build(kind, gradient_checkpointing=recompute).train()
        torch.manual_seed(0)
        encoder(speech).data.square().sum().backward()
        found.append({name: p.grad for name, p in encoder.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys()
    for name, gradient in found[0].items():
        torch.testing.assert_close(gradient, found[1][name])


def test_another_architecture_is_refused():
    with pytest.raises(UserError, match="must be one of hubert, wav2vec2, wavlm"):
        SslEncoder(1, checkpoint=str(tiny_checkpoint("llama")))


def test_step_is_20_ms_and_width_is_the_checkpoints():
    encoder = build("hubert_base")
    assert (encoder.dim, encoder.seconds_per_step, encoder.field) == (16, 0.02, 400)
    assert Path(encoder.model.config.name_or_path).name == "hubert_base"
