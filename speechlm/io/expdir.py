"""What lies in an experiment's folder `exp/NAME`, by name; everything decoding needs besides the base checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from speechlm.core.errors import UserError
from speechlm.io.files import atomic_open


class ExpDir:
    """`exp/NAME`: options, units, statistics, prompt and weights; decoding reads this folder and nothing else."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.options = self.path / "options.yaml"
        self.page = self.path / "options.txt"
        self.command = self.path / "command.txt"
        self.cmvn = self.path / "cmvn.ark"
        self.tokens = self.path / "tokens"
        self.source = self.path / "source"
        self.prompt = self.path / "prompt.json"
        self.bases = self.path / "bases.json"
        self.weights = self.path / "model.safetensors"
        self.card = self.path / "model.json"
        self.metrics = self.path / "metrics.jsonl"
        self.plots = self.path / "plots"

    def read_options(self) -> dict[str, Any]:
        """Read the checked values that training wrote; a folder without them is a UserError."""
        if not self.options.exists():
            raise UserError(
                f"{self.path}: no options.yaml here; give the folder of a trained experiment, such as exp/conformer_ctc"
            )
        return yaml.safe_load(self.options.read_text(encoding="utf-8"))

    def read_json(self, path: Path) -> dict[str, Any]:
        """Read one of the JSON files; {} if it is not there."""
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def write_json(self, path: Path, values: dict[str, Any]) -> None:
        """Write one of the JSON files at once."""
        with atomic_open(path) as file:
            json.dump(values, file, ensure_ascii=False, indent=2)
            file.write("\n")
