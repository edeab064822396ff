"""The section `teachers` to a distillation loss: text models, conversation context, regression heads (2309.04031)."""

from __future__ import annotations

import logging
from typing import Any

from torch import nn

from speechlm.core.errors import UserError
from speechlm.core.registry import load
from speechlm.io.datadir import DataDir
from speechlm.io.expdir import ExpDir
from speechlm.llms.teacher import Teachers, TextTeacher
from speechlm.losses.distill import DistillLoss
from speechlm.models.build import options_of
from speechlm.models.restore import hash_of
from speechlm.models.transducer import Transducer
from speechlm.text.context import conversation_sides
from speechlm.text.normalize import normalize
from speechlm.text.tokens import load_tokenizer

LOGGER = logging.getLogger(__name__)
MEASURED = 2000
"""Transcripts whose words are aligned before training, the first ones in C order."""
ENOUGH = 0.95
"""Share of words that should be aligned; below it a warning is told."""

Conversations = tuple[list[list[str]], dict[str, str]]


def teachers_of(values: dict[str, Any]) -> dict[str, Any]:
    """Write down which teachers a training has: {"teachers": [{checkpoint, hash}]}; {} without any."""
    sections = values.get("teachers") or []
    found = [{"checkpoint": one["checkpoint"], "hash": hash_of(one["checkpoint"])} for one in sections]
    return {"teachers": found} if found else {}


def make_distill(values: dict[str, Any], model: nn.Module, exp: ExpDir, options: dict[str, Any]) -> DistillLoss:
    """Make the loss `distill` with its teachers, and a regression head for each of their representations.

    Raises UserError where teachers, units or the model do not fit, or no word can be aligned.
    """
    if not isinstance(model, Transducer):
        raise UserError("losses: distill needs the model transducer ('head: {kind: transducer}')")
    teachers = make_teachers(values, exp)
    section = values.get("regression") or {"kind": "regression"}
    if section["kind"] != "regression":
        raise UserError(f"regression.kind: must be regression, is {section['kind']}")
    cls, own = load("head", "regression"), options_of(section)
    heads = [cls(model.encoder.dim, model.head.predictor_dim, dim, **own) for dim in teachers.dims]
    return DistillLoss(teachers, heads, **options)


def make_teachers(values: dict[str, Any], exp: ExpDir) -> Teachers:
    """Load the teachers of an experiment and tell how well their words fit the recogniser's units."""
    sections = values.get("teachers")
    if not sections:
        raise UserError("losses: distill needs teachers: 'teachers: [{checkpoint: bert-base-uncased, num_layers: 2}]'")
    encode = load_tokenizer(exp.tokens).encode
    talks = conversations(values) if any(section["context"] for section in sections) else None
    teachers = []
    for section in sections:
        sides, texts = talks if talks and section["context"] else (None, None)
        teacher = TextTeacher(encode, sides, texts, **section)
        _tell_coverage(teacher, section["checkpoint"], values)
        teachers.append(teacher)
    return Teachers(teachers)


def conversations(values: dict[str, Any]) -> Conversations:
    """Read who said what after what: sides of conversations in time order, and the normalised transcripts.

    Utterances that training leaves out (too short, too long) are context all the same. Directories are kept apart: a
    conversation that is split over training and validation does not leak from one into the other.
    """
    sides: list[list[str]] = []
    texts: dict[str, str] = {}
    for folder in _folders(values):
        data = DataDir(folder)
        spoken = data.text or {}
        sides += conversation_sides(spoken, segments=data.segments, utt2spk=data.utt2spk)
        texts.update((utt, normalize(text, values["text"]["language"])) for utt, text in spoken.items())
    return sides, texts


def _folders(values: dict[str, Any]) -> list[str]:
    """The data directories, training last: where two hold one utterance, the training's context counts."""
    valid = values["data"]["valid"]
    return [*([valid] if valid else []), *values["data"]["train"]]


def _tell_coverage(teacher: TextTeacher, name: str, values: dict[str, Any]) -> None:
    texts = list((DataDir(values["data"]["train"][0]).text or {}).values())[:MEASURED]
    share = teacher.measure(normalize(text, values["text"]["language"]) for text in texts)
    if not teacher.matched:
        raise UserError(f"teacher '{name}': knows no word of {values['data']['train'][0]}/text; choose one of its language")
    level = logging.INFO if share > ENOUGH else logging.WARNING
    LOGGER.log(level, "teacher '%s': %.2f %% of %d words in %d transcripts are aligned%s", name, 100 * share,
               teacher.words, len(texts), "" if share > ENOUGH else "; the rest teaches nothing")  # fmt: skip
