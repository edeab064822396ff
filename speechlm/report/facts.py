"""What is known of a decode folder: scores, training data, parameters, speed, options; what is not recorded is None."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from speechlm.core.errors import UserError
from speechlm.decoding.aid_options import without_idle
from speechlm.io.expdir import ExpDir
from speechlm.io.tables import iter_table
from speechlm.report.compare import read_scoring

PLUMBING = ("device", "batch_seconds", "batch_slots", "graphs", "kind", "draft")
"""Decoding options that change the speed only, or that tell nothing new."""


@dataclass(frozen=True)
class Facts:
    """A decode folder exp/NAME/decode_SET[_TAG].

    score: `scoring.json`. training_data: hours and utterances in words. audio_seconds, real_time_factor: of decoding.
    options: of the decoding, in words. tuned: those that `speechlm tune` chose, and on which set.
    """

    folder: Path
    score: dict[str, Any]
    training_data: str | None
    trained: int | None
    total: int | None
    audio_seconds: float | None
    real_time_factor: float | None
    command: str | None
    options: str | None
    tuned: str | None

    @property
    def experiment(self) -> str:
        """Name of the experiment."""
        return self.folder.resolve().parent.name

    @property
    def set(self) -> str:
        """Name of the test set."""
        return str(self.score["set"])

    @property
    def decoding(self) -> str:
        """Name of the decode folder without `decode_`."""
        return self.folder.resolve().name.removeprefix("decode_")


def facts_of(folder: Path, command: str | None = None) -> Facts:
    """Gather what is known of a scored decode folder.

    command: used where the experiment has no command.txt.
    """
    exp = ExpDir(folder.resolve().parent)
    card, stats = read_json(exp.card), read_json(folder / "stats.json")
    audio, spent = stats.get("audio_seconds"), stats.get("decode_seconds")
    options = _yaml(folder / "options.yaml") or stats.get("options") or {}
    return Facts(
        folder=folder,
        score=read_scoring(folder),
        training_data=training_data(exp, card),
        trained=card.get("trained"),
        total=card.get("total"),
        audio_seconds=audio,
        real_time_factor=spent / audio if audio and spent is not None else None,
        command=exp.command.read_text(encoding="utf-8").strip() if exp.command.exists() else command,
        options=in_words({name: value for name, value in without_idle(options).items() if name not in PLUMBING}) or None,
        tuned=_tuned(exp.path, options),
    )


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON mapping; {} if it is not there."""
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise UserError(f"{path}: is no JSON; make it again (stage 4 or 5)") from None
    return found if isinstance(found, dict) else {}


def _yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping, of a section `decode` or by itself; {} if it is not there."""
    if not path.exists():
        return {}
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError:
        raise UserError(f"{path}: is no YAML; make it again") from None
    found = found if isinstance(found, dict) else {}
    return found["decode"] if isinstance(found.get("decode"), dict) else found


def in_words(options: dict[str, Any]) -> str:
    """Write options as `beam=4 length_penalty=0.5`."""
    plain = {name: str(value).lower() if isinstance(value, bool) else value for name, value in options.items()}
    return " ".join(f"{name}={value}" for name, value in plain.items())


def _tuned(exp: Path, used: dict[str, Any]) -> str | None:
    """Tell what `speechlm tune` chose, on which set, and whether the decoding used it."""
    found = []
    for path in sorted(exp.glob("tune_*/best.yaml")):
        chosen = _yaml(path)
        place = f"on {path.parent.name.removeprefix('tune_')}"
        found.append(f"{in_words(chosen)} ({place}{'' if chosen.items() <= used.items() else ', not used here'})")
    return "; ".join(found) or None


def training_data(exp: ExpDir, card: dict[str, Any]) -> str | None:
    """Tell hours and utterances of the training set in words."""
    amount = training_amount(exp, card)
    return _amount(*amount) if amount else None


def training_amount(exp: ExpDir, card: dict[str, Any]) -> tuple[float, int] | None:
    """Give hours and utterances of the training set: from model.json, else from the directories of options.yaml."""
    data = card.get("data")
    if isinstance(data, dict) and "hours" in data and "utterances" in data:
        return data["hours"], data["utterances"]
    if not exp.options.exists():
        return None
    folders = (exp.read_options().get("data") or {}).get("train") or []
    hours, utterances = 0.0, 0
    for folder in [folders] if isinstance(folders, str) else folders:
        places = [Path(folder) / "utt2dur", exp.path.parent.parent / folder / "utt2dur"]
        table = next((place for place in places if place.exists()), None)
        if table is None:
            return None
        for _, value in iter_table(table):
            hours += float(value) / 3600
            utterances += 1
    return (hours, utterances) if utterances else None


def _amount(hours: float, utterances: int) -> str:
    return f"{hours:.2f} h, {utterances:,} utterances" if hours < 100 else f"{hours:,.0f} h, {utterances:,} utterances"
