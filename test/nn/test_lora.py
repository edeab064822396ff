from __future__ import annotations

import json

import pytest
import torch
from peft import PeftModel
from transformers import AutoModel, AutoModelForCausalLM

from speechlm.core.errors import UserError
from speechlm.nn.lora import add_lora, has_adapter, load_adapter, merge_adapters, save_adapter
from speechlm.nn.pretrained import transformer_layers
from test.families.checkpoints import tiny_checkpoint

IDS = torch.arange(6, 18).reshape(2, 6)


def adapted(kind: str, seed: int, *, rank: int = 3, layers: slice = slice(None)) -> torch.nn.Module:
    """An LLM with adapters that act."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(tiny_checkpoint(kind))
    chosen = list(transformer_layers(model))[layers]
    add_lora(model, chosen, ["q", "k", "v", "o", "mlp"], rank=rank, alpha=6, dropout=0.0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".lora_B." in name:
                parameter.normal_(std=0.3)
    return model.eval()


@torch.no_grad()
def logits(model: torch.nn.Module) -> torch.Tensor:
    return model(input_ids=IDS).logits


@pytest.mark.parametrize("kind", ["qwen2", "qwen3", "llama", "gpt2", "gpt_neox"])
def test_saved_adapters_load_with_peft_alone(kind, tmp_path):
    model = adapted(kind, 0)
    save_adapter(model, tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["base_model_name_or_path"]) == (3, 6, str(tiny_checkpoint(kind)))
    plain = AutoModelForCausalLM.from_pretrained(tiny_checkpoint(kind)).eval()
    assert not torch.allclose(logits(plain), logits(model), atol=1e-3)
    torch.testing.assert_close(logits(PeftModel.from_pretrained(plain, str(tmp_path)).eval()), logits(model))


def test_adapters_of_some_layers_load_with_peft_alone(tmp_path):
    model = adapted("llama", 0, layers=slice(1, 2))
    save_adapter(model, tmp_path)
    base = AutoModelForCausalLM.from_pretrained(tiny_checkpoint("llama"))
    plain = PeftModel.from_pretrained(base, str(tmp_path)).eval()
    assert len([n for n, _ in plain.named_parameters() if ".lora_A." in n]) == 7
    torch.testing.assert_close(logits(plain), logits(model))


def test_saved_adapters_load_into_a_fresh_model(tmp_path):
    first, second = adapted("gpt_neox", 0), adapted("gpt_neox", 1)
    assert not torch.allclose(logits(first), logits(second), atol=1e-3)
    save_adapter(first, tmp_path)
    load_adapter(second, tmp_path)
    assert torch.equal(logits(first), logits(second))


@pytest.mark.parametrize("other", [dict(rank=2), dict(layers=slice(0, 2))])
def test_other_adapters_are_refused(other, tmp_path):
    save_adapter(adapted("llama", 0), tmp_path)
    with pytest.raises(UserError, match="adapters differ from the model's"):
        load_adapter(adapted("llama", 0, **other), tmp_path)


@pytest.mark.parametrize("kind", ["qwen2", "gpt2", "gpt_neox"])
def test_merged_is_a_plain_model_with_the_same_outputs(kind, tmp_path):
    model = adapted(kind, 0)
    assert has_adapter(model)
    before = logits(model)
    merge_adapters(model)
    assert not has_adapter(model)
    assert not any("lora" in name or "base_layer" in name for name in model.state_dict())
    torch.testing.assert_close(logits(model), before, atol=1e-4, rtol=1e-4)
    model.save_pretrained(tmp_path)
    torch.testing.assert_close(logits(AutoModelForCausalLM.from_pretrained(tmp_path)), logits(model))


def test_whisper_gets_adapters_in_the_encoder_only():
    model = AutoModel.from_pretrained(tiny_checkpoint("whisper"))
    add_lora(model, list(model.encoder.layers), ["q", "v"], rank=2, alpha=4, dropout=0.0)
    names = [name for name, _ in model.named_parameters() if ".lora_A." in name]
    assert len(names) == 4 and all(name.startswith("encoder.layers.") for name in names)


def test_layer_one_is_not_layer_eleven():
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(hidden_size=8, num_hidden_layers=12, num_attention_heads=2, intermediate_size=8, vocab_size=5)
    model = LlamaForCausalLM(config)
    add_lora(model, [model.model.layers[1]], ["q"], rank=1, alpha=1, dropout=0.0)
    names = [name for name, _ in model.named_parameters() if ".lora_A." in name]
    assert names == ["model.layers.1.self_attn.q_proj.lora_A.default.weight"]
