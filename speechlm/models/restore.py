"""A trained experiment's folder back into a model: the bases it stands on, checked by hash, then its trained weights."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from speechlm.core.errors import UserError
from speechlm.io.expdir import ExpDir
from speechlm.io.hashes import content_hash
from speechlm.io.weights import load_weights
from speechlm.models.build import Facts, build_model
from speechlm.text.prompt import Prompt
from speechlm.text.tokens import load_tokenizer

LOSSES = "losses."
"""Names of parameters that belong to a loss: they train, they never decode."""


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
    """Hash a base checkpoint: a folder by its content; a hub name by the weights and configuration in the local cache.

    Of a hub's repository only what is loaded comes into the cache, and more of it later (a tokenizer), so nothing else
    there may count. What is not there is loaded first. Raises UserError when it cannot be had.
    """
    if Path(checkpoint).is_dir():
        return content_hash(checkpoint)
    from huggingface_hub import snapshot_download

    wanted = ["config.json", "*.safetensors"]
    try:
        try:
            place = Path(snapshot_download(checkpoint, local_files_only=True))
            there = any(place.glob("*.safetensors"))
        except OSError:
            there = False
        if not there:
            place = Path(snapshot_download(checkpoint, allow_patterns=[*wanted, "model.safetensors.index.json"]))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"checkpoint '{checkpoint}': cannot be loaded from the hub ({reason})") from None
    return _hash_files(sorted(file for pattern in wanted for file in place.glob(pattern)))


def _hash_files(files: list[Path]) -> str:
    lines = "".join(f"{file.name} {content_hash(file)}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def bases_of(values: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Write down the base checkpoints an experiment stands on: section -> {checkpoint, hash}."""
    return {name: {"checkpoint": place, "hash": hash_of(place)} for name, place in checkpoints_of(values).items()}


def facts_of(exp: ExpDir, values: dict[str, Any]) -> Facts:
    """Read the facts that a finished experiment's folder holds."""
    features = values["features"]
    return Facts(
        num_mels=features["num_mels"] + features.get("use_energy", False),
        seconds_per_frame=features["frame_shift"] / 1000,
        num_targets=load_tokenizer(exp.tokens).size if exp.tokens.exists() else None,
        num_sources=load_tokenizer(exp.source).size if exp.source.exists() else None,
        prompt=Prompt.from_dict(exp.read_json(exp.prompt)) if exp.prompt.exists() else None,
    )


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
    _load(model, exp)
    return model.eval(), values


def _load(model: nn.Module, exp: ExpDir) -> None:
    """Copy the weights file into the model: all of it, and nothing trained may be missing."""
    weights = {name: tensor for name, tensor in load_weights(exp.weights)[0].items() if not name.startswith(LOSSES)}
    own: dict[str, Tensor] = dict(model.state_dict(keep_vars=True))
    left = [name for name, tensor in weights.items() if name not in own or own[name].shape != tensor.shape]
    missing = [name for name, parameter in model.named_parameters() if parameter.requires_grad and name not in weights]
    if left or missing:
        told = [f"{len(left)} tensors that the model has not ({', '.join(left[:3])})"] if left else []
        told += [f"{len(missing)} too few ({', '.join(missing[:3])})"] if missing else []
        raise UserError(f"{exp.weights}: has {' and '.join(told)}; options.yaml and weights are not of one training")
    for name, tensor in weights.items():
        own[name].data.copy_(tensor)


def _check_bases(exp: ExpDir, values: dict[str, Any]) -> None:
    now = bases_of(values)
    for name, base in exp.read_json(exp.bases).get("parts", {}).items():
        if now.get(name, {}).get("hash") != base["hash"]:
            raise UserError(
                f"{exp.path}: {name} was trained over '{base['checkpoint']}' with hash {base['hash'][:12]}, "
                f"but what lies there now has another; put the original back or train again"
            )
