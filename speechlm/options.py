"""THE ONE PAGE: every option of an experiment that is not an option of a part, with one sentence each.

A part's own options (`encoder`, `bridge`, `llm`, `head`, `losses`) stand where the part stands: they are the keyword-only
parameters of its class. `speechlm options conf/x.yaml` prints all of them with value, origin and sentence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from speechlm.core.config import Config, override, read_config
from speechlm.core.errors import UserError
from speechlm.core.experiment import LISTS, Experiment, check, part_options, section_schema
from speechlm.core.registry import kinds, signature
from speechlm.core.signature import Option, Signature, read_signature

SECTIONS: dict[str, tuple[str, ...]] = {
    "text": ("speechlm.options:TextOptions", "speechlm.text.hot_list:HotListOptions"),
    "features": ("speechlm.options:FeatureOptions", "speechlm.features.fbank:Fbank"),
    "augment": ("speechlm.features.augment:Augmenter",),
    "pinyin_noise": ("speechlm.text.pinyin_noise:PinyinNoise",),
    "data": ("speechlm.options:DataOptions",),
    "teachers": ("speechlm.llms.teacher:TextTeacher",),
    "optim": ("speechlm.training.optim:OptimOptions",),
    "train": ("speechlm.training.options:TrainOptions",),
    "decode": ("speechlm.options:DecodeOptions", "speechlm.decoding.constraints:SearchOptions",
               "speechlm.decoding.aid_options:AidOptions"),
    "score": ("speechlm.options:ScoreOptions",),
}
"""Sections of an experiment's YAML, and the classes whose options they hold; `teachers` is a list."""

PARTS: dict[str, str] = {"encoder": "encoder", "bridge": "bridge", "llm": "llm", "head": "head", "losses": "loss",
                         "regression": "head"}  # fmt: skip
"""Sections that choose a part by `kind:`, and the family they choose from; `losses` is a list. `regression` is
the head that each representation of the teachers gets while training."""


@dataclass(frozen=True)
class TextOptions:
    """What the transcripts are, and what is made of them.

    Options:
        language: language of the transcripts; chooses the one normaliser that training and scoring share.
        tokens: folder of the units of a CTC or transducer head (`speechlm tokens` made it).
        prompt: what the LLM reads; `{speech}` is the speech slot, `{text}` the answer, `{hot}`, where it has one, a list of
            phrases that may be spoken; stored with the model.
        source: folder of the units that feed the pinyin encoder instead of speech.
    """

    language: Literal["zh", "ja", "en", "none"] = "none"
    tokens: str | None = None
    prompt: str = "{bos}{speech}{text}{eos}"
    source: str | None = None


@dataclass(frozen=True)
class FeatureOptions:
    """What the encoder is given of what stage 1 computes; what that is, is told by `Fbank`.

    Options:
        cmvn: mean and variance normalisation; statistics of the whole training set, of the utterance, or none.
    """

    cmvn: Literal["global", "utterance", "none"] = "global"


@dataclass(frozen=True)
class DataOptions:
    """What the model is trained and validated on, and how it is batched.

    Options:
        train: Kaldi data directories of the training set.
        shares: for each directory of `train` its share of an epoch's utterances, 0 to 1; 0 takes all of its own. Empty:
            all of all (a share mixes in, say, 0.1 of non-speech).
        valid: Kaldi data directory for validation and the choice of the best checkpoint.
        batch_seconds: seconds of audio in a batch, padding included.
        max_utterances: utterances in a batch at the most.
        min_seconds: shorter utterances are left out of training, counted and told.
        max_seconds: longer utterances are left out of training, counted and told.
        allow_empty: train on utterances with an empty transcript too (non-speech that must give nothing).
        from_audio: compute features from the audio on the fly instead of reading feats.scp (needed for speed, noise and
            reverberation of `augment`).
        keep_in_memory: GiB of features that may be kept in memory; 0 reads them from disk every time.
        workers: processes that load data; 0 loads in the training process.
        allow_pipes: accept shell pipes in wav.scp.
        text_seconds: seconds that one unit of text-only input counts for in a batch.
    """

    train: list[str] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    valid: str | None = None
    batch_seconds: float = 120.0
    max_utterances: int = 64
    min_seconds: float = 0.1
    max_seconds: float = 30.0
    allow_empty: bool = False
    from_audio: bool = False
    keep_in_memory: float = 2.0
    workers: int = 0
    allow_pipes: bool = False
    text_seconds: float = 0.2


