"""Outputs of a frozen encoder, computed once and read from disk."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from speechlm.core.errors import UserError
from speechlm.core.seq import Seq
from speechlm.io.files import atomic_open
from speechlm.nn.pretrained import weights_hash

KEY_FILE = "encoder.json"
NO_EFFECT = ("checkpoint", "adapt", "attention", "gradient_checkpointing", "train_layers", "lora", "over")
"""Options that do not change the outputs of a frozen encoder, or are told by its weights."""


class CachedEncoder(nn.Module):
    """Stand in for a frozen encoder whose outputs `speechlm encode` has written: the features are its outputs.

    Epochs and runs then cost no encoder at all (2409.16005 keeps Whisper frozen). Width and time step are those of the
    encoder that made the cache, told by its key file; normalisation of features must be off.

    Seq (B, T, dim) -> the same, padding set to zero.

    Options:
        key: the encoder.json that `speechlm encode` has written beside the archives.
    """

    source = "feats"

    def __init__(self, dim_in: int, *, key: str) -> None:
        super().__init__()
        self.key = CacheKey.read(Path(key))
        self.dim = self.key.dim
        self.seconds_per_step = self.key.seconds_per_step

    def layers(self) -> list[nn.Module]:
        """There are none."""
        return []

    def forward(self, speech: Seq) -> Seq:
        """Check the width and pass the outputs on."""
        if speech.data.shape[-1] != self.dim:
            raise UserError(
                f"the features have width {speech.data.shape[-1]}, the cached {self.key.kind} encoder {self.dim}; "
                "use data directories whose feats.scp speechlm encode has made"
            )
        return speech.zero_padding()


@dataclass(frozen=True)
class CacheKey:
    """Which encoder has made a cache.

    hash: of kind, options, model configuration and weights. kind, options, checkpoint: as configured, for the reader.
    dim, seconds_per_step: of the outputs.
    """

    hash: str
    kind: str
    options: dict[str, Any]
    checkpoint: str
    dim: int
    seconds_per_step: float

    @staticmethod
    def of(encoder: Any, section: dict[str, Any]) -> CacheKey:
        """Make the key of an encoder built from a checked section `encoder`."""
        options = {name: value for name, value in section.items() if name != "kind" and name not in NO_EFFECT}
        config = encoder.model.config.to_dict() if hasattr(encoder, "model") else {}
        config = {k: v for k, v in config.items() if not k.startswith("_") and k != "transformers_version"}
        text = json.dumps([section["kind"], options, config], sort_keys=True, default=str)
        digest = hashlib.sha256((text + weights_hash(encoder)).encode()).hexdigest()
        return CacheKey(
            digest, section["kind"], options, section.get("checkpoint") or "", encoder.dim, encoder.seconds_per_step
        )

    @staticmethod
    def read(path: Path) -> CacheKey:
        """Read a key file; UserError if it is missing or is none."""
        try:
            return CacheKey(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise UserError(f"{path}: no such key of a cache; run stage 1 (speechlm encode) first") from None
        except (json.JSONDecodeError, TypeError) as error:
            raise UserError(f"{path}: not the key of a cache ({error}); run speechlm encode again") from None

    def claim(self, folder: Path) -> None:
        """Write the key to a folder, or find that it is there already.

        Raises UserError when the folder holds the outputs of another encoder.
        """
        path = folder / KEY_FILE
        if path.exists():
            other = CacheKey.read(path)
            if other.hash != self.hash:
                raise UserError(
                    f"{path}: this cache was made by {other.kind} {other.checkpoint} (hash {other.hash[:12]}), not by "
                    f"{self.kind} {self.checkpoint} (hash {self.hash[:12]}); choose another --out or remove the folder"
                )
            return
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_open(path) as file:
            json.dump(asdict(self), file, indent=2, sort_keys=True)
            file.write("\n")
