"""Low-rank adapters through peft: put them in, save and load them in peft's format, merge them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from speechlm.core.errors import UserError
from speechlm.io.weights import load_weights, save_weights

ROLES: dict[str, tuple[str, ...]] = {
    "q": ("q_proj", "c_attn", "query_key_value", "qkv_proj"),
    "k": ("k_proj", "c_attn", "query_key_value", "qkv_proj"),
    "v": ("v_proj", "c_attn", "query_key_value", "qkv_proj"),
    "o": ("o_proj", "out_proj", "attn.c_proj", "attention.dense"),
    "mlp": (
        *("gate_proj", "up_proj", "down_proj", "gate_up_proj"),  # Llama, Qwen, Mistral, Phi
        *("mlp.c_fc", "mlp.c_proj", "dense_h_to_4h", "dense_4h_to_h"),  # GPT-2, GPT-NeoX
        *("intermediate_dense", "output_dense", "fc1", "fc2"),  # HuBERT and its kin, Whisper
        *("ffn1.up", "ffn1.down", "ffn2.up", "ffn2.down"),  # our Conformer
    ),
}
"""The names that architectures give to the matrices of a layer; fused query, key and value count once."""

PREFIX = "base_model.model."
"""What peft puts before every name in a saved adapter."""


def add_lora(
    model: nn.Module, layers: list[nn.Module], targets: list[str], *, rank: int, alpha: float, dropout: float
) -> None:
    """Put an adapter beside each target matrix of `layers`, which lie somewhere in `model`, and freeze all the rest.

    peft gets whole names, so layers are chosen the same way in every architecture (its own choice by layer number finds
    nothing in a bare encoder, and in Whisper finds the decoder too).

    Raises UserError for a target that a layer does not have, and for targets on which an adapter would have no effect.
    """
    from peft import LoraConfig, inject_adapter_in_model

    names = _target_names(model, layers, targets)
    config = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=names)
    config.fan_in_fan_out = any(isinstance(model.get_submodule(name), _conv1d()) for name in names)
    config.base_model_name_or_path = getattr(getattr(model, "config", None), "name_or_path", None)
    on_meta = any(p.is_meta for p in model.parameters())
    model.requires_grad_(False)
    inject_adapter_in_model(config, model, low_cpu_mem_usage=on_meta)
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.dtype in (torch.bfloat16, torch.float16):
            parameter.data = parameter.data.float()  # steps of the size of a learning rate vanish in 16 bits


def _target_names(model: nn.Module, layers: list[nn.Module], targets: list[str]) -> list[str]:
    kind = getattr(getattr(model, "config", None), "model_type", "")
    dead = {"q", "k", "v", "o", *(name for role in "qkvo" for name in ROLES[role])}
    if kind == "wavlm" and dead.intersection(targets):
        raise UserError("lora.targets: WavLM's attention passes adapters on q, k, v, o by; use targets: [mlp]")
    matrices = (nn.Linear, _conv1d())
    own = {id(layer) for layer in layers}
    places = [name for name, module in model.named_modules() if id(module) in own]
    found: list[str] = []
    for place in places:
        inside = [name for name, module in model.get_submodule(place).named_modules() if isinstance(module, matrices)]
        for target in targets:
            ends = ROLES.get(target, (target,))
            hits = [name for name in inside if any(f".{name}".endswith(f".{end}") for end in ends)]
            if not hits:
                raise UserError(f"lora targets '{target}': {place or kind} has only {', '.join(inside)}")
            found += [f"{place}.{name}" for name in hits]
    return sorted(set(found))


def _conv1d() -> Any:
    from transformers.pytorch_utils import Conv1D  # GPT-2's linear layer

    return Conv1D


def has_adapter(model: nn.Module) -> bool:
    """Tell whether `add_lora` has put adapters in."""
    return "default" in getattr(model, "peft_config", {})


def save_adapter(model: nn.Module, folder: Path | str) -> None:
    """Write adapter_model.safetensors and adapter_config.json, from which peft alone can load the adapters."""
    from peft import get_peft_model_state_dict

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = get_peft_model_state_dict(model, save_embedding_layers=False)
    tensors = {PREFIX + name: tensor for name, tensor in tensors.items()}
    save_weights(folder / "adapter_model.safetensors", tensors, {"format": "pt"})
    model.peft_config["default"].save_pretrained(str(folder))


def load_adapter(model: nn.Module, folder: Path | str) -> None:
    """Read the weights of adapters that stand in `model` already.

    Raises UserError when the folder has others than the model.
    """
    path = Path(folder) / "adapter_model.safetensors"
    loaded, _ = load_weights(path)
    own = {name: p for name, p in model.named_parameters() if ".lora_" in name}
    renamed = {PREFIX + name.replace(".default.", "."): p for name, p in own.items()}
    wrong = set(loaded) ^ set(renamed) or {n for n in loaded if loaded[n].shape != renamed[n].shape}
    if wrong:
        raise UserError(
            f"{path}: {len(wrong)} adapters differ from the model's, first {min(wrong)}; use its lora options"
        )
    with torch.no_grad():
        for name, parameter in renamed.items():
            parameter.copy_(loaded[name])


def merge_adapters(model: nn.Module) -> None:
    """Add every adapter into its matrix and take it away: the plain architecture is left, with the same outputs."""
    from peft.tuners.lora import LoraLayer

    for name, module in list(model.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge()
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, module.get_base_layer())
    model.__dict__.pop("peft_config", None)
