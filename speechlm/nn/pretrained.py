"""Hugging Face models: load them by name or folder, and find their transformer layers."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from speechlm.core.errors import UserError

LAYERS = ("model.layers", "gpt_neox.layers", "transformer.h", "encoder.layers", "layers", "h")
"""Where models keep their transformer layers, the outer places first."""


def load_pretrained(auto_class: Any, checkpoint: str, *, dtype: str, attention: str) -> Any:
    """Load a model by name or folder: safetensors only, and no code of the checkpoint is ever run.

    dtype: name of a torch type, or auto for the checkpoint's own. attention: sdpa or eager.

    Raises UserError when the folder or the name cannot be loaded.
    """
    local = Path(checkpoint).is_dir()
    if not local and (checkpoint.startswith((".", "/", "~")) or checkpoint.count("/") > 1):
        raise UserError(f"checkpoint '{checkpoint}': no such folder; give one that exists or a Hugging Face hub name")
    try:
        return auto_class.from_pretrained(
            checkpoint,
            dtype=dtype if dtype == "auto" else getattr(torch, dtype),
            attn_implementation=attention,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=local,
        )
    except (OSError, ValueError, ImportError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"checkpoint '{checkpoint}': cannot be loaded ({reason}); give a folder with config.json and "
            "model*.safetensors, or a Hugging Face hub name while there is a network"
        ) from error


def transformer_layers(model: nn.Module) -> nn.ModuleList:
    """Find the transformer layers of a model, bottom to top.

    Raises UserError when they are at none of the places of `LAYERS`.
    """
    for place in LAYERS:
        found: Any = model
        for name in place.split("."):
            found = getattr(found, name, None)
        if isinstance(found, nn.ModuleList):
            return found
    raise UserError(f"{type(model).__name__}: no transformer layers at {', '.join(LAYERS)}; this model cannot be used here")


def first_dtype(model: nn.Module) -> torch.dtype:
    """The type in which a model computes: that of its first parameter."""
    return next(model.parameters()).dtype


def weights_hash(module: nn.Module) -> str:
    """Hash names, shapes, types and bytes of all weights and buffers that a state dictionary holds; hexadecimal."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        plain = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {tuple(plain.shape)} {plain.dtype}\n".encode())
        digest.update(plain.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
