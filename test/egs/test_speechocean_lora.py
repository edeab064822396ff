"""egs/speechocean/asr1/run_lora.sh: the common start and two rows of its tables, on a few utterances and steps; the confs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from speechlm.bin.sweep_plan import make_plan
from speechlm.options import read_experiment
from test.corpora.miniature import sound
from test.egs.miniatures import EN, record
from test.egs.recipe import copy_recipe, run
from test.paths import ROOT

RECIPE = ROOT / "egs/speechocean/asr1"
SHORT = ["see the red bus", "we go home", "a warm day", "the cat sat", "i am at sea", "two dogs ran"]
STEPS = "--optim.steps 2 --optim.warmup 1 --train.valid_every 2"


def pack(folder: Path, splits: dict[str, int], texts: list[str]) -> Path:
    """Kaldi data directories whose audio paths are relative to their pack."""
    for split, count in splits.items():
        rows = []
        for index in range(count):
            utt, text = f"anna{split}-{index}-0{index}", texts[index % len(texts)]
            record(folder / f"audio/{utt}.wav", text, 0.1)
            rows.append((utt, f"audio/{utt}.wav", text, f"anna{split}"))
        place = folder / "data" / split
        place.mkdir(parents=True)
        for name, column in (("wav.scp", 1), ("text", 2), ("utt2spk", 3)):
            (place / name).write_text("".join(f"{row[0]} {row[column]}\n" for row in rows), encoding="utf-8")
    return folder


def noises(folder: Path) -> Path:
    """A table of sounds without words."""
    for name in "abcdef":
        sound(folder / f"{name}.wav", seconds=3.0)
    (folder / "noise.scp").write_text("".join(f"{name} {name}.wav\n" for name in "abcdef"), encoding="utf-8")
    return folder / "noise.scp"


def test_from_the_recordings_to_the_table(tmp_path: Path) -> None:
    recipe = copy_recipe("speechocean", tmp_path)
    pack(tmp_path / "ocean", {"train": 8, "dev": 2, "test": 2}, [*EN])
    pack(tmp_path / "other", {"en_one": 2, "en_two": 1}, [*SHORT])
    lines = [f"{one} and {other}" for one in SHORT for other in SHORT]
    (tmp_path / "sentences.txt").write_text("".join(f"{line}\n" for line in [*lines, SHORT[0]]), encoding="utf-8")
    words = [
        "--corpus_dir", str(tmp_path / "ocean"), "--noise_scp", str(noises(tmp_path / "noise")), "--synth", "8", "--held_out", "2",
        "--sentences_dir", str(tmp_path / "other"), "--sentences_sets", "en_one en_two", "--lm_text", str(tmp_path / "sentences.txt"),
        "--train_options", STEPS, "--sweeps", "lora_grid", "--sweep_options", f"--rows match --seeds 1 {STEPS}",
    ]  # fmt: skip
    run(recipe, *words, script="run_lora.sh")
    exp = recipe / "exp/lora_grid/match-seed1"
    assert json.loads((exp / "sweep.json").read_text())["state"] == "finished"
    assert '"loss_matching"' in (exp / "metrics.jsonl").read_text(encoding="utf-8")
    lines = (recipe / "data/train_text/text").read_text(encoding="utf-8").splitlines()
    read = {line.partition(" ")[2] for line in lines}
    assert "see the red bus and we go home" in read and "see the red bus" not in read  # the latter is tested on
    page = (recipe / "RESULTS.md").read_text(encoding="utf-8")
    assert "| encoder LoRA, LLM LoRA, matching loss" in page and "\nsentences:\n" in page


def test_the_grid_has_nine_cells_that_train_what_their_names_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(RECIPE)
    plan = make_plan(Path("conf/sweep/lora_grid.yaml"), RECIPE, [], [], [1])
    cells = {}
    for point in plan.points:
        values = read_experiment(point.conf, point.overrides).values
        cells[point.row] = (values["encoder"]["adapt"], values["llm"]["adapt"], len(values["losses"]))
        whole = {part: 0.3 for part in ("encoder", "llm") if values[part]["adapt"] == "full"}
        assert values["optim"]["lr_scale"] == whole
    ways = ("frozen", "lora", "full")
    beside = {"start": ("frozen", "frozen", 1), "match": ("lora", "lora", 2), "match_strong": ("lora", "lora", 2)}
    assert cells == {f"{one}_{other}": (one, other, 1) for one in ways for other in ways} | beside


def test_constraints_decode_the_weights_of_the_row_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(RECIPE)
    plan = make_plan(Path("conf/sweep/lora_nset.yaml"), RECIPE, [], [], [])
    values = {point.row: read_experiment(point.conf, point.overrides).values for point in plan.points}
    for row in ("plain", "nset", "more"):
        free, bound = values[row], values[f"{row}_constrained"]
        assert bound["train"]["start_from"][-1] == f"exp/lora_nset/{row}-seed1"
        assert bound["optim"]["lr"] == 0 and bound["optim"]["steps"] == 1
        assert sorted(name for name in bound if bound[name] != free[name]) == ["decode", "optim", "train"]
    assert values["nset"]["data"]["allow_empty"] and not values["plain"]["data"]["allow_empty"]
