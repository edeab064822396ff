"""The weights that training changed: collected by name, loaded with a report, averaged; base models are not copied."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from speechlm.core.errors import UserError
from speechlm.io.weights import load_weights
from speechlm.training.optim import whole

LOSSES = "losses."
"""Names of parameters that belong to a loss; a model that only decodes does not have them."""


@dataclass
class LoadReport:
    """What was taken from a weights file.

    loaded: names in the model. missing: trained in the model, not in the file. unexpected: in the file, not in the
    model. reshaped: in both with different shapes, as "name: (2, 3) in the file, (2, 4) in the model". renamed: the
    OLD=NEW whose OLD the file has.
    """

    path: Path
    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    reshaped: list[str] = field(default_factory=list)
    renamed: list[str] = field(default_factory=list)

    def line(self) -> str:
        """Say it in one line."""
        rest = {"not in the file": self.missing, "not in the model": self.unexpected, "of another shape": self.reshaped}
        told = [f"{len(names)} {what} ({some(names)})" for what, names in rest.items() if names]
        return f"{self.path}: {len(self.loaded)} tensors loaded{''.join('; ' + text for text in told)}"


def trained_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Name what training changes: parameters that require a gradient, and the persistent buffers beside them.

    A buffer counts when something is trained in its module or in the module that holds it (a batch norm without
    weights), so that the buffers of frozen base models stay out.
    """
    trained: dict[str, Tensor] = {name: p for name, p in module.named_parameters() if p.requires_grad}
    persistent = set(module.state_dict(keep_vars=True))
    for name, buffer in module.named_buffers():
        holder = name.rpartition(".")[0].rpartition(".")[0]
        prefix = f"{holder}." if holder else ""
        if name in persistent and any(other.startswith(prefix) for other in trained):
            trained[name] = buffer
    return trained


def all_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Name every parameter and buffer of a module."""
    return {**dict(module.named_buffers()), **dict(module.named_parameters())}


def collect(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copy tensors to the first process's CPU, whole where they are sharded (every rank must call this)."""
    copies = ((name, whole(tensor)) for name, tensor in tensors.items())
    return {name: copy for name, copy in copies if copy is not None}


def weight_files(path: Path | str) -> list[Path]:
    """List the files that hold an experiment's (exp/NAME), a checkpoint's (…/step-N) or a file's weights, in order."""
    place = Path(path)
    if place.is_file():
        return [place]
    if (place / "model.safetensors").is_file():
        return [place / "model.safetensors"]
    if (place / "trained.safetensors").is_file():
        carried = place.parent / "carried.safetensors"
        return [*([carried] if carried.is_file() else []), place / "trained.safetensors"]
    raise UserError(f"{path}: no model.safetensors and no checkpoint there; train first or correct the path")


def load_trained(
    module: nn.Module,
    path: Path | str,
    *,
    strict: bool = True,
    only_prefixes: Sequence[str] = (),
    renamed: Sequence[str] = (),
) -> LoadReport:
    """Load the weights of an experiment, a checkpoint or a file into `module`.

    strict: every trained tensor must be in the file and every tensor of the file in the module, with the same shape.
        Otherwise what fits by name and shape is taken, also where the layer is now wrapped by LoRA, or frozen, or the
        encoder is now the lower one of two.
    only_prefixes: take only names that begin with one of these, such as ["encoder"].
    renamed: "OLD=NEW" for what the file has below OLD and the module below NEW; looked at before `only_prefixes`.

    Raises: UserError that names the tensors when `strict` is broken, or when nothing fits at all.
    """
    tensors: dict[str, Tensor] = {}
    for file in weight_files(path):
        tensors.update(load_weights(file)[0])
    pairs = [_pair(text) for text in renamed]
    applied = [text for text, (old, _) in zip(renamed, pairs, strict=True) if any(_lies_below(name, old) for name in tensors)]
    tensors = {_renamed(name, pairs): tensor for name, tensor in tensors.items()}
    tensors = {name: tensor for name, tensor in tensors.items() if _chosen(name, only_prefixes)}
    needed = [name for name in trained_tensors(module) if _chosen(name, only_prefixes)]
    report = load_tensors(all_tensors(module), tensors, Path(path), needed=needed)
    report.renamed = applied
    if strict and (report.missing or report.unexpected or report.reshaped):
        raise UserError(f"{report.line()}; build the model with the options it was trained with")
    if not report.loaded:
        raise UserError(f"{report.line()}; nothing of it fits this model")
    return report