@dataclass(frozen=True)
class DecodeOptions:
    """Which search, with how much at once; what it may do is told by `SearchOptions`, what helps it by `AidOptions`.

    Options:
        kind: the model's own search (ctc, transducer or llm); auto takes the LLM if there is one.
        batch_seconds: seconds of audio decoded together.
        ctc_weight: weight of the CTC head's prefix score in the LLM's beam search; 0 leaves it out.
        times: give the times of words or characters of the best hypothesis, found by the trained CTC head.
        max_symbols: units a transducer may put out at one encoder step (greedy), or for each of all steps (beam).
        device: where to decode; auto takes the GPU if there is one.
    """

    kind: Literal["auto", "ctc", "transducer", "llm"] = "auto"
    batch_seconds: float = 60.0
    ctc_weight: float = 0.0
    times: Literal["none", "char", "word"] = "none"
    max_symbols: int = 5
    device: Literal["auto", "cpu", "cuda"] = "auto"


@dataclass(frozen=True)
class ScoreOptions:
    """How errors are counted.

    Options:
        unit: what an error is counted in: words, characters, or mixed (Han characters and Latin words).
    """

    unit: Literal["word", "char", "mixed"] = "word"


def read_experiment(path: Path | str, overrides: list[str] | None = None) -> Experiment:
    """Read an experiment's YAML, apply overrides, check all of it; every fault is told in one UserError."""
    return check(override(read_config(path), overrides or []), SECTIONS, PARTS)


def page(experiment: Experiment) -> str:
    """Write the options page: a YAML in itself, each value with its origin and sentence as a comment."""
    lines: list[str] = []
    section = ""
    for row in experiment.rows:
        place, _, name = row.name.rpartition(".")
        if place != section:
            section = place
            lines += ["", f"# {place}"]
        lines.append(f"{row.name}: {yaml_line(row.value)}".ljust(48) + f"  # [{row.origin}] {row.sentence}")
    return "\n".join(lines[1:])


def yaml_line(value: object) -> str:
    """Write one value as YAML on one line."""
    return (
        yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000)
        .removesuffix("\n")
        .removesuffix("\n...")
    )


def dump(experiment: Experiment) -> str:
    """Write the checked values as the YAML that decoding reads (`exp/NAME/options.yaml`)."""
    return yaml.safe_dump(experiment.values, allow_unicode=True, sort_keys=False)


def schema() -> dict[str, object]:
    """Make a JSON schema of the page for editors: sections, kinds and options with their sentences."""
    properties: dict[str, object] = {name: section_schema(*signatures(places)) for name, places in SECTIONS.items()}
    for name in LISTS:
        properties[name] = {"type": "array", "items": properties[name]}
    for name, family in PARTS.items():
        members = [_part_schema(family, kind) for kind in kinds(family)]
        properties[name] = {"type": "array", "items": {"oneOf": members}} if name == "losses" else {"oneOf": members}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "properties": properties,
            "additionalProperties": False}  # fmt: skip


def signatures(places: tuple[str, ...]) -> tuple[Signature, tuple[Option, ...]]:
    """Give the first class of a section, and the options that the others add."""
    first, *others = (read_signature(place) for place in places)
    return first, tuple(option for other in others for option in other.options)


def _part_schema(family: str, kind: str) -> dict[str, object]:
    own = section_schema(signature(family, kind), part_options(family))
    properties = {"kind": {"const": kind, "description": signature(family, kind).summary}, **own["properties"]}  # type: ignore[dict-item]
    return {**own, "properties": properties, "required": ["kind"]}


def decode_overrides(values: dict[str, Any], overrides: list[str]) -> dict[str, Any]:
    """Read `--decode.beam 8` pairs, check them like the YAML, and give the members that change.

    Raises UserError for any other section: it is fixed by the training.
    """
    config = override(Config({}, {}, "command line"), overrides)
    other = [name for name in config.values if name != "decode"]
    if other:
        raise UserError(f"--{other[0]}: only the section 'decode' may change after training")
    given = config.values.get("decode", {})
    config.values["decode"] = {**values["decode"], **given}
    checked = check(config, {"decode": SECTIONS["decode"]}, {}).values["decode"]
    return {name: checked[name] for name in given}
