from __future__ import annotations

import json
import shutil
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, WhisperFeatureExtractor

from speechlm.core.errors import UserError
from speechlm.core.seq import Seq
from speechlm.encoders.whisper import WhisperEncoder
from test.families.checkpoints import tiny_checkpoint
from test.paths import shared

WINDOW = 480000


def build(**options: Any) -> WhisperEncoder:
    return WhisperEncoder(1, checkpoint=str(tiny_checkpoint("whisper")), **options).eval()


def wave(length: int, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(length, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def reference(samples: torch.Tensor) -> torch.Tensor:
    """Hugging Face's own way for up to 30 s: (1500, D)."""
    features = WhisperFeatureExtractor()(np.asarray(samples), sampling_rate=16000, return_tensors="pt")
    model = AutoModel.from_pretrained(tiny_checkpoint("whisper")).eval()
    return model.encoder(features.input_features).last_hidden_state[0]


@pytest.mark.parametrize("mels", [80, 128])
def test_features_are_those_of_the_feature_extractor(mels):
    encoder = build()
    extractor = WhisperFeatureExtractor(feature_size=mels)
    encoder.filters = torch.tensor(extractor.mel_filters.T, dtype=torch.float32)
    for samples in (wave(16000), torch.zeros(16000), torch.sin(torch.arange(40000) / 7) * 0.9):
        expected = extractor(np.asarray(samples), sampling_rate=16000, return_tensors="np").input_features
        ours = encoder.log_mel(torch.nn.functional.pad(samples, (0, WINDOW - len(samples)))[None])
        np.testing.assert_allclose(ours.numpy(), expected, atol=2e-4)


def test_features_of_real_speech_are_those_of_the_feature_extractor():
    import soundfile

    path = next(shared("data/en_fsdd_8k").rglob("*.wav"))
    samples = torch.tensor(soundfile.read(path, dtype="float32")[0])
    expected = WhisperFeatureExtractor()(np.asarray(samples), sampling_rate=16000, return_tensors="np").input_features
    ours = build().log_mel(torch.nn.functional.pad(samples, (0, WINDOW - len(samples)))[None])
    np.testing.assert_allclose(ours.numpy(), expected, atol=2e-4)


@torch.no_grad()
def test_output_is_hugging_faces_cut_to_the_true_length():
    lengths = (8000, 321)
    out = build()(Seq.of([wave(n, n) for n in lengths]))
    assert out.lens.tolist() == [25, 2]
    for length, row in zip(lengths, out.rows()):
        torch.testing.assert_close(row, reference(wave(length, length))[: len(row)], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_long_audio_is_split_and_nothing_is_dropped():
    long = wave(WINDOW + 1700)
    out = build()(Seq.of([wave(2000, 1), long]))
    assert out.lens.tolist() == [7, 1500 + 6]
    first, second = reference(long[:WINDOW]), reference(long[WINDOW:])
    torch.testing.assert_close(out.data[1], torch.cat([first, second[:6]]), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(out.data[0, :7], reference(wave(2000, 1))[:7], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("length", [1, 319, 320, 321, 8000, 8001, 15999, 16000, 16001, 24001])
def test_length_is_samples_over_320_rounded_up(length):
    out = build(window=0.5)(Seq.of([wave(length)]))
    assert out.lens.item() == out.data.shape[1] == -(-length // 320)


@torch.no_grad()
def test_windows_only_where_there_is_audio():
    encoder, seen = build(window=0.5), []
    encoder.model.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    out = encoder(Seq(torch.randn(3, 20000), torch.tensor([20000, 0, 7999])))
    assert seen == [3 + 0 + 1]
    assert out.lens.tolist() == [63, 0, 25]


@torch.no_grad()
def test_a_batch_without_audio_is_empty():
    out = build(window=0.5)(Seq(torch.zeros(2, 10), torch.tensor([0, 0])))
    assert out.data.shape == (2, 0, 16)


@pytest.mark.parametrize("window", [0.0, 30.02, -1.0])
def test_wrong_windows_are_told(window):
    with pytest.raises(UserError, match="encoder.window: must be 0.02 to 30.0 seconds"):
        build(window=window)


def test_a_shorter_window_uses_the_first_positions():
    short, whole = build(window=0.5), build()
    table = short.model.embed_positions.weight
    assert torch.equal(table, whole.model.embed_positions.weight[:25])
    assert not table.requires_grad


def test_gradient_reaches_every_layer_over_window_borders():
    encoder = build(window=0.5).train()
    encoder(Seq.of([wave(20000)])).data[:, 30:].square().sum().backward()
    assert all(layer.fc1.weight.grad.any() for layer in encoder.layers())


def test_recomputed_activations_give_the_same_gradient():
    found = []
    for recompute in (False, True):
        encoder = build(window=0.5, gradient_checkpointing=recompute).train()
        encoder(Seq.of([wave(9000)])).data.square().sum().backward()
        found.append(encoder.layers()[0].fc1.weight.grad)
    torch.testing.assert_close(*found)


def test_a_bfloat16_model_takes_features_in_32_bits():
    encoder = build(window=0.5, dtype="bfloat16")
    with torch.no_grad():
        out, full = encoder(Seq.of([wave(8000)])), build(window=0.5)(Seq.of([wave(8000)]))
    assert encoder.filters.dtype == out.data.dtype == torch.float32
    assert torch.cosine_similarity(out.data.flatten(), full.data.flatten(), 0) > 0.99


def test_another_model_is_refused():
    with pytest.raises(UserError, match="is a hubert model, not a Whisper model"):
        WhisperEncoder(1, checkpoint=str(tiny_checkpoint("hubert_base")))


def test_layer_drop_is_off(tmp_path):
    place = tmp_path / "dropping"
    shutil.copytree(tiny_checkpoint("whisper"), place)
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps({**config, "encoder_layerdrop": 0.9}))
    encoder = WhisperEncoder(1, checkpoint=str(place), window=0.5).train()
    encoder(Seq.of([wave(8000)])).data.square().sum().backward()
    assert all(layer.fc1.weight.grad is not None for layer in encoder.layers())
