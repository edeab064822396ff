"""Options and facts in, a model out. Widths flow from part to part; no width ever stands in YAML."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from speechlm.core.errors import UserError
from speechlm.core.registry import load
from speechlm.core.seq import Seq
from speechlm.models.ctc import CtcModel
from speechlm.models.speech_llm import SpeechLLM
from speechlm.nn.adapt import LoraOptions, adapt
from speechlm.text.prompt import Prompt

WITHIN = ("kind", "adapt", "lora", "train_layers", "over", "weight")
"""Keys of a part's section that are not options of its class."""
FRAME_SECONDS = 0.01
"""Step of the features that an encoder's `seconds_per_step` counts with until the data say otherwise."""


@dataclass(frozen=True)
class Facts:
    """What the data and the checkpoints say, and no option may.

    num_mels: width of the features. num_targets: units of the CTC or transducer head, blank included.
    num_sources: units that feed a pinyin encoder. seconds_per_frame: step of the features. prompt: the prompt's token ids.
    """

    num_mels: int = 80
    num_targets: int | None = None
    num_sources: int | None = None
    seconds_per_frame: float = FRAME_SECONDS
    prompt: Prompt | None = None

    def with_prompt(self, prompt: Prompt) -> Facts:
        """Give the same facts with a prompt."""
        return replace(self, prompt=prompt)


class StackedEncoder(nn.Module):
    """One encoder over another, `Enc(X) = Upper(Lower(X))` (2409.17750, form B)."""

    def __init__(self, lower: nn.Module, upper: nn.Module) -> None:
        super().__init__()
        self.lower = lower
        self.upper = upper
        self.source = lower.source
        self.dim = upper.dim
        self.seconds_per_step = lower.seconds_per_step * round(upper.seconds_per_step / FRAME_SECONDS)

    @property
    def notes(self) -> dict[str, float]:
        """Scalars to log, of both."""
        return {**getattr(self.lower, "notes", {}), **getattr(self.upper, "notes", {})}

    def forward(self, speech: Seq) -> Seq:
        """Run one after the other."""
        return self.upper(self.lower(speech))


def options_of(section: dict[str, Any]) -> dict[str, Any]:
    """Give the options of a part's class from its checked section."""
    return {name: value for name, value in section.items() if name not in WITHIN}


def model_kind(values: dict[str, Any]) -> str:
    """Tell which model an experiment's sections make: speech_llm, transducer or ctc."""
    if values.get("llm"):
        return "speech_llm"
    return "transducer" if (values.get("head") or {}).get("kind") == "transducer" else "ctc"


def _adapted(part: nn.Module, section: dict[str, Any]) -> nn.Module:
    lora = LoraOptions(**section["lora"]) if section.get("lora") else None
    return adapt(part, section.get("adapt", "full"), lora, section.get("train_layers"))


def build_encoder(section: dict[str, Any], facts: Facts) -> nn.Module:
    """Make the encoder, with the one below it where the section says `over:`."""
    options = options_of(section)
    cls = load("encoder", section["kind"])
    if section.get("over"):
        lower = build_encoder(section["over"], facts)
        return StackedEncoder(lower, _adapted(cls(lower.dim, **options), section))
    facts_of = {"feats": facts.num_mels, "wave": 1, "pinyin": facts.num_sources, "none": 0}
    width = facts_of[cls.source]
    if width is None:
        raise UserError("encoder.kind: pinyin reads units: give 'text: {source: data/lang_pinyin}'")
    encoder = cls(width, **options)
    if cls.source == "feats" and section["kind"] != "cached":  # a cache tells its own step
        encoder.seconds_per_step *= facts.seconds_per_frame / FRAME_SECONDS
    return _adapted(encoder, section)


def _build_head(values: dict[str, Any], encoder: nn.Module, facts: Facts, *, needed: bool) -> nn.Module | None:
    section = values.get("head") or ({"kind": "ctc"} if needed else None)
    if section is None:
        return None
    if facts.num_targets is None:
        raise UserError("a CTC head scores units: give 'text: {tokens: data/lang_char}'")
    return load("head", section["kind"])(encoder.dim, facts.num_targets, **options_of(section))


def build_model(values: dict[str, Any], facts: Facts) -> nn.Module:
    """Make the model of an experiment's checked values.

    Raises UserError when the sections do not fit each other.
    """
    if not values.get("encoder"):
        raise UserError("an experiment needs a section 'encoder: {kind: ...}'")
    encoder = build_encoder(values["encoder"], facts)
    kind = model_kind(values)
    if kind == "transducer":
        from speechlm.models.transducer import build_transducer

        return build_transducer(values, encoder, facts)
    wants_ctc = any(loss["kind"] == "ctc" for loss in values.get("losses", []))
    if kind == "ctc":
        head = _build_head(values, encoder, facts, needed=True)
        assert head is not None
        return CtcModel(encoder, head)
    return _build_speech_llm(values, encoder, facts, wants_ctc)


def _build_speech_llm(values: dict[str, Any], encoder: nn.Module, facts: Facts, wants_ctc: bool) -> nn.Module:
    section = values["llm"]
    llm = load("llm", section["kind"])(**options_of(section))
    bridge_section = values.get("bridge") or {"kind": "linear"}
    bridge_class = load("bridge", bridge_section["kind"])
    units = [facts.num_targets] if getattr(bridge_class, "wants_units", False) else []
    if units == [None]:
        raise UserError(f"bridge.kind: {bridge_section['kind']} needs units: give 'text: {{tokens: data/lang_phone}}'")
    bridge = bridge_class(encoder.dim, llm.dim, *units, **options_of(bridge_section))
    if encoder.source not in ("pinyin", "none"):
        from speechlm.bridges.linear import match_rms

        match_rms(bridge, encoder.dim, llm.embedding_rms)
    head = _build_head(values, encoder, facts, needed=wants_ctc or bridge_class.uses_ctc)
    assert facts.prompt is not None, "a speech_llm needs its prompt"
    return SpeechLLM(encoder, _adapted(bridge, bridge_section), _adapted(llm, section), facts.prompt, head)