def _chosen(name: str, prefixes: Sequence[str]) -> bool:
    return not prefixes or any(_lies_below(name, prefix) for prefix in prefixes)


def _lies_below(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def _pair(text: str) -> tuple[str, str]:
    old, sign, new = text.partition("=")
    if not (old and sign and new):
        raise UserError(f"train.start_names: '{text}' must be OLD=NEW, such as encoder.table=bridge.table")
    return old, new


def _renamed(name: str, pairs: Sequence[tuple[str, str]]) -> str:
    return next((new + name.removeprefix(old) for old, new in pairs if _lies_below(name, old)), name)


@torch.no_grad()
def load_tensors(
    places: dict[str, Tensor], tensors: dict[str, Tensor], path: Path, *, needed: Iterable[str]
) -> LoadReport:
    """Copy named tensors into places of the same name and shape; `needed` names must come."""
    plain = {_plain(name): name for name in places}
    report = LoadReport(path)
    for name, tensor in tensors.items():
        target = name if name in places else plain.get(_plain(name), plain.get(_below(_plain(name))))
        if target is None:
            if not name.startswith(LOSSES):
                report.unexpected.append(name)
        elif places[target].shape != tensor.shape:
            report.reshaped.append(
                f"{name}: {tuple(tensor.shape)} in the file, {tuple(places[target].shape)} in the model"
            )
        else:
            _copy(places[target], tensor)
            report.loaded.append(target)
    found = {*report.loaded, *(text.split(":")[0] for text in report.reshaped)}
    report.missing = [name for name in needed if name not in found]
    return report


def _copy(place: Tensor, tensor: Tensor) -> None:
    if isinstance(place, DTensor):
        tensor = distribute_tensor(tensor.to(place.device, place.dtype), place.device_mesh, place.placements)
    place.copy_(tensor)


def _plain(name: str) -> str:
    """Take out what peft puts into the names of the layers it wraps."""
    return name.replace("base_model.model.", "").replace(".base_layer.", ".")


def _below(name: str) -> str:
    """Name what was the encoder and now is the lower one of two (2409.17750, form B)."""
    return f"encoder.lower.{name.removeprefix('encoder.')}" if name.startswith("encoder.") else name


def average(files: Sequence[Path]) -> dict[str, Tensor]:
    """Give the mean of the tensors of several files, in fp64; counters are taken from the last file.

    Raises: UserError when the files hold different tensors.
    """
    sums: dict[str, Tensor] = {}
    for file in files:
        tensors, _ = load_weights(file)
        if sums and set(tensors) != set(sums):
            raise UserError(f"{file}: holds other tensors than {files[0]}; average checkpoints of one training")
        for name, tensor in tensors.items():
            if tensor.is_floating_point():
                sums[name] = sums.get(name, torch.zeros((), dtype=torch.float64)) + tensor.double()
            else:
                sums[name] = tensor
    last, _ = load_weights(files[-1])
    return {
        name: (total / len(files)).to(last[name].dtype) if last[name].is_floating_point() else total
        for name, total in sums.items()
    }


def count_parameters(module: nn.Module) -> dict[str, int]:
    """Count parameters: {"trained": …, "total": …}."""
    parameters = list(module.parameters())
    return {
        "trained": sum(p.numel() for p in parameters if p.requires_grad),
        "total": sum(p.numel() for p in parameters),
    }


def some(names: Sequence[str]) -> str:
    """Write the first few names."""
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
