"""egs/tedlium and egs/commonvoice: an experiment of another recipe is tested out of domain, on miniatures of the published trees."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from speechlm.bin.main import main
from speechlm.io.datadir import DataDir
from speechlm.options import read_experiment
from test.corpora import miniature
from test.data import corpus
from test.egs.recipe import copy_recipe, run
from test.families.checkpoints import tiny_checkpoint
from test.paths import ROOT


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny speech LLM of another recipe."""
    place = tmp_path_factory.mktemp("other")
    data = corpus.make(place / "data/train")
    values = {
        "text": {"language": "en"},
        "features": {"num_mels": 20, "cmvn": "utterance"},
        "encoder": {"kind": "conv"},
        "llm": {"kind": "causal", "checkpoint": str(tiny_checkpoint("llama")), "adapt": "frozen"},
        "data": {"train": [str(data)]},
        "optim": {"steps": 2},
        "train": {"tensorboard": False},
        "decode": {"beam": 2, "max_tokens_per_second": 4},
    }
    (place / "x.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    assert main(["train", "--config", f"{place}/x.yaml", "--out", f"{place}/exp/tiny"]) == 0
    return place / "exp/tiny"


def check(recipe: Path, output: str, trained: Path, utterances: int) -> None:
    """What stages 0-6 must leave, and that the other recipe's folder was left alone."""
    assert len(re.findall(r"^%WER .* exp/tiny/decode_(dev|test)/", output, re.M)) == 2
    assert not list(trained.glob("decode_*")) and (recipe / "exp/tiny/model.safetensors").is_symlink()
    found = json.loads((recipe / "exp/tiny/decode_test/scoring.json").read_text())
    assert found["utterances"] == utterances and set(found["insertions_apart"]["classes"]) >= {
        "loop",
        "over_long",
        "empty",
    }
    assert "prompt leak" in (recipe / "RESULTS.md").read_text(encoding="utf-8")


def test_tedlium(tmp_path: Path, trained: Path) -> None:
    recipe = copy_recipe("tedlium", tmp_path)
    miniature.tedlium(tmp_path / "corpus")
    output = run(recipe, "--corpus_dir", str(tmp_path / "corpus"), "--exps", str(trained), "--nj", "1")
    data = DataDir(recipe / "data/test")
    assert sorted(data.text.values()) == ["i'm here today to show my <unk>", "photographs of the lakota"]
    assert not (recipe / "data/train").exists() and data.segments is not None
    check(recipe, output, trained, 2)


def test_commonvoice(tmp_path: Path, trained: Path) -> None:
    recipe = copy_recipe("commonvoice", tmp_path)
    miniature.commonvoice(tmp_path / "corpus")
    options = ["--corpus_dir", str(tmp_path / "corpus"), "--locale", "zh-TW", "--exps", str(trained), "--nj", "1"]
    check(recipe, run(recipe, *options), trained, 2)


def test_an_experiment_that_is_not_finished_is_refused(tmp_path: Path) -> None:
    recipe = copy_recipe("tedlium", tmp_path)
    (tmp_path / "unfinished").mkdir()
    output = run(recipe, "--stage", "4", "--exps", str(tmp_path / "unfinished"), code=1)
    assert "unfinished has no model.safetensors; train it first" in output


@pytest.mark.parametrize("name", ["tedlium", "commonvoice"])
def test_confs_are_valid(name: str) -> None:
    assert read_experiment(ROOT / f"egs/{name}/asr1/conf/conformer_ctc.yaml").values["text"]["language"] == "en"
