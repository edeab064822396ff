"""An experiment's options, checked all at once before anything heavy is imported.

Unknown keys are refused with their place and the nearest name; types are checked by pydantic; every fault is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from speechlm.core.config import Config
from speechlm.core.errors import UserError
from speechlm.core.registry import nearest, signature
from speechlm.core.signature import Option, Signature, read_signature

ADAPT = "speechlm.nn.adapt_options:AdaptOptions"
"""Options that every adaptable part (encoder, llm) has besides its own."""
FREEZE = "speechlm.nn.adapt_options:FreezeOptions"
"""Options that a bridge has besides its own."""
LORA = "speechlm.nn.adapt:LoraOptions"
ADAPTABLE = ("encoder", "llm")
LISTS = ("teachers",)
"""Sections that are lists of sections, and only there where they are written."""


@dataclass(frozen=True)
class Row:
    """One line of the options page."""

    name: str
    value: Any
    origin: str
    sentence: str


@dataclass(frozen=True)
class Experiment:
    """Checked values by section (with every default filled in), and the rows of the options page."""

    values: dict[str, Any]
    rows: list[Row]

    def section(self, name: str) -> dict[str, Any]:
        """Give the values of a section; {} if the experiment has none."""
        return self.values.get(name) or {}


def _model(name: str, options: tuple[Option, ...]) -> type[BaseModel]:
    fields: dict[str, Any] = {option.name: (option.annotation, option.default) for option in options}
    return create_model(name, __config__=ConfigDict(extra="forbid", strict=False, allow_inf_nan=False), **fields)


def part_options(family: str) -> tuple[Option, ...]:
    """Give the options that every kind of a family has besides its own."""
    if family == "loss":
        return (Option("weight", float, 1.0, "weight of this loss in the sum."),)
    if family == "bridge":
        return read_signature(FREEZE).options
    return read_signature(ADAPT).options if family in ADAPTABLE else ()


def section_schema(own: Signature, more: tuple[Option, ...] = ()) -> dict[str, object]:
    """Make the JSON schema of one section."""
    made = _model("section", own.options + more).model_json_schema()
    for option in own.options + more:
        made["properties"][option.name]["description"] = option.sentence
    return {
        "type": "object",
        "description": own.summary,
        "additionalProperties": False,
        "properties": made["properties"],
    }


class _Checker:
    """Collects values, rows and faults of one experiment."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.faults: list[str] = []
        self.rows: list[Row] = []

    def fault(self, path: str, text: str) -> None:
        self.faults.append(f"{self.config.place(path)}: {path}: {text}")

    def check(self, path: str, given: Any, options: tuple[Option, ...]) -> dict[str, Any]:
        """Check one section's values against options; remember rows and faults."""
        if not isinstance(given, dict):
            self.fault(path, f"must be a section with 'name: value' lines, is {given!r}")
            return {}
        names = [option.name for option in options]
        unknown = [key for key in given if key not in names]
        for key in unknown:
            self.fault(f"{path}.{key}", f"unknown option; {nearest(str(key), names)}")
        known = {key: value for key, value in given.items() if key in names}
        try:
            values = _model(path, options)(**known).model_dump()
        except ValidationError as error:
            for problem in error.errors():
                where = ".".join(str(step) for step in (path, *problem["loc"][:1]))
                self.fault(
                    where,
                    f"{problem['msg'][0].lower()}{problem['msg'][1:]}, is {problem['input']!r}"
                    if problem["type"] != "missing"
                    else "must be given",
                )
            return {}
        for option in options:
            name = f"{path}.{option.name}"
            origin = self.config.place(name) if option.name in given else "default"
            self.rows.append(Row(name, values[option.name], origin, option.sentence))
        return values

    def each(self, path: str, given: Any, options: tuple[Option, ...]) -> list[dict[str, Any]]:
        """Check a list of sections with the same options."""
        if not isinstance(given, list):
            self.fault(path, f"must be a list of sections: '{path}: [{{{options[0].name}: ...}}]', is {given!r}")
            return []
        return [self.check(f"{path}.{i}", item, options) for i, item in enumerate(given)]

    def part(self, path: str, family: str, given: Any) -> dict[str, Any]:
        """Check a section that chooses a part by kind."""
        if not isinstance(given, dict) or not isinstance(given.get("kind"), str):
            self.fault(path, "must name its part: 'kind: NAME'")
            return {}
        given = dict(given)
        kind = given.pop("kind")
        try:
            own: Signature = signature(family, kind)
        except UserError as error:
            self.fault(f"{path}.kind", str(error).split(": ", 1)[1])
            return {}
        self.rows.append(Row(f"{path}.kind", kind, self.config.place(f"{path}.kind"), own.summary))
        over = given.pop("over", None) if family == "encoder" else None
        lora = given.pop("lora", None) if family in ADAPTABLE else None
        values = {"kind": kind, **self.check(path, given, own.options + part_options(family))}
        if family in ADAPTABLE and values.get("adapt") == "lora":
            values["lora"] = self.check(f"{path}.lora", lora or {}, read_signature(LORA).options)
        elif lora is not None:
            self.fault(
                f"{path}.lora", f"has no effect with 'adapt: {values.get('adapt')}'; write 'adapt: lora' or take it out"
            )
        if over is not None:
            values["over"] = self.part(f"{path}.over", family, over)
        return values


def check(config: Config, sections: dict[str, tuple[str, ...]], parts: dict[str, str]) -> Experiment:
    """Check a whole experiment; raise one UserError that tells all faults."""
    checker = _Checker(config)
    values: dict[str, Any] = {}
    names = list(sections) + list(parts)
    for name in config.values:
        if name not in names:
            checker.fault(str(name), f"unknown section; {nearest(str(name), names)}")
    for name, family in parts.items():
        given = config.values.get(name)
        if given is None:
            continue
        if name == "losses":
            if not isinstance(given, list):
                checker.fault(name, "must be a list: [{kind: lm, weight: 1.0}]")
                continue
            values[name] = [checker.part(f"{name}.{i}", family, item) for i, item in enumerate(given)]
        else:
            values[name] = checker.part(name, family, given)
    for name, places in sections.items():
        options = tuple(option for place in places for option in read_signature(place).options)
        if name in LISTS:
            if name in config.values:
                values[name] = checker.each(name, config.values[name], options)
            continue
        values[name] = checker.check(name, config.values.get(name) or {}, options)
    if checker.faults:
        raise UserError("\n".join(checker.faults))
    return Experiment(values, checker.rows)
