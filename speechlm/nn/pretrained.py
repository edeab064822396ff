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

    dtype: name of a torch type, or auto for the checkpoint's own. attention: sdpa, eager, or auto for the best
    that the architecture has.

    Raises UserError when the folder or the name cannot be loaded, or lacks weights of the model.
    """
    from transformers.utils import logging

    local = Path(checkpoint).is_dir()
    if not local and (checkpoint.startswith((".", "/", "~")) or checkpoint.count("/") > 1):
        raise UserError(f"checkpoint '{checkpoint}': no such folder; give one that exists or a Hugging Face hub name")
    loud = logging.get_verbosity()
    logging.disable_progress_bar()  # a bar in a log file is noise; loading takes seconds
    logging.set_verbosity_error()  # its report of unused weights (a head) fills the log; missing ones are refused below
    try:
        model, report = auto_class.from_pretrained(
            checkpoint,
            dtype=dtype if dtype == "auto" else getattr(torch, dtype),
            attn_implementation=None if attention == "auto" else attention,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=local,
            output_loading_info=True,
        )
    except (OSError, ValueError, ImportError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"checkpoint '{checkpoint}': cannot be loaded ({reason}); give a folder with config.json and "
            "model*.safetensors, or a Hugging Face hub name while there is a network. Where only pytorch_model.bin is "
            f"published: speechlm to_safetensors {checkpoint} --out FOLDER"
        ) from error
    finally:
        logging.set_verbosity(loud)
    # masked_spec_embed serves pre-training only, and not every checkpoint has it.
    missing = [name for name in report["missing_keys"] if not name.endswith("masked_spec_embed")]
    if missing:
        what = f"{len(missing)} tensors ({min(missing)} ...) have no weights in it and would be random"
        raise UserError(f"checkpoint '{checkpoint}': {what}; give a whole checkpoint of this architecture")
    return model


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
    raise UserError(f"{type(model).__name__}: has no transformer layers at {', '.join(LAYERS)}; use another model")


def recompute_activations(model: Any) -> None:
    """Let a model's layers compute their activations again in the backward pass instead of keeping them."""
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable({"use_reentrant": False})  # the other form needs inputs that require gradients


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
