"""What of a part is trained: nothing, low-rank adapters, or everything, for all layers or some."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import MethodType
from typing import Literal

from torch import nn

from speechlm.core.errors import UserError
from speechlm.nn.lora import add_lora
from speechlm.nn.pretrained import transformer_layers


@dataclass(frozen=True)
class LoraOptions:
    """Low-rank adapters (2106.09685): a trained product of two thin matrices beside each chosen frozen one.

    Options:
        rank: inner width of an adapter.
        alpha: an adapter's output is scaled by alpha / rank.
        dropout: dropout on the adapters' input.
        targets: which matrices of a layer get one: q, k, v, o (attention), mlp, or ends of module names.
        layers: layers that get adapters, counted from 0 at the bottom, as in "0-4" or "0-3,8"; None for all.
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    targets: list[str] = field(default_factory=lambda: ["q", "k", "v", "o"])
    layers: str | None = None


def adapt(
    module: nn.Module,
    mode: Literal["frozen", "lora", "full"],
    lora: LoraOptions | None = None,
    layers: str | None = None,
) -> nn.Module:
    """Choose what of a part is trained, in place, and give the part back.

    Where a part holds a pretrained model as `module.model`, the choice is about that model; what the part has added
    around it (a front end, weights of a layer sum) is new and always trained. Without `model` it is about all of it.

    frozen: nothing is trained. Gradients still flow through it to what lies before.
    lora: adapters by `lora`, everything else frozen.
    full: everything that the part itself has not frozen (a convolutional waveform encoder, fixed positions).
    layers: train only these layers ("0-4"); with `lora` the adapters of the others stay where they are and frozen, so
        one can load 32 layers of adapters and train the lowest 5 (2409.16005, stage 2).

    What holds no trained parameter stays in eval mode even after `train()`: a frozen part has no dropout.

    Raises UserError when layers or targets do not exist, or when nothing would be trained although it should.
    """
    base = _base(module)
    _release(base)
    if mode == "frozen":
        if layers is not None:
            raise UserError(f"train_layers '{layers}' has no effect on a frozen part; write adapt: full or adapt: lora")
        base.requires_grad_(False)
        _hold_eval(base, [])
        return module
    stack = _layers(module) if mode == "lora" or layers is not None else []
    if mode == "lora":
        lora = lora or LoraOptions()
        chosen = parse_layers(lora.layers, len(stack))
        add_lora(base, [stack[i] for i in chosen], lora.targets, rank=lora.rank, alpha=lora.alpha, dropout=lora.dropout)
    if layers is not None:
        _freeze_outside(base, [stack[i] for i in parse_layers(layers, len(stack))])
    if list(base.parameters()) and not trainable_parameters(base):
        raise UserError(f"adapt: {mode} with train_layers '{layers}' trains no parameter of {type(base).__name__}")
    _hold_eval(base, stack)
    return module


def parse_layers(text: str | None, count: int) -> list[int]:
    """Read "0-4" or "0-3,8" as layer numbers, sorted; None means all.

    Raises UserError when it reads otherwise or names a layer that is not there.
    """
    if text is None:
        return list(range(count))
    found: set[int] = set()
    for piece in str(text).split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", piece)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise UserError(f"layers '{text}': expected numbers and ranges as in 0-4 or 0-3,8")
        found.update(range(first, last + 1))
    if max(found) >= count:
        raise UserError(f"layers '{text}': the part has {count} layers, 0 to {count - 1}")
    return sorted(found)


def trainable_parameters(module: nn.Module) -> dict[str, int]:
    """Name every trained parameter with its number of values."""
    return {name: p.numel() for name, p in module.named_parameters() if p.requires_grad}


def _base(module: nn.Module) -> nn.Module:
    return getattr(module, "model", module)


def _layers(module: nn.Module) -> list[nn.Module]:
    """The part's layers, bottom to top: as it says itself, or as its model's architecture has them."""
    stack = module.layers() if callable(getattr(module, "layers", None)) else list(transformer_layers(_base(module)))
    if not stack:
        raise UserError(f"{type(module).__name__} has no layers; it cannot be adapted by layer or by lora")
    return stack


def _freeze_outside(base: nn.Module, kept: list[nn.Module]) -> None:
    inside = {id(p) for layer in kept for p in layer.parameters()}
    for parameter in base.parameters():
        if id(parameter) not in inside:
            parameter.requires_grad_(False)


def _hold_eval(module: nn.Module, layers: list[nn.Module]) -> None:
    """Keep every module without trained parameters in eval mode.

    A layer is one thing: if anything in it is trained, its dropout is that of training.
    """
    parameters = list(module.parameters())
    if parameters and not any(p.requires_grad for p in parameters):
        module.eval()
        module.train = MethodType(_stay, module)  # type: ignore[method-assign]
    elif all(module is not layer for layer in layers):
        for child in module.children():
            _hold_eval(child, layers)


def _stay(module: nn.Module, mode: bool = True) -> nn.Module:
    """Stand in for `train` of a frozen module: it stays in eval mode."""
    return module


def _release(module: nn.Module) -> None:
    for part in module.modules():
        part.__dict__.pop("train", None)
