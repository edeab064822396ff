"""What is done to a language model's layers before they serve as an encoder."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from speechlm.core.errors import UserError
from speechlm.nn.pretrained import transformer_layers

OWN_DROPOUT = {
    "gpt2": ("attn.resid_dropout", "mlp.dropout"),
    "gpt_neox": ("post_attention_dropout", "post_mlp_dropout"),
}
"""Architectures whose layers have residual dropout; others get it by hooks on `self_attn` and `mlp`."""


def rms(values: Tensor) -> float:
    """Root mean square of all values, in fp32."""
    return values.detach().float().square().mean().sqrt().item()


def keep_layers(model: Any, chosen: list[int]) -> None:
    """Keep these transformer layers of a base model, in this order, and drop the others."""
    layers = transformer_layers(model)
    setattr(model, "h" if hasattr(model, "h") else "layers", nn.ModuleList(layers[i] for i in chosen))
    types = getattr(model.config, "layer_types", None)
    model.config.num_hidden_layers = len(chosen)
    if types is not None:
        model.config.layer_types = [types[i] for i in chosen]


def reinitialise(model: Any, how: str, seed: int) -> None:
    """Give a model random weights, another order of its layers (shuffled) or of the values of each weight (scrambled).

    Drawn from `seed` on the CPU: a frozen random model is not saved, it is made again.
    """
    from transformers import AutoModel

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        layers = transformer_layers(model)
        if how == "random":
            model.load_state_dict(AutoModel.from_config(model.config).state_dict())
        elif how == "shuffled":
            keep_layers(model, torch.randperm(len(layers)).tolist())
        else:
            for weight in layers.parameters():
                weight.copy_(weight.flatten()[torch.randperm(weight.numel())].reshape(weight.shape))


def residual_dropout(model: Any, rate: float) -> None:
    """Drop out of what attention and feed-forward add, in every layer; the model's own input dropout is switched off.

    Hugging Face's Llama and Qwen have no such dropout, and raising it is what made the larger LM of 2409.17750 work.

    Raises UserError when the architecture has neither places of its own nor `self_attn` and `mlp`.
    """
    kind = model.config.model_type
    for name in ("drop", "emb_dropout"):
        if isinstance(own := getattr(model, name, None), nn.Dropout):
            own.p = 0.0
    for layer in transformer_layers(model):
        for name in OWN_DROPOUT.get(kind, ("self_attn", "mlp")):
            try:
                place = layer.get_submodule(name)
            except AttributeError:
                if rate == 0:
                    continue
                raise UserError(
                    f"encoder.dropout: a layer of {kind} has no {name} to put it after; set it to 0"
                ) from None
            if isinstance(place, nn.Dropout):
                place.p = rate
            else:
                place.register_forward_hook(partial(_drop, rate))


def _drop(rate: float, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
    """Drop out of a module's output while it trains."""
    if isinstance(output, tuple):
        return (nn.functional.dropout(output[0], rate, module.training), *output[1:])
    return nn.functional.dropout(output, rate, module.training)
