from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM

from speechlm.core.errors import UserError
from speechlm.core.seq import Seq
from speechlm.encoders.conformer import ConformerEncoder
from speechlm.encoders.none import NoneEncoder
from speechlm.encoders.plm import PlmEncoder
from speechlm.encoders.ssl import SslEncoder
from speechlm.encoders.whisper import WhisperEncoder
from speechlm.nn.adapt import LoraOptions, adapt, parse_layers, trainable_parameters
from speechlm.nn.pretrained import weights_hash
from test.families.checkpoints import tiny_checkpoint

WAVES = Seq.of([torch.randn(n, generator=torch.Generator().manual_seed(n)) for n in (4000, 2500)])
FEATS = Seq.of([torch.randn(n, 10, generator=torch.Generator().manual_seed(n)) for n in (40, 25)])


class Llm(nn.Module):
    """What adapt sees of an LLM: a Hugging Face model under `model`."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.model: Any = AutoModelForCausalLM.from_pretrained(tiny_checkpoint(kind))


def hubert(kind: str = "hubert_large", **options: Any) -> SslEncoder:
    return SslEncoder(1, checkpoint=str(tiny_checkpoint(kind)), **options)


def plm(kind: str = "qwen2", **options: Any) -> PlmEncoder:
    return PlmEncoder(10, checkpoint=str(tiny_checkpoint(kind)), channels=2, **options)


def train_a_step(module: nn.Module, speech: Seq) -> None:
    """One large step of everything that is trained, in training mode."""
    module.train()
    optimizer = torch.optim.SGD([p for p in module.parameters() if p.requires_grad], lr=0.5)
    out = module(speech).data
    (out * torch.linspace(-1, 1, out.shape[-1])).sum().backward()
    optimizer.step()


@pytest.mark.parametrize(
    "text, expected",
    [(None, [0, 1, 2, 3, 4, 5]), ("0-2", [0, 1, 2]), ("3", [3]), ("4, 0-1", [0, 1, 4]), ("1-2,2-3", [1, 2, 3])],
)
def test_layer_ranges_are_read(text, expected):
    assert parse_layers(text, 6) == expected


@pytest.mark.parametrize("text", ["", "a", "3-1", "0-", "-1", "0..2", "0-6", "6"])
def test_wrong_layer_ranges_are_told(text):
    with pytest.raises(UserError, match=f"layers '{text}'"):
        parse_layers(text, 6)


@pytest.mark.parametrize("make, speech", [(hubert, WAVES), (plm, FEATS)])
def test_frozen_keeps_its_hash_and_its_eval_mode(make, speech):
    encoder = adapt(make(), "frozen")
    before = weights_hash(encoder.model)
    if make is plm:
        train_a_step(encoder, speech)
    encoder.train()
    assert weights_hash(encoder.model) == before
    assert encoder.training
    assert not any(module.training for module in encoder.model.modules())
    assert encoder.model.eval() is encoder.model


def test_gradient_flows_through_a_frozen_model_to_the_convolution_below():
    encoder = adapt(plm(input_dropout=0.0), "frozen")
    assert all(not name.startswith("model.") for name in trainable_parameters(encoder))
    assert {name.split(".")[0] for name in trainable_parameters(encoder)} == {"front", "scale"}
    encoder.train()(FEATS).data.square().sum().backward()
    assert all(p.grad.any() for p in encoder.front.parameters())
    assert all(p.grad is None for p in encoder.model.parameters())


def test_frozen_has_no_dropout_and_full_has():
    frozen, full = adapt(plm(input_dropout=0.0, dropout=0.5), "frozen"), plm(input_dropout=0.0, dropout=0.5)
    assert torch.equal(frozen.train()(FEATS).data, frozen(FEATS).data)
    adapt(full, "full").train()
    assert not torch.equal(full(FEATS).data, full(FEATS).data)


def test_full_leaves_what_the_part_itself_has_frozen():
    kept = adapt(hubert(), "full")
    names = trainable_parameters(kept)
    assert not any("feature_extractor" in name or "masked_spec_embed" in name for name in names)
    assert any("feature_projection" in name for name in names)
    assert not kept.train().model.feature_extractor.training
    assert kept.model.encoder.training
    assert any("feature_extractor" in name for name in trainable_parameters(adapt(hubert(freeze_conv=False), "full")))


def test_full_trains_the_chosen_layers_only():
    encoder = adapt(hubert(), "full", layers="1-2")
    before = {name: p.clone() for name, p in encoder.named_parameters()}
    train_a_step(encoder, WAVES)
    moved = {name for name, p in encoder.named_parameters() if not torch.equal(p, before[name])}
    assert {".".join(name.split(".")[:4]) for name in moved} == {"model.encoder.layers.1", "model.encoder.layers.2"}
    assert encoder.model.encoder.layers[1].training
    assert not encoder.model.encoder.layers[0].training


def test_a_part_without_a_pretrained_model_is_adapted_as_a_whole():
    encoder = ConformerEncoder(10, dim=8, layers=3, heads=2, ffn_dim=16, kernel=3, channels=2)
    assert trainable_parameters(adapt(copy.deepcopy(encoder), "frozen")) == {}
    names = trainable_parameters(adapt(copy.deepcopy(encoder), "full", layers="2"))
    assert names and all(name.startswith("blocks.2.") for name in names)
    lora = adapt(encoder, "lora", LoraOptions(rank=2, targets=["q", "mlp"], layers="0"))
    assert sum(trainable_parameters(lora).values()) == 2 * (8 + 8) + 4 * 2 * (8 + 16)
    assert lora(FEATS).data.shape == (2, 10, 8)


@pytest.mark.parametrize("mode", ["frozen", "full"])
def test_a_part_without_parameters_needs_nothing(mode):
    assert trainable_parameters(adapt(NoneEncoder(0), mode)) == {}


# (part, speech, rank-1 parameters of each layer: input and output width of every target matrix)
SQUARE = 4 * (16 + 16)
LORA_CASES = {
    "hubert_base": (lambda: hubert("hubert_base"), WAVES, SQUARE),
    "hubert_large": (lambda: hubert("hubert_large"), WAVES, SQUARE),
    "wav2vec2": (lambda: hubert("wav2vec2_large"), WAVES, SQUARE),
    "whisper": (lambda: WhisperEncoder(1, checkpoint=str(tiny_checkpoint("whisper")), window=0.5), WAVES, SQUARE),
    "qwen2": (lambda: plm("qwen2"), FEATS, 2 * (32 + 32) + 2 * (32 + 16)),
    "qwen3": (lambda: plm("qwen3"), FEATS, 2 * (32 + 32) + 2 * (32 + 16)),
    "llama": (lambda: plm("llama"), FEATS, 4 * (32 + 32)),
    "gpt2": (lambda: plm("gpt2"), FEATS, (32 + 96) + (32 + 32)),
    "gpt_neox": (lambda: plm("gpt_neox"), FEATS, (32 + 96) + (32 + 32)),
}


@pytest.mark.parametrize("make, speech, per_layer", LORA_CASES.values(), ids=LORA_CASES)
def test_lora_counts_reach_and_start(make, speech, per_layer):
    plain = make().eval()
    encoder = adapt(copy.deepcopy(plain), "lora", LoraOptions(rank=2, layers="0-1"))
    assert torch.equal(encoder.eval()(speech).data, plain(speech).data)  # B is zero at the start
    names = {name: size for name, size in trainable_parameters(encoder).items() if name.startswith("model.")}
    assert sum(names.values()) == 2 * 2 * per_layer
    assert all(".lora_" in name and "layers.2." not in name and "h.2." not in name for name in names)
    before = weights_hash(plain.model)
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            if ".lora_B." in name:
                parameter.normal_()
    train_a_step(encoder, speech)
    dead = [name for name, p in encoder.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert dead == []
    base = {n.replace(".base_layer", ""): p for n, p in encoder.model.state_dict().items() if ".lora_" not in n}
    assert all(torch.equal(value, base[name]) for name, value in plain.model.state_dict().items())
    assert weights_hash(plain.model) == before


def test_wavlm_refuses_adapters_that_would_never_act():
    for targets in (["q", "v"], ["q_proj"], ["mlp", "o"]):
        with pytest.raises(UserError, match="WavLM's attention passes adapters on q, k, v, o by"):
            adapt(hubert("wavlm_large"), "lora", LoraOptions(targets=targets))
    encoder = adapt(hubert("wavlm_large"), "lora", LoraOptions(rank=2, targets=["mlp"]))
    train_a_step(encoder, WAVES)
    grown = [p for name, p in encoder.named_parameters() if ".lora_B." in name]
    assert len(grown) == 6 and all(p.any() for p in grown)


def test_load_all_and_train_the_lowest_only():
    """2409.16005, stage 2: adapters of all layers, those above the lowest stay as they are."""
    first = adapt(Llm("llama"), "lora", LoraOptions(rank=2))
    second = adapt(Llm("llama"), "lora", LoraOptions(rank=2), layers="0-1")
    assert set(first.state_dict()) == set(second.state_dict())
    per_layer = 2 * 4 * (32 + 32)
    assert sum(trainable_parameters(first).values()) == 3 * per_layer
    assert sum(trainable_parameters(second).values()) == 2 * per_layer
    assert not any("layers.2." in name for name in trainable_parameters(second))
    second.train()
    assert second.model.model.layers[1].training and not second.model.model.layers[2].training


def test_lora_closed_forms_of_the_papers_on_meta_tensors():
    """2406.17272: 655,360 in ten layers of HuBERT-large, 16,777,216 in a 7B Llama; 2409.16005: 8.39 M, 1.31 M in 5."""
    from transformers import HubertConfig, HubertModel, LlamaConfig, LlamaForCausalLM

    class Part(nn.Module):
        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.model = model

    def count(model: nn.Module, lora: LoraOptions, layers: str | None = None) -> int:
        return sum(trainable_parameters(adapt(Part(model), "lora", lora, layers)).values())

    large = HubertConfig(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096,
                         feat_extract_norm="layer", do_stable_layer_norm=True)  # fmt: skip
    with torch.device("meta"):
        speech = HubertModel(large)
        seven = LlamaConfig(hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32)
        texts = [LlamaForCausalLM(seven) for _ in range(3)]
    assert count(speech, LoraOptions(rank=8, layers="14-23")) == 655_360
    assert count(texts[0], LoraOptions(rank=16)) == 16_777_216
    assert count(texts[1], LoraOptions(rank=8)) == 8_388_608
    assert count(texts[2], LoraOptions(rank=8), "0-4") == 1_310_720


def test_adapters_of_a_16_bit_model_are_in_32_bits():
    encoder = adapt(plm(dtype="bfloat16"), "lora", LoraOptions(rank=2))
    trained = {p.dtype for p in encoder.model.parameters() if p.requires_grad}
    assert trained == {torch.float32}
    assert encoder.model.layers[0].mlp.up_proj.weight.dtype == torch.bfloat16
    train_a_step(encoder, FEATS)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("frozen", None, "0-1"), "train_layers '0-1' has no effect on a frozen part"),
        (("lora", LoraOptions(layers="0"), "1-2"), "trains no parameter of HubertModel"),
        (("lora", LoraOptions(targets=["c_attn"])), "lora targets 'c_attn': encoder.layers.0 has only"),
        (("full", None, "0-3"), "the part has 3 layers, 0 to 2"),
        (("lora", LoraOptions(layers="7")), "the part has 3 layers, 0 to 2"),
    ],
)
def test_what_cannot_be_is_told(arguments, message):
    with pytest.raises(UserError, match=message):
        adapt(hubert(), *arguments)


def test_lora_needs_layers():
    with pytest.raises(UserError, match="NoneEncoder has no layers"):
        adapt(NoneEncoder(0), "lora")


def test_adapt_again_wakes_what_was_frozen():
    encoder = adapt(plm(), "frozen")
    encoder.model.requires_grad_(True)
    assert adapt(encoder, "full").train().model.layers[0].training


def test_a_copy_of_a_frozen_part_is_frozen_too():
    encoder = copy.deepcopy(adapt(plm(), "frozen")).train()
    assert not encoder.model.training
    assert encoder.model.train() is encoder.model


def test_a_layer_with_adapters_trains_as_a_whole():
    """Dropout beside a frozen matrix acts when the layer's adapters are trained, and nowhere else."""
    encoder = adapt(hubert(), "lora", LoraOptions(layers="1")).train()
    assert all(module.training for module in encoder.layers()[1].modules())
    assert not any(module.training for layer in encoder.layers()[::2] for module in layer.modules())
