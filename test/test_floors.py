"""The floor plan is law: imports go downward only, `__init__` re-exports nothing, and README's plan is what lies on disk."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "speechlm"
FLOORS = {
    "core": 0, "io": 1, "text": 2, "features": 2, "corpora": 3, "data": 3, "nn": 3, "encoders": 4, "bridges": 4, "llms": 4,
    "heads": 4, "losses": 4, "models": 5, "training": 6, "decoding": 6, "scoring": 7, "report": 7, "bin": 8,
}  # fmt: skip
STRANGERS = [
    ("data", "models"), ("training", "decoding"), ("training", "scoring"), ("nn", "data"), ("nn", "corpora"), ("data", "corpora"),
]  # fmt: skip
"""Packages that never know each other, though the floors would allow it."""
PARTS = ("encoders", "bridges", "llms", "heads", "losses")
EXCEPTIONS: set[tuple[str, str]] = {("report", "scoring")}
"""Imports inside a floor that are allowed: the report shows what scoring counted."""


def files() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py"))


def imports(path: Path) -> list[str]:
    """Names of the project's modules that a file imports, anywhere in it."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("speechlm"):
            found.append(node.module)
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.startswith("speechlm")]
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path}: relative import"
    return found


def package_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downward(path: Path) -> None:
    here = path.relative_to(PACKAGE).parts[0]
    if here not in FLOORS:
        return
    for module in imports(path):
        there = package_of(module)
        if there in ("", "options"):
            assert here in ("bin", "report") or module == "speechlm", (
                f"{path}: only bin and report read the options page"
            )
            continue
        allowed = there == here or FLOORS[there] < FLOORS[here] or (here, there) in EXCEPTIONS
        assert allowed, f"{path}: {here} (floor {FLOORS[here]}) must not import {module} (floor {FLOORS[there]})"
        assert (here, there) not in STRANGERS, f"{path}: {here} and {there} do not know each other"


@pytest.mark.parametrize("package", sorted(FLOORS))
def test_init_reexports_nothing(package: str) -> None:
    tree = ast.parse((PACKAGE / package / "__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        table = isinstance(node, ast.Assign | ast.AnnAssign) and "KINDS" in ast.unparse(node)
        future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
        assert table or future or isinstance(node, ast.Expr), f"{package}/__init__.py holds {ast.unparse(node)[:60]}"


@pytest.mark.parametrize("package", [*PARTS, "corpora"])
def test_tables_resolve(package: str) -> None:
    kinds = importlib.import_module(f"speechlm.{package}").KINDS
    assert kinds
    for kind, place in kinds.items():
        module, _, name = place.partition(":")
        assert hasattr(importlib.import_module(module), name), f"{package}: {kind} -> {place}"


def tree_lines() -> dict[str, tuple[int, set[str]]]:
    """Read README's floor plan: package -> (floor, names of its files)."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = readme.split("## The floor plan")[1].split("```")[1]
    plan: dict[str, tuple[int, set[str]]] = {}
    package = ""
    for line in block.splitlines():
        start = re.match(r"^  (\w+)/\s+(\d)\s+(.*)$", line)
        if start:
            package = start.group(1)
            plan[package] = (int(start.group(2)), set())
            line = start.group(3)
        elif not re.match(r"^ {12,}\S", line):
            package = ""
        if package:
            plan[package][1].update(re.sub(r"\(.*?\)", "", line).split())
    return plan


def test_readme_plan_is_what_lies_on_disk() -> None:
    plan = tree_lines()
    assert {package: floor for package, (floor, _) in plan.items()} == FLOORS
    for package, (_, names) in plan.items():
        on_disk = {path.stem for path in (PACKAGE / package).glob("*.py") if path.stem != "__init__"}
        assert names == on_disk, f"README's line of {package}/ should be: {'  '.join(sorted(on_disk))}"


def test_top_level_is_the_plan() -> None:
    import subprocess

    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    top = {name.split("/")[0] for name in listed if name and not name.startswith(".")}
    plan = {
        "setup.py",
        "setup.cfg",
        "ruff.toml",
        "egs",
        "speechlm",
        "tools",
        "utils",
        "test",
        "doc",
        "Makefile",
        "README.md",
        "LICENSE",
    }
    assert top <= plan, f"not in the plan: {sorted(top - plan)}"


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_are_small_rooms(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= 300, f"{path}: {lines} lines; is there a second idea in it?"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            size = (node.end_lineno or 0) - node.lineno + 1
            assert size <= 60, f"{path}:{node.lineno}: {node.name} has {size} lines"
