"""Read the options of a class from its source, so that asking what a part offers never imports torch.

"Before the star, facts; after the star, options": the keyword-only parameters of `__init__` (or the fields of a
dataclass) are the options of a part. The class works without any configuration; this page only looks at it.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import typing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_NAMES: dict[str, Any] = {
    "int": int, "float": float, "str": str, "bool": bool, "list": list, "dict": dict, "tuple": tuple, "None": None, "Any": Any,
}  # fmt: skip
REQUIRED: Any = ...


@dataclass(frozen=True)
class Option:
    """One option of a part: its type, its default (REQUIRED if it has none) and its sentence."""

    name: str
    annotation: Any
    default: Any
    sentence: str


@dataclass(frozen=True)
class Signature:
    """What a class offers: its first sentence and its options in order."""

    target: str
    summary: str
    options: tuple[Option, ...]


def _annotation(node: ast.expr) -> Any:
    """Turn an annotation's syntax into a type, from a closed list of names (nothing is evaluated)."""
    match node:
        case ast.Constant(value=None):
            return None
        case ast.Name(id=name) if name in _NAMES:
            return _NAMES[name]
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return typing.Union[_annotation(left), _annotation(right)]  # noqa: UP007 - built at run time
        case ast.Subscript(value=ast.Name(id="Literal"), slice=inner):
            values = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            return typing.Literal[tuple(ast.literal_eval(value) for value in values)]
        case ast.Subscript(value=ast.Name(id=outer), slice=inner) if outer in ("list", "dict", "tuple"):
            parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            return _NAMES[outer][
                tuple(... if isinstance(p, ast.Constant) and p.value is ... else _annotation(p) for p in parts)
            ]
    raise TypeError(f"an option's type must be built of {', '.join(_NAMES)} and Literal, is: {ast.unparse(node)}")


def _default(node: ast.expr | None) -> Any:
    if node is None:
        return REQUIRED
    if isinstance(node, ast.Call):  # field(default_factory=list) of a dataclass
        for keyword in node.keywords:
            if keyword.arg == "default":
                return _default(keyword.value)
            if keyword.arg == "default_factory":
                if isinstance(keyword.value, ast.Lambda):
                    return ast.literal_eval(keyword.value.body)
                return {"list": [], "dict": {}, "tuple": ()}[ast.unparse(keyword.value)]
    return ast.literal_eval(node)


def _sentences(doc: str) -> dict[str, str]:
    """Read the `Options:` section of a docstring: `name: sentence.`, continued on deeper lines."""
    found = re.search(r"^[ \t]*Options:[ \t]*\n(.*)", doc, flags=re.S | re.M)
    sentences: dict[str, str] = {}
    if not found:
        return sentences
    name = ""
    for line in found.group(1).splitlines():
        start = re.match(r"\s+(\w+): (.*)", line)
        if start:
            name = start.group(1)
            sentences[name] = start.group(2).strip()
        elif not line.strip():
            if sentences:
                break
        elif name:
            sentences[name] += " " + line.strip()
    return sentences


def _fields(body: ast.ClassDef) -> list[tuple[str, ast.expr, ast.expr | None]]:
    """List (name, annotation, default) of the keyword-only parameters, or of a dataclass's fields."""
    for item in body.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            pairs = zip(item.args.kwonlyargs, item.args.kw_defaults, strict=True)
            return [(arg.arg, arg.annotation or ast.Name("Any"), default) for arg, default in pairs]
    return [
        (item.target.id, item.annotation, item.value)
        for item in body.body
        if isinstance(item, ast.AnnAssign)
        and isinstance(item.target, ast.Name)
        and "ClassVar" not in ast.unparse(item.annotation)
    ]


@cache
def _module(name: str) -> ast.Module:
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.origin is not None, f"no module {name}"
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8"), spec.origin)


@cache
def read_signature(target: str) -> Signature:
    """Read "package.module:Class" from its source.

    Raises LookupError if the class is not there, TypeError for a type outside the closed list.
    """
    module, _, name = target.partition(":")
    for item in _module(module).body:
        if isinstance(item, ast.ClassDef) and item.name == name:
            doc = ast.get_docstring(item) or ""
            sentences = _sentences(doc)
            options = tuple(
                Option(field, _annotation(kind), _default(default), sentences.get(field, ""))
                for field, kind, default in _fields(item)
            )
            return Signature(target, doc.split("\n")[0], options)
    raise LookupError(f"{module} has no class {name}")
