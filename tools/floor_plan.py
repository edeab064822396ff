#!/usr/bin/env python3
"""Write the package's tree as it lies on disk into README.md's floor plan; `--print` only shows it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FLOORS = [
    ("core", 0), ("io", 1), ("text", 2), ("features", 2), ("corpora", 3), ("data", 3), ("nn", 3), ("encoders", 4),
    ("bridges", 4), ("llms", 4), ("heads", 4), ("losses", 4), ("models", 5), ("training", 6), ("decoding", 6),
    ("scoring", 7), ("report", 7), ("bin", 8),
]  # fmt: skip
REST = """egs/           README.md (best number of each recipe)  TEMPLATE/asr1/{path.sh,cmd.sh,steps/,conf/}
               RECIPES/asr1/{run.sh, conf/*.yaml, RESULTS.md; path.sh, cmd.sh, steps, utils -> TEMPLATE}
utils/         Kaldi's scripts by their names: parse_options.sh run.pl slurm.pl queue.pl validate_data_dir.sh ...
tools/         installers of what is optional (Slurm, GridEngine, sctk), check_install.py, floor_plan.py
test/          mirrors the packages; families/ (batteries), reference/ (slow obvious oracles), shell/, cluster/, bench/
doc/           cluster.md  hot_words.md  own_corpus.md  transcribe.md"""


def tree() -> str:
    """Give the plan."""
    lines = [
        "speechlm/",
        "  options.py        THE ONE PAGE: every option that is not a part's own, with one sentence each",
    ]
    for package, floor in FLOORS:
        names = sorted(path.stem for path in (ROOT / "speechlm" / package).glob("*.py") if path.stem != "__init__")
        row = f"  {package + '/':<10} {floor}  "
        for name in names:
            if len(row) + len(name) > 118:
                lines.append(row.rstrip())
                row = " " * 15
            row += f"{name}  "
        lines.append(row.rstrip())
    recipes = sorted(path.parts[-2] for path in ROOT.glob("egs/*/asr1") if path.parts[-2] != "TEMPLATE")
    return "\n".join([*lines, REST.replace("RECIPES", "{" + ",".join(recipes) + "}")])


def main() -> None:
    """Rewrite README.md's block."""
    if "--print" in sys.argv:
        print(tree())
        return
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, after = text.split("## The floor plan", 1)
    after = re.sub(r"```\n.*?\n```", lambda _: f"```\n{tree()}\n```", after, count=1, flags=re.S)
    readme.write_text(f"{before}## The floor plan{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
