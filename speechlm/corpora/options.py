"""The options of all corpora on one command line; each corpus takes its own only."""

from __future__ import annotations

import argparse
import types
import typing
from typing import Any

from speechlm.core.errors import UserError
from speechlm.core.registry import kinds, signature
from speechlm.core.signature import Option


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of every corpus, read from the sources without importing them."""
    owners: dict[str, list[str]] = {}
    options: dict[str, Option] = {}
    for kind in sorted(kinds("corpus")):
        for option in signature("corpus", kind).options:
            owners.setdefault(option.name, []).append(kind)
            options.setdefault(option.name, option)
    group = parser.add_argument_group("options of the corpora")
    for name, option in options.items():
        origin = typing.get_origin(option.annotation)
        group.add_argument(
            f"--{name}",
            default=argparse.SUPPRESS,
            type=_reader(option.annotation),
            nargs="+" if origin is list else "?" if option.annotation is bool else None,
            const=True if option.annotation is bool else None,
            choices=typing.get_args(option.annotation) if origin is typing.Literal else None,
            metavar=None if origin is typing.Literal else "VALUE",
            help=f"{', '.join(owners[name])}: {option.sentence} Default: {option.default}".replace("%", "%%"),
        )


def given_options(args: argparse.Namespace) -> dict[str, Any]:
    """Pick what was given for the chosen corpus; an option of another corpus is refused."""
    mine = {option.name for option in signature("corpus", args.corpus).options}
    others = {option.name for kind in kinds("corpus") for option in signature("corpus", kind).options} - mine
    for name in sorted(others & set(vars(args))):
        known = ", ".join(f"--{option}" for option in sorted(mine)) or "none"
        raise UserError(f"--{name}: corpus {args.corpus} has no such option; it has {known}")
    return {name: value for name, value in vars(args).items() if name in mine}


def _reader(annotation: Any) -> Any:
    """Give the function that turns a word of the command line into the option's type."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return _reader(next(part for part in parts if part is not type(None)))
    if origin is typing.Literal:
        return type(parts[0])
    if origin is list:
        return _reader(parts[0])
    return _truth if annotation is bool else annotation


def _truth(word: str) -> bool:
    if word not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"must be true or false, is '{word}'")
    return word == "true"
