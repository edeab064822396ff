"""egs/README.md: the best result of every recipe, gathered from their RESULTS.md."""

from __future__ import annotations

import re
from pathlib import Path

from speechlm.core.errors import UserError
from speechlm.io.files import atomic_open
from speechlm.report.results import BEGIN, END, UNKNOWN, Row, markdown, read_table, split_marked

HEAD = "# Recipes\n\nThe best result of each recipe on each set, gathered by `speechlm results --collect egs`.\n"
COLUMNS = ["recipe", "paper", "set", "unit", "best error %", "95 % interval", "experiment", "commit"]
PAPER = re.compile(r"\b(\d{4}\.\d{5})\b")


def best_rows(results: Path) -> list[Row]:
    """Give the row of the lowest error rate on each set of a RESULTS.md."""
    best: dict[tuple[str, str], Row] = {}
    for row in read_table(results.read_text(encoding="utf-8"), "Error rates"):
        try:
            rate = float(row["error %"])
        except (KeyError, ValueError):
            continue
        key = row["set"], row.get("unit", UNKNOWN)  # rates of words and of characters do not compare
        if key not in best or rate < float(best[key]["error %"]):
            best[key] = row
    return [best[name] for name in sorted(best)]


def papers(recipe: Path, experiment: str) -> str:
    """Name the papers that an experiment's conf file, else its run.sh, gives by arXiv number."""
    for place in (recipe / "conf" / f"{experiment}.yaml", recipe / "run.sh"):
        found = sorted(set(PAPER.findall(place.read_text(encoding="utf-8")))) if place.exists() else []
        if found:
            return ", ".join(f"[{number}](https://arxiv.org/abs/{number})" for number in found)
    return "-"


def collect(egs: Path) -> int:
    """Write or renew the marked block of egs/README.md; give the number of rows.

    Raises: UserError if `egs` is no folder of recipes.
    """
    pages = sorted(egs.glob("*/*/RESULTS.md"))
    if not egs.is_dir() or not any(egs.glob("*/*/run.sh")):
        raise UserError(f"{egs}: holds no recipe (no CORPUS/asr1/run.sh); give the folder egs")
    rows: list[Row] = []
    for page in pages:
        recipe = page.parent
        for row in best_rows(page):
            rows.append({
                "recipe": f"[{recipe.parent.name}/{recipe.name}]({recipe.parent.name}/{recipe.name}/RESULTS.md)",
                "paper": papers(recipe, row.get("experiment", "")),
                "best error %": row["error %"],
                **{name: row.get(name, UNKNOWN) for name in ("set", "unit", "95 % interval", "experiment", "commit")},
            })  # fmt: skip
    path = egs / "README.md"
    text = path.read_text(encoding="utf-8") if path.exists() else HEAD
    before, _, after = split_marked(text, path)
    with atomic_open(path) as file:
        file.write(f"{before}{BEGIN}\n\n{markdown(COLUMNS, rows)}\n{END}{after}")
    return len(rows)
