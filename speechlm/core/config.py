"""YAML experiments: read, override from the command line, tell where every value came from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from speechlm.core.errors import UserError


class _Loader(yaml.SafeLoader):
    """YAML 1.2's plain values: PyYAML reads 1e-4 as a string, 1:30 as 90 and `no` as false; a key that stands twice is refused."""


_PLAIN = {
    "bool": (r"^(true|True|TRUE|false|False|FALSE)$", "tTfF"),
    "int": (r"^[-+]?\d+$", "-+0123456789"),
    "float": (
        r"^[-+]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][-+]?\d+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$",
        "-+0123456789.",
    ),
}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag.rpartition(":")[2] not in _PLAIN]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _name, (_pattern, _first) in _PLAIN.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(_pattern), list(_first))


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: dict[Any, int] = {}
    for key, _ in node.value:
        name = loader.construct_object(key)
        if name in seen:
            line = key.start_mark.line + 1
            raise UserError(
                f"{key.start_mark.name}:{line}: '{name}' stands twice (first in line {seen[name]}); keep one"
            )
        seen[name] = key.start_mark.line + 1
    loader.flatten_mapping(node)
    return {
        loader.construct_object(key, deep=True): loader.construct_object(value, deep=True) for key, value in node.value
    }


def _integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    return int(node.value)  # PyYAML reads 010 as eight


_Loader.add_constructor("tag:yaml.org,2002:int", _integer)
_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


@dataclass
class Config:
    """The values of an experiment as written, and for each path "optim.lr" where it came from."""

    values: dict[str, Any]
    origin: dict[str, str]
    path: str = ""

    def place(self, name: str) -> str:
        """Say where a path, or the nearest thing above it, was written."""
        while name and name not in self.origin:
            name = name.rpartition(".")[0]
        return self.origin.get(name, self.path)


def parse_value(text: str) -> Any:
    """Read one value of the command line as YAML (numbers, true/false, lists); nothing is evaluated."""
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError:
        return text


def _origins(node: yaml.Node | None, prefix: str, found: dict[str, str], name: str) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            path = f"{prefix}.{key.value}" if prefix else str(key.value)
            found[path] = f"{name}:{key.start_mark.line + 1}"
            _origins(value, path, found, name)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            found[f"{prefix}.{index}"] = f"{name}:{value.start_mark.line + 1}"
            _origins(value, f"{prefix}.{index}", found, name)


def read_config(path: Path | str) -> Config:
    """Read a YAML file; a fault is a UserError with file and line."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; give an experiment's YAML, for example conf/conformer_ctc.yaml"
        ) from None
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise UserError(f"{path}:{line}: not UTF-8; save the file as UTF-8") from None
    try:
        loader = _Loader(text)
        loader.name = str(path)
        node = loader.get_single_node()
        values = loader.construct_document(node) if node else {}
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{path}:{line}: not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not YAML: {error}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}:1: an experiment is a mapping of sections ('text:', 'encoder:', ...)")
    origin: dict[str, str] = {}
    _origins(node, "", origin, str(path))
    return Config(values, origin, str(path))


def override(config: Config, arguments: list[str]) -> Config:
    """Apply `--section.option value` (or `=value`) pairs; the rest of the command line must be empty.

    A list's members are named by number (`--losses.0.weight 0.3`). Raises UserError for anything else.
    """
    rest = list(arguments)
    while rest:
        flag = rest.pop(0)
        if not flag.startswith("--") or "." not in flag.split("=")[0]:
            raise UserError(
                f"{flag}: unknown option; an experiment's option is written --section.option VALUE, as in --optim.lr 3e-4"
            )
        name, equals, text = flag[2:].partition("=")
        if not equals:
            if not rest or (rest[0].startswith("--")):
                raise UserError(f"{flag}: has no value; write {flag} VALUE")
            text = rest.pop(0)
        _put(config, name.split("."), parse_value(text), flag)
    return config


def _put(config: Config, path: list[str], value: Any, flag: str) -> None:
    place: Any = config.values
    for step, key in enumerate(path[:-1]):
        if isinstance(place, list):
            if not key.isdigit() or int(key) >= len(place):
                raise UserError(
                    f"{flag}: '{'.'.join(path[:step])}' is a list of {len(place)}; name a member by its number"
                )
            place = place[int(key)]
        else:
            place = (
                place.setdefault(key, {}) if place.get(key) is not None else place.__setitem__(key, {}) or place[key]
            )
        if not isinstance(place, dict | list):
            raise UserError(f"{flag}: '{'.'.join(path[: step + 1])}' is a value, not a section")
    if isinstance(place, list):
        if not path[-1].isdigit() or int(path[-1]) >= len(place):
            raise UserError(f"{flag}: the list has {len(place)} members; name one by its number")
        place[int(path[-1])] = value
    else:
        place[path[-1]] = value
    config.origin[".".join(path)] = "command line"
