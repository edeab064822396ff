"""What is read from a part's source is what Python itself says of the class."""

import dataclasses
import importlib
import inspect
import subprocess
import sys
import typing

import pytest

from speechlm.core.registry import FAMILIES, kinds, target
from speechlm.core.signature import REQUIRED, read_signature
from speechlm.options import SECTIONS

PARTS = [target(family, kind) for family in FAMILIES for kind in kinds(family)]
PLAIN = [place for places in SECTIONS.values() for place in places]


def cls_of(place: str) -> type:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("place", [*PARTS, *PLAIN])
def test_source_and_class_agree(place: str) -> None:
    cls = cls_of(place)
    read = {option.name: option for option in read_signature(place).options}
    if dataclasses.is_dataclass(cls):
        own = {f.name: f for f in dataclasses.fields(cls)}
        assert list(read) == list(own)
        for name, option in read.items():
            made = (
                own[name].default_factory()
                if own[name].default_factory is not dataclasses.MISSING
                else own[name].default
            )
            assert option.default == made or (option.default is REQUIRED and made is dataclasses.MISSING)
    else:
        own = {p.name: p for p in inspect.signature(cls.__init__).parameters.values() if p.kind is p.KEYWORD_ONLY}
        assert list(read) == list(own)
        for name, option in read.items():
            assert option.default == (REQUIRED if own[name].default is inspect.Parameter.empty else own[name].default)
    hints = typing.get_type_hints(cls if dataclasses.is_dataclass(cls) else cls.__init__)
    for name, option in read.items():
        assert option.annotation == hints[name], name


@pytest.mark.parametrize("place", [*PARTS, *PLAIN])
def test_every_option_has_its_sentence(place: str) -> None:
    read = read_signature(place)
    assert read.summary.endswith("."), f"{place}: the first line must be a sentence"
    assert not [option.name for option in read.options if not option.sentence], place


def test_reading_signatures_imports_nothing_heavy() -> None:
    code = """
import sys
from speechlm.core.registry import FAMILIES, kinds, signature
for family in FAMILIES:
    for kind in kinds(family):
        signature(family, kind)
print(sorted({"torch", "transformers", "torchaudio", "peft", "scipy"} & set(sys.modules)))
"""
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
