"""The battery of the encoders: every kind of the table, with no code of its own per kind."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from speechlm.core.config import Config
from speechlm.core.experiment import check
from speechlm.core.registry import load, signature
from speechlm.core.seq import Seq
from speechlm.encoders import KINDS
from speechlm.io.weights import load_weights, save_weights
from test.families.checkpoints import tiny_checkpoint

TOLERANCE = 2e-5  # of outputs whose size is about 1: sums over padded rows run in another order
MELS, UNITS = 20, 30
WIDTH = {"feats": MELS, "wave": 1, "pinyin": UNITS, "none": 0}
LENGTHS = {"feats": (61, 1, 40, 7), "wave": (9000, 1, 1600, 399), "pinyin": (9, 1, 4, 4), "none": (0, 0, 0, 0)}


@dataclass(frozen=True)
class Case:
    """One member under test: its options, and the checkpoint it needs."""

    kind: str
    options: dict[str, Any] = field(default_factory=dict)
    checkpoint: str = ""
    width: int = 0

    def section(self) -> dict[str, Any]:
        options = dict(self.options)
        if self.checkpoint:
            options["checkpoint"] = str(tiny_checkpoint(self.checkpoint))
        if self.kind == "cached":
            options["key"] = str(_key_file())
        return options

    def build(self, seed: int = 0) -> nn.Module:
        torch.manual_seed(seed)
        cls = load("encoder", self.kind)
        return cls(self.width or WIDTH[cls.source], **self.section())


SMALL = dict(dim=16, layers=2, heads=2, ffn_dim=32, kernel=5, channels=4)
CASES = {
    "conformer": Case("conformer", SMALL),
    "conformer_x8": Case("conformer", {**SMALL, "subsampling": 8, "attention_dropout": 0.1}),
    "conv": Case("conv", dict(dim=16, channels=4)),
    "conv_x2": Case("conv", dict(dim=16, channels=4, subsampling=2)),
    "plm": Case("plm", dict(channels=4), "qwen2"),
    "plm_over": Case("plm", dict(front="none"), "gpt2"),
    "plm_stack": Case("plm", dict(front="none", stack=3), "qwen2"),
    "plm_causal": Case("plm", dict(channels=4, causal=True, attention="eager", layer_slice="0-1"), "gpt_neox"),
    **{f"ssl_{name}": Case("ssl", {}, name) for name in ("hubert_base", "wav2vec2_base", "wavlm_base")},
    **{f"ssl_{name}": Case("ssl", dict(freeze_conv=False), name) for name in ("hubert_large", "wavlm_large")},
    "ssl_sum": Case("ssl", dict(weighted_sum=True, layer=2), "wav2vec2_large"),
    "whisper": Case("whisper", dict(window=0.5), "whisper"),
    "pinyin": Case("pinyin", dict(dim=16)),
    "none": Case("none"),
    "cached": Case("cached"),
}
every = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def _key_file() -> Path:
    path = tiny_checkpoint("whisper").parent / "encoder.json"
    key = dict(hash="0", kind="whisper", options={}, checkpoint="x", dim=MELS, seconds_per_step=0.02)
    path.write_text(json.dumps(key), encoding="utf-8")
    return path


def batch_of(source: str, seed: int = 0) -> Seq:
    """Four utterances of different lengths, the shortest legal one among them."""
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for length in LENGTHS[source]:
        if source == "pinyin":
            rows.append(torch.randint(0, UNITS, (length,), generator=generator))
        elif source == "feats":
            rows.append(torch.randn(length, MELS, generator=generator))
        else:
            rows.append(0.1 * torch.randn(length, generator=generator))
    return Seq.of(rows)


def expected_steps(case: Case, encoder: nn.Module, length: int) -> int:
    """Count the steps as the encoder's docstring says, one utterance at a time."""
    if case.kind in ("conformer", "conv") or (case.kind == "plm" and case.options.get("front") != "none"):
        return -(-length // case.options.get("subsampling", 4))
    if case.kind == "ssl":
        return max((length - 400) // 320 + 1, 1)
    return -(-length // 320) if case.kind == "whisper" else -(-length // case.options.get("stack", 1))


@torch.no_grad()
def run(encoder: nn.Module, speech: Seq) -> Seq:
    return encoder.eval()(speech)


def test_every_kind_has_a_case():
    assert {case.kind for case in CASES.values()} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_docstring_names_every_option(kind):
    own = signature("encoder", kind)
    assert own.summary
    assert [option.name for option in own.options if not option.sentence] == []
    assert load("encoder", kind).source in WIDTH


@every
def test_shapes_lengths_and_facts(case):
    encoder = case.build()
    speech = batch_of(encoder.source)
    out = run(encoder, speech)
    expected = [expected_steps(case, encoder, n) for n in speech.lens.tolist()]
    assert out.lens.tolist() == (expected if case.kind != "none" else [0] * 4)
    assert out.data.shape == (4, max(out.lens.tolist()), encoder.dim)
    assert out.data.dtype == torch.float32
    assert all(isinstance(layer, nn.Module) for layer in encoder.layers())
    step = {"feats": 0.01, "wave": 1 / 16000}.get(encoder.source)
    if step and case.kind != "cached":
        assert encoder.seconds_per_step == pytest.approx(step * speech.lens[0].item() / out.lens[0].item(), rel=0.05)


@every
def test_alone_is_as_in_a_padded_batch(case):
    encoder = case.build()
    speech = batch_of(encoder.source)
    together = run(encoder, speech)
    for row, output in zip(speech.rows(), together.rows()):
        alone = run(encoder, Seq.of([row]))
        assert alone.lens.item() == len(output)
        torch.testing.assert_close(alone.data[0], output, atol=TOLERANCE, rtol=1e-4)


@every
def test_what_stands_in_the_padding_is_never_read_or_given(case):
    encoder = case.build()
    speech = batch_of(encoder.source)
    clean = run(encoder, speech)
    mask = speech.mask if speech.data.dim() == 2 else speech.mask[..., None]
    rubbish = 7 if encoder.source == "pinyin" else torch.nan
    dirty = run(encoder, Seq(speech.data.masked_fill(~mask, rubbish), speech.lens))
    assert torch.equal(clean.data, dirty.data)
    assert not clean.data[~clean.mask].any()


@every
def test_order_of_the_batch_does_not_matter(case):
    encoder = case.build()
    speech = batch_of(encoder.source)
    order = torch.tensor([2, 0, 3, 1])
    straight, mixed = run(encoder, speech), run(encoder, Seq(speech.data[order], speech.lens[order]))
    assert torch.equal(straight.lens[order], mixed.lens)
    torch.testing.assert_close(straight.data[order], mixed.data, atol=TOLERANCE, rtol=1e-4)


@every
def test_gradient_reaches_every_trained_parameter(case):
    encoder = case.build().train()
    speech = batch_of(encoder.source)
    out = encoder(speech)
    weights = torch.randn(out.data.shape, generator=torch.Generator().manual_seed(1))
    (out.data * weights).sum().backward() if out.data.requires_grad else None
    trained = {name: p.grad for name, p in encoder.named_parameters() if p.requires_grad}
    assert bool(trained) == (case.kind not in ("none", "cached"))
    # Adding a vector to all keys changes no attention weight: the gradient of a key bias is rounding.
    dead = [n for n, g in trained.items() if g is None or (not g.any() and not n.endswith("k_proj.bias"))]
    assert dead == []


@every
def test_shortest_input_gives_a_step(case):
    encoder = case.build()
    if encoder.source == "none":
        pytest.skip("gives no steps at all")
    shortest = {"feats": torch.randn(1, MELS), "wave": torch.randn(1), "pinyin": torch.tensor([3])}[encoder.source]
    out = run(encoder, Seq.of([shortest]))
    assert out.lens.item() == 1
    assert torch.isfinite(out.data).all()
    if encoder.source == "wave":
        assert run(encoder, Seq.of([torch.randn(1600)])).lens.item() == expected_steps(case, encoder, 1600)


@every
def test_saved_and_loaded_is_the_same(case, tmp_path):
    first, second = case.build(), case.build(seed=1)
    speech = batch_of(first.source)
    if case.kind in ("none", "cached"):
        assert first.state_dict() == {}
        return
    save_weights(tmp_path / "a.safetensors", first.state_dict(), {})
    second.load_state_dict(load_weights(tmp_path / "a.safetensors")[0])
    assert torch.equal(run(first, speech).data, run(second, speech).data)


@every
def test_bfloat16_is_finite_and_near(case):
    encoder = case.build()
    speech = batch_of(encoder.source)
    full = run(encoder, speech)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = run(encoder, speech)
    assert torch.equal(mixed.lens, full.lens)
    # Seven random convolutions on noise spread rounding widely: compare directions, not values.
    assert not full.data.any() or torch.cosine_similarity(mixed.data.float().flatten(), full.data.flatten(), 0) > 0.9
    half = encoder.bfloat16()
    given = Seq(speech.data.bfloat16(), speech.lens) if encoder.source == "feats" else speech
    assert torch.isfinite(run(half, given).data).all()


@every
def test_options_survive_yaml(case):
    written = yaml.safe_dump({"encoder": {"kind": case.kind, **case.section()}})
    checked = check(Config(yaml.safe_load(written), {}), {}, {"encoder": "encoder"}).values["encoder"]
    again = yaml.safe_load(yaml.safe_dump(checked))
    assert again == checked
    names = [option.name for option in signature("encoder", case.kind).options]
    cls = load("encoder", case.kind)
    torch.manual_seed(0)
    rebuilt = cls(case.width or WIDTH[cls.source], **{name: again[name] for name in names})
    speech = batch_of(cls.source)
    assert torch.equal(run(rebuilt, speech).data, run(case.build(), speech).data)
