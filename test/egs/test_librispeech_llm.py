"""egs/librispeech run_llm.sh on a miniature tree and tiny checkpoints: matching loss, non-speech, tuning, scores; all confs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from speechlm.options import read_experiment
from test.corpora import miniature
from test.egs.recipe import copy_recipe, run
from test.families.checkpoints import SPEECH, tiny_checkpoint
from test.paths import ROOT

CONF = ROOT / "egs/librispeech/asr1/conf"
NAMES = ["hubert_convmlp_vicuna", "hubert_convmlp_vicuna_lora_both", "hubert_convmlp_vicuna_match", "hubert_convmlp_vicuna_nset",
         "wavlm_qwen3_0.6b", "whisper_qwen3_1.7b"]  # fmt: skip


def deep_hubert(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A HuBERT as deep as the large one, 24 layers, and 16 wide."""
    monkeypatch.setitem(SPEECH, "hubert_deep", {**SPEECH["hubert_large"], "num_hidden_layers": 24})
    return tiny_checkpoint("hubert_deep", folder)


def test_stages_with_matching_loss_and_sound_without_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = copy_recipe("librispeech", tmp_path)
    miniature.librispeech(tmp_path / "corpus")
    for name in "abcde":
        miniature.sound(tmp_path / "corpus/audio" / f"5-{ord(name)}-A-0.wav", seconds=3.0)
    small = (
        f"--encoder.checkpoint {deep_hubert(tmp_path, monkeypatch)} --llm.checkpoint {tiny_checkpoint('llama')} "
        "--llm.dtype float32 --bridge.hidden 16 --train.precision fp32 --train.tensorboard false --data.workers 0 "
        "--optim.steps 2 --train.valid_every 1 --data.batch_seconds 10"
    )
    words = [
        "--corpus_dir", str(tmp_path / "corpus"), "--allow_partial", "true", "--hours", "100", "--ngpu", "0",
        "--esc50", str(tmp_path / "corpus"), "--nonspeech_options", "--seconds 1-2",
        "--train_options", small, "--test_sets", "test_other nonspeech_test", "--tune_grid", "no_repeat_ngram=0,4",
    ]  # fmt: skip
    run(recipe, *words, "--confs", "hubert_convmlp_vicuna_match", "--stop_stage", "4", script="run_llm.sh")
    output = run(recipe, *words, "--confs", "hubert_convmlp_vicuna_nset", script="run_llm.sh")
    assert output.count("nothing to do") == 2  # corpus and sound without words
    match, nset = (recipe / f"exp/hubert_convmlp_vicuna_{name}" for name in ("match", "nset"))
    assert (match / "plots/matching.png").stat().st_size and (nset / "plots/matching.png").stat().st_size
    assert (nset / "tune_dev_tune/best.yaml").exists()
    options = yaml.safe_load((nset / "options.yaml").read_text())
    assert options["encoder"]["lora"]["layers"] == "14-23" and options["data"]["shares"] == [0, 0.1]
    score = json.loads((nset / "decode_nonspeech_test/scoring.json").read_text())["insertions_apart"]
    assert score["silence_utterances"] > 0 and score["silence_units_per_minute"] is not None
    assert score["classes"]["silence"] == score["silence_utterances_with_output"]
    page = (recipe / "RESULTS.md").read_text(encoding="utf-8")
    assert page.count("## Tuning: ") == 1 and "units/min on silence" in page and "no_repeat_ngram=" in page
    assert len(re.findall(r"^%WER .* exp/hubert_convmlp_vicuna_nset/decode_test_other/", output, re.M)) == 1


@pytest.mark.parametrize("name", NAMES)
def test_confs_are_valid(name: str) -> None:
    values = read_experiment(CONF / f"{name}.yaml").values
    assert values["bridge"]["kind"] == "conv_mlp" and values["text"]["language"] == "en"


def test_the_four_confs_of_the_paper_differ_in_what_their_names_say() -> None:
    base, both, match, nset = (read_experiment(CONF / f"{name}.yaml").values for name in NAMES[:4])
    assert [base[part]["adapt"] for part in ("encoder", "llm")] == ["frozen", "frozen"]
    assert [both[part]["adapt"] for part in ("encoder", "llm")] == ["lora", "lora"]
    changed = [name for name in both if both[name] != base[name]]
    assert sorted(changed) == ["encoder", "llm", "optim"]
    assert [name for name in match if match[name] != both[name]] == ["losses"]
    assert sorted(name for name in nset if nset[name] != match[name]) == ["augment", "data", "decode", "optim", "train"]
    assert nset["train"]["start_from"] == ["exp/hubert_convmlp_vicuna_match"] and nset["data"]["allow_empty"]
