"""Whole recipes, stages 0-6: jobs of a real Slurm give the results file that run.pl gives."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from test.egs.recipe import ROOT, copy_recipe, environment, run
from test.paths import shared

STEPS = ["--train_options", "--optim.steps 3 --train.valid_every 2 --optim.warmup 1 --train.log_every 1"]
RECIPES = {
    "mini": (["--num_train", "24", "--num_dev", "4", "--num_test", "6"], "speech_llm"),
    "fsdd": ([], "speech_llm"),
}


def timeless(results: Path) -> str:
    """The results file without what two runs of the same job may differ in: time, and the way to the corpus."""
    rows, rtf = [], 0
    for line in results.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        rtf = cells.index("RTF") if "RTF" in cells else rtf if line.startswith("|") else 0
        if rtf:
            cells[rtf] = ""
        rows.append("|".join(cells))
    return "\n".join(rows)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", RECIPES)
def test_slurm_gives_the_results_of_run_pl(name: str, tmp_path: Path) -> None:
    options, experiment = RECIPES[name]
    if name == "fsdd":
        options = ["--corpus_dir", str(shared("data/en_fsdd_8k"))]
    arguments = ["--stage", "0", "--stop_stage", "6", *options, "--nj", "2", *STEPS]
    local = copy_recipe(name, tmp_path / "local")
    run(local, *arguments, timeout=900)
    cluster = copy_recipe(name, tmp_path / "cluster")
    done = subprocess.run(
        [ROOT / "tools/with_slurm.sh", "./run.sh", *arguments, "--cmd", "slurm.pl --config conf/slurm.conf"],
        cwd=cluster, env=environment(), text=True, timeout=900, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode == 77:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout[-3000:]
    assert timeless(cluster / "RESULTS.md") == timeless(local / "RESULTS.md")
    for kind in ("decode_test/text", "model.safetensors"):
        same = f"exp/{experiment}/{kind}"
        assert (cluster / same).read_bytes() == (local / same).read_bytes(), same
    log = (cluster / f"exp/{experiment}/log/train.log").read_text(encoding="utf-8")
    assert re.search(r"^# Running on .*, Slurm job \d+", log, re.M)
    assert re.search(r"^# Ended \(code 0\)", log, re.M)
