"""egs/mini/asr1/run_plm.sh: text, a small LM, its layers as an encoder, two test sets; a few utterances and steps."""

import json
import subprocess
from pathlib import Path

import pytest

from test.egs.miniatures import ZH
from test.egs.recipe import copy_recipe, environment

POEMS = "白日依山盡，黃河入海流。欲窮千里目，更上一層樓。\n一二三四五，上山打老虎。一二三四五，風吹草低見。\n"


def test_verses_are_pairs_whose_characters_are_spoken(tmp_path: Path) -> None:
    recipe = copy_recipe("mini", tmp_path)
    (recipe / "text").write_text("u1 一二三四五\nu2 上山打老虎\n", encoding="utf-8")
    done = subprocess.run(["local/verses.pl", "text"], cwd=recipe, input=POEMS * 2, capture_output=True, text=True, check=True)
    assert done.stdout == "一二三四五上山打老虎\n"


@pytest.mark.slow
def test_from_text_to_the_table(tmp_path: Path) -> None:
    recipe = copy_recipe("mini", tmp_path)
    lines = [f"{a}{b}" for a in ZH for b in ("了", "吗")]
    extra = [f"{a}{b}{c}" for a in ZH[:6] for b in "一二三四五" for c in "上下大小多"]
    (tmp_path / "news.txt").write_text("".join(f"{line}\n" for line in lines + extra), encoding="utf-8")
    (tmp_path / "poems.txt").write_text("".join(f"{a}，{b}。\n" for a in ZH[:4] for b in ZH[4:]), encoding="utf-8")
    steps = "--rows pretrained_frozen --seeds 1 --optim.steps 2 --optim.warmup 1 --train.valid_every 2 --train.trial false"
    done = subprocess.run(
        ["./run_plm.sh", "--speech_text", "../../../news.txt", "--poems", "../../../poems.txt", "--num_train", "40", "--num_test", "4",
         "--dim", "32", "--layers", "2", "--sweep_options", f"{steps} --data.batch_seconds 30"],
        cwd=recipe, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    page = (recipe / "RESULTS.md").read_text(encoding="utf-8")
    assert page.count("| pretrained, frozen") == 2 and "\npoems:\n" in page
    assert json.loads((recipe / "exp/plm/lm-seed1/sweep.json").read_text())["state"] == "finished"
