"""The module that several processes train: a copy each (DDP) or a piece each (FSDP2); and recomputed activations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from speechlm.core.errors import UserError
from speechlm.training.distributed import world

if TYPE_CHECKING:
    from speechlm.training.step import LossModel


def blocks(module: nn.Module) -> list[nn.Module]:
    """Find the repeated layers: members of the outermost ModuleLists with at least two members that own parameters."""
    found: list[nn.Module] = []
    for child in module.children():
        # Exactly ModuleList: weight norm keeps a subclass of it, whose members are no layers.
        if type(child) is nn.ModuleList and len(child) > 1:
            found.extend(layer for layer in child if any(True for _ in layer.parameters()))
        else:
            found.extend(blocks(child))
    return found


def recompute_activations(module: nn.Module) -> int:
    """Keep only the inputs of each repeated layer for the backward pass and compute the rest again (Chen et al. 2016).

    Names of parameters do not change. Gives the number of layers.
    """
    layers = blocks(module)
    for layer in layers:
        layer.forward = partial(_recomputed, layer, layer.forward)  # type: ignore[method-assign]
    return len(layers)


def _recomputed(layer: nn.Module, forward: Any, *args: Any, **options: Any) -> Any:
    if torch.is_grad_enabled():  # also in a frozen layer: the gradient goes through it
        return checkpoint(forward, *args, use_reentrant=False, **options)
    return forward(*args, **options)


def spread(
    module: LossModel,
    parallel: Literal["none", "ddp", "fsdp"],
    device: torch.device,
    precision: Literal["fp32", "bf16"],
) -> nn.Module:
    """Give the module to call in training; `module` itself stays the one to save, load and validate.

    ddp: every process holds everything and gradients are averaged. fsdp: parameters, gradients and optimizer state are
    cut into pieces (Zhao et al. 2023), layer by layer; with bf16 the layers are gathered in bf16 and gradients are
    summed in fp32. A batch need not reach every parameter (non-speech has no CTC target), but under fsdp every rank
    must run through the same layers.

    Raises: UserError when there are several processes but `parallel` is none.
    """
    if parallel == "fsdp":
        if world() == 1:
            raise UserError("train.parallel is fsdp, but there is one process; start with torchrun, or set it to none")
        return _shard(module, device, precision)
    if world() == 1:
        return module
    if parallel == "none":
        raise UserError(f"train.parallel is none, but there are {world()} processes; set it to ddp or fsdp")
    ids = [device.index] if device.type == "cuda" else None
    module.touch(_trained(list(module.modules())))
    return DistributedDataParallel(module, device_ids=ids)


def _shard(module: LossModel, device: torch.device, precision: Literal["fp32", "bf16"]) -> nn.Module:
    mesh = init_device_mesh(device.type, (world(),))
    dtype = torch.bfloat16 if precision == "bf16" else None
    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32, cast_forward_inputs=False)
    layers = blocks(module)
    inside = {id(part) for layer in layers for part in layer.modules()}
    outside = [part for part in module.modules() if id(part) not in inside]
    for layer in layers:
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    module.touch(_trained(outside))
    return fully_shard(module, mesh=mesh, mp_policy=policy)


def _trained(parts: list[nn.Module]) -> list[tuple[nn.Module, str]]:
    """List the trained parameters that these modules own themselves, as (module, name in it)."""
    return [(part, name) for part in parts for name, p in part.named_parameters(recurse=False) if p.requires_grad]


@contextmanager
def gradient_sync(module: nn.Module, active: bool) -> Iterator[None]:
    """Exchange gradients in this backward pass only where `active`: accumulated batches need one exchange."""
    if isinstance(module, DistributedDataParallel) and not active:
        with module.no_sync():
            yield
        return
    if isinstance(module, FSDPModule):
        module.set_requires_gradient_sync(active)
    yield


@contextmanager
def whole_outside_layers(module: nn.Module) -> Iterator[None]:
    """Gather what lies outside of the repeated layers, so that methods other than `forward` can be called under FSDP.

    Every rank must then call the same layers the same number of times.
    """
    if isinstance(module, FSDPModule):
        module.unshard()
        try:
            yield
        finally:
            module.reshard()
    else:
        yield
