"""AdamW over parameter groups: a learning rate for each part of the model, no decay where decay does harm."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from speechlm.core.errors import UserError
from speechlm.training.distributed import main_rank
from speechlm.training.schedule import lr_factor

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class OptimOptions:
    """How the weights move: AdamW (Loshchilov and Hutter 2019), its schedule and its limits.

    Options:
        lr: highest learning rate.
        betas: decay of the running mean of the gradient and of its square.
        eps: added to the root of the running square.
        weight_decay: share of a matrix that is taken away at learning rate 1; biases and norms are never decayed.
        schedule: how the learning rate goes; up and straight down, up and down along a cosine, noam, one_cycle, level.
        warmup: steps in which the learning rate rises.
        final: share of the highest learning rate that is left at the last step of warmup_linear and warmup_cosine.
        steps: steps of the whole training.
        clip: largest norm of the gradient; 0 never clips.
        lr_scale: factor of the learning rate of parts by name, such as {encoder: 0.1, llm.lm_head: 0.5}; the longest
            name that fits counts.
    """

    lr: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = 1e-8
    weight_decay: float = 0.01
    schedule: Literal["warmup_linear", "warmup_cosine", "noam", "one_cycle", "constant"] = "warmup_linear"
    warmup: int = 0
    final: float = 0.0
    steps: int = 1000
    clip: float = 1.0
    lr_scale: dict[str, float] = field(default_factory=dict)


class Optimizer:
    """AdamW with the learning rate of the step; its state is saved by the parameters' names.

    parameters: name -> trained parameter (fp32, also where the forward pass runs in bf16).

    Raises: UserError when nothing is trained, or a name in `lr_scale` fits no parameter.
    """

    def __init__(self, parameters: dict[str, nn.Parameter], options: OptimOptions) -> None:
        if not parameters:
            raise UserError("nothing to train: every part is frozen; set 'adapt' of a part to lora or full")
        self.parameters, self.options = parameters, options
        low = [name for name, p in parameters.items() if p.dtype != torch.float32]
        if low:
            LOGGER.warning("%d trained parameters are %s (%s …): small steps are lost in rounding; use float32",
                           len(low), parameters[low[0]].dtype, low[0])  # fmt: skip
        self.adamw = torch.optim.AdamW(self._groups(), lr=options.lr, betas=tuple(options.betas), eps=options.eps)

    def _groups(self) -> list[dict[str, Any]]:
        groups: dict[tuple[float, float], dict[str, Any]] = {}
        used: set[str] = set()
        for name, parameter in self.parameters.items():
            fits = [part for part in self.options.lr_scale if name == part or name.startswith(part + ".")]
            part = max(fits, key=len, default=None)
            used.update(fits)
            scale = 1.0 if part is None else self.options.lr_scale[part]
            # Norms, biases and single scales have one dimension.
            decay = self.options.weight_decay if parameter.dim() > 1 else 0.0
            group = groups.setdefault((scale, decay), {"params": [], "weight_decay": decay, "scale": scale})
            group["params"].append(parameter)
        for part in self.options.lr_scale:
            if part not in used:
                parts = ", ".join(sorted({name.split(".")[0] for name in self.parameters}))
                raise UserError(f"optim.lr_scale: no trained parameter begins with '{part}'; trained parts are {parts}")
        return list(groups.values())

    def lr(self, step: int) -> float:
        """Give the learning rate of a step, before the factors of the parts."""
        o = self.options
        return o.lr * lr_factor(step, o.schedule, warmup=o.warmup, steps=o.steps, final=o.final)

    def unreached(self) -> list[str]:
        """Name the parameters without a gradient."""
        return [name for name, parameter in self.parameters.items() if parameter.grad is None]

    def norm(self) -> Tensor:
        """Give the norm of the whole gradient, over all ranks."""
        total = torch.nn.utils.get_total_norm([p.grad for p in self.parameters.values() if p.grad is not None])
        return total.full_tensor() if isinstance(total, DTensor) else total

    def step(self, step: int, norm: Tensor) -> None:
        """Clip the gradient, whose norm is `norm`, and move the weights with the learning rate of `step`.

        A parameter that no batch of the step reached has a gradient of zero: its momentum goes on. (torch would leave
        it out, but only where no rank at all reached it, so the result would depend on the number of ranks.)
        """
        for parameter in self.parameters.values():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        if self.options.clip > 0:
            torch.nn.utils.clip_grads_with_norm_(self.parameters.values(), self.options.clip, norm)
        for group in self.adamw.param_groups:
            group["lr"] = self.lr(step) * group["scale"]
        self.adamw.step()
        self.zero_grad()

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self.adamw.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        """Give name -> state to the first process, on the CPU, whole where it is sharded; every rank must call this."""
        states: dict[str, dict[str, Tensor]] = {}
        for name, parameter in self.parameters.items():
            copies = ((key, whole(value)) for key, value in self.adamw.state.get(parameter, {}).items())
            states[name] = {key: copy for key, copy in copies if copy is not None}
        return states

    def load_state_dict(self, states: dict[str, dict[str, Tensor]]) -> None:
        """Take over what `state_dict` gave.

        Raises: UserError when it belongs to other parameters.
        """
        other = sorted(set(states) ^ set(self.parameters))
        if other:
            raise UserError(f"the optimizer's state belongs to other parameters: {', '.join(other[:5])}; train afresh")
        for name, state in states.items():
            parameter = self.parameters[name]
            if state:
                self.adamw.state[parameter] = {key: _placed(value, parameter, key) for key, value in state.items()}


def whole(tensor: Tensor) -> Tensor | None:
    """Copy a tensor to the CPU of the first process; the others get None.

    The pieces of a sharded tensor are put together, so every rank must call this.
    """
    tensor = tensor.detach()
    if isinstance(tensor, DTensor):
        tensor = tensor.full_tensor()
    return tensor.to("cpu", copy=True) if main_rank() else None


def _placed(value: Tensor, parameter: nn.Parameter, key: str) -> Tensor:
    """Put a piece of state where its parameter lies; AdamW keeps the count of steps on the CPU."""
    if key == "step":
        return value.clone()
    value = value.to(parameter.device)
    if isinstance(parameter, DTensor):
        return distribute_tensor(value, parameter.device_mesh, parameter.placements)
    return value.clone()
