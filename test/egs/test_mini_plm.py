"""egs/mini/asr1/run_plm.sh: text, a small LM, its layers as an encoder, three test sets; a few utterances and steps."""

import json
import subprocess
from pathlib import Path

import pytest

from test.egs.miniatures import ZH, record
from test.egs.recipe import copy_recipe, run

POEMS = "白日依山盡，黃河入海流。欲窮千里目，更上一層樓。\n一二三四五，上山打老虎。一二三四五，風吹草低見。\n"


def filtered(folder: Path, command: list[str], text: str = "") -> str:
    return subprocess.run(command, cwd=folder, input=text, capture_output=True, text=True, check=True).stdout


def test_verses_are_pairs_whose_characters_are_spoken(tmp_path: Path) -> None:
    recipe = copy_recipe("mini", tmp_path)
    (recipe / "text").write_text("u1 一二三四五\nu2 上山打老虎\n", encoding="utf-8")
    assert filtered(recipe, ["local/verses.pl", "text"], POEMS * 2) == "一二三四五上山打老虎\n"
    assert filtered(recipe, ["local/heard.pl", "text"], "a 老虎\nb 老师\nc\nd 三\n") == "a 老虎\nd 三\n"


def test_frequent_sentences_have_no_rare_character(tmp_path: Path) -> None:
    recipe = copy_recipe("mini", tmp_path)
    (recipe / "text").write_text("上上下\n上下左\n\n左右\n下下\n", encoding="utf-8")
    assert filtered(recipe, ["local/frequent.pl", "2", "text"]) == "上上下\n下下\n"
    assert filtered(recipe, ["local/frequent.pl", "9", "text"]) == "上上下\n上下左\n左右\n下下\n"


def words(folder: Path, count: int) -> Path:
    """Make a pack like that of real words: a tone for each character, paths relative to the pack."""
    for split, texts in {"train": ZH[:4], "dev": ZH[4:5], "test": ZH[5:7]}.items():
        place = folder / "data" / split
        place.mkdir(parents=True)
        rows = [(f"s-{split}{i}", text[i % 4 : i % 4 + count]) for i, text in enumerate(texts)]
        for name, text in rows:
            record(folder / "audio" / f"{name}.wav", text, 0.3)
        tables = {
            "wav.scp": [(n, f"audio/{n}.wav") for n, _ in rows],
            "text": rows,
            "utt2spk": [(n, "s") for n, _ in rows],
        }
        for name, table in tables.items():
            (place / name).write_text("".join(f"{a} {b}\n" for a, b in table), encoding="utf-8")
    return folder


@pytest.mark.slow
def test_from_text_to_the_tables(tmp_path: Path) -> None:
    recipe = copy_recipe("mini", tmp_path)
    lines = [f"{a}{b}" for a in ZH for b in ("了", "吗")]
    extra = [f"{a}{b}{c}" for a in ZH[:6] for b in "一二三四五" for c in "上下大小多"]
    (tmp_path / "news.txt").write_text("".join(f"{line}\n" for line in lines + extra), encoding="utf-8")
    (tmp_path / "poems.txt").write_text("".join(f"{a}，{b}。\n" for a in ZH[:4] for b in ZH[4:]), encoding="utf-8")
    steps = "--optim.steps 2 --optim.warmup 1 --train.valid_every 2 --train.trial false"
    run(
        recipe, "--speech_text", "../../../news.txt", "--poems", "../../../poems.txt", "--hsk_dir", str(words(tmp_path / "words", 3)),
        "--num_train", "80", "--num_test", "4", "--num_verses", "4", "--num_voices", "2", "--dim", "32", "--layers", "2",
        "--train_options", steps, "--sweep_options", f"--rows pretrained_frozen --seeds 1 {steps}",
        script="run_plm.sh",
    )  # fmt: skip
    page = (recipe / "RESULTS.md").read_text(encoding="utf-8")
    assert page.count("| pretrained, frozen") == 6 and page.count("\npoems:\n") == page.count("\nhsk:\n") == 2
    assert json.loads((recipe / "exp/plm_over/pretrained_frozen-seed1/sweep.json").read_text())["state"] == "finished"
