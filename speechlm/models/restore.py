"""A trained experiment's folder back into a model: the bases it stands on, checked by hash, then its trained weights."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from speechlm.core.errors import UserError
from speechlm.io.expdir import ExpDir
from speechlm.io.weights import content_hash, load_weights
from speechlm.models.build import Facts, build_model
from speechlm.text.prompt import Prompt
from speechlm.text.tokens import load_tokenizer

LOGGER = logging.getLogger(__name__)


def checkpoints_of(values: dict[str, Any]) -> dict[str, str]:
    """Name the base checkpoints an experiment's parts are loaded from: section -> Hugging Face name or folder."""
    found: dict[str, str] = {}

    def look(section: dict[str, Any], name: str) -> None:
        if section.get("checkpoint"):
            found[name] = section["checkpoint"]
        if section.get("over"):
            look(section["over"], f"{name}.over")

    for name in ("encoder", "llm"):
        look(values.get(name) or {}, name)
    return found


def hash_of(checkpoint: str) -> str:
    """Hash a base checkpoint: a folder by its content; a hub name by the content of its copy in the local cache."""
    if Path(checkpoint).is_dir():
        return content_hash(checkpoint)
    from huggingface_hub import snapshot_download

    try:
        return content_hash(snapshot_download(checkpoint, local_files_only=True))
    except (OSError, ValueError) as error:
        raise UserError(f"checkpoint '{checkpoint}': not in the local cache ({' '.join(str(error).split())[:200]})") from None


def bases_of(values: dict[str, Any]) -> dict[str, Any]:
    """Write down what an experiment stands on: base checkpoints and finished experiments, each with its hash."""
    bases = {name: {"checkpoint": place, "hash": hash_of(place)} for name, place in checkpoints_of(values).items()}
    start = [{"experiment": place, "hash": content_hash(ExpDir(place).weights)} for place in values["train"]["start_from"]]
    return {"parts": bases, "start_from": start}


def facts_of(exp: ExpDir, values: dict[str, Any]) -> Facts:
    """Read the facts that a finished experiment's folder holds."""
    return Facts(
        num_mels=values["features"]["num_mels"],
        num_targets=load_tokenizer(exp.tokens).size if exp.tokens.exists() else None,
        num_sources=load_tokenizer(exp.source).size if exp.source.exists() else None,
        prompt=Prompt.from_dict(exp.read_json(exp.prompt)) if exp.prompt.exists() else None,
    )


def take_weights(model: nn.Module, weights: dict[str, Tensor]) -> tuple[list[str], list[str]]:
    """Copy tensors into a model where name and shape fit; give the names that were taken and those that did not fit."""
    own = dict(model.state_dict(keep_vars=True))
    taken, left = [], []
    for name, tensor in weights.items():
        if name in own and own[name].shape == tensor.shape:
            own[name].data.copy_(tensor)
            taken.append(name)
        else:
            left.append(name)
    return taken, left


def start_from(model: nn.Module, places: list[str]) -> None:
    """Take over the trained weights of finished experiments, and of those that they started from, where they fit."""
    for place in places:
        exp = ExpDir(place)
        start_from(model, exp.read_options()["train"]["start_from"])
        weights, _ = load_weights(exp.weights)
        taken, left = take_weights(model, weights)
        if not taken:
            raise UserError(f"train.start_from: nothing of {place} fits this model; is it the experiment you mean?")
        parts = sorted({name.split(".")[0] for name in taken})
        rest = f"; not used: {', '.join(sorted({name.split('.')[0] for name in left}))}" if left else ""
        LOGGER.info("%s: took %d tensors of %s%s", place, len(taken), ", ".join(parts), rest)


def restore(place: Path | str) -> tuple[nn.Module, dict[str, Any]]:
    """Build a finished experiment's model and load it; give it with the experiment's checked options.

    Raises UserError when a base checkpoint or experiment is not the one it was trained with, or weights are missing.
    """
    exp = ExpDir(place)
    values = exp.read_options()
    if not exp.weights.exists():
        raise UserError(f"{exp.weights}: not there yet; training {exp.path} has not finished")
    _check_bases(exp, values)
    model = build_model(values, facts_of(exp, values))
    start_from(model, values["train"]["start_from"])
    weights, _ = load_weights(exp.weights)
    _, left = take_weights(model, weights)
    missing = [name for name, parameter in model.named_parameters() if parameter.requires_grad and name not in weights]
    if left or missing:
        what = f"{len(left)} tensors that the model has not ({', '.join(left[:3])})" if left else ""
        what += f"{' and ' if left and missing else ''}{len(missing)} too few ({', '.join(missing[:3])})" if missing else ""
        raise UserError(f"{exp.weights}: has {what}; options.yaml and weights are not of one training")
    return model.eval(), values


def _check_bases(exp: ExpDir, values: dict[str, Any]) -> None:
    stored = exp.read_json(exp.bases)
    now = bases_of(values)
    for name, base in stored.get("parts", {}).items():
        if now["parts"].get(name, {}).get("hash") != base["hash"]:
            raise UserError(
                f"{exp.path}: {name} was trained over '{base['checkpoint']}' with hash {base['hash'][:12]}, "
                f"but what lies there now has another; put the original back or train again"
            )
    for before, after in zip(stored.get("start_from", []), now["start_from"], strict=True):
        if before["hash"] != after["hash"]:
            raise UserError(f"{exp.path}: started from {before['experiment']}, which was trained again since; train {exp.path} again too")
