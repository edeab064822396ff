"""egs/swbd, stages 0-6 through its own run.sh, on a miniature in LDC's own layout, taught by a tiny BERT."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from speechlm.bin.assemble import make_dataset
from speechlm.data.collate import collate
from speechlm.decoding.recognizer import Result, load_recognizer
from speechlm.io.expdir import ExpDir
from speechlm.io.weights import load_weights, save_weights
from speechlm.options import read_experiment
from speechlm.scoring.sclite import find_sclite
from test.corpora import telephone
from test.egs.recipe import copy_recipe, run

CONF = "conformer_transducer_kd_uniform2_context"
TINY = ("--encoder.dim 32 --encoder.layers 1 --encoder.heads 2 --encoder.ffn_dim 32 --encoder.kernel 5 --encoder.channels 8 "
        "--head.predictor_dim 24 --head.joint_dim 16 --optim.steps 4 --optim.warmup 1 --train.valid_every 2 "
        "--train.log_every 1 --train.precision fp32 --train.average 1 --data.workers 0 --data.batch_seconds 16")  # fmt: skip
EXP = f"exp/{CONF}"


def taught_by(*checkpoints: Path) -> str:
    return " ".join([TINY, *(f"--teachers.{i}.checkpoint {folder}" for i, folder in enumerate(checkpoints))])


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipe's folder with LDC's trees and a teacher beside it."""
    folder = copy_recipe("swbd", tmp_path_factory.mktemp("swbd"))
    telephone.switchboard(folder / "ldc")
    telephone.eval2000(folder / "ldc")
    telephone.tiny_bert(folder / "bert")
    return folder


def options(recipe: Path, conf: str, train: str) -> list[str]:
    return ["--corpus_dir", f"{recipe}/ldc", "--sets", "train dev eval2000", "--dev_utterances", "10", "--nj", "1",
            "--ngpu", "0", "--confs", conf, "--train_options", train]  # fmt: skip


def test_all_stages(recipe: Path) -> None:
    """The teacher is gone when decoding begins: it cannot have had a part in it."""
    given = options(recipe, CONF, taught_by(recipe / "bert"))
    run(recipe, "--stage", "0", "--stop_stage", "4", *given)
    shutil.move(recipe / "bert", recipe / "bert_away")
    output = run(recipe, "--stage", "5", "--stop_stage", "6", *given)
    shutil.move(recipe / "bert_away", recipe / "bert")
    assert len(re.findall(rf"^%WER \d+\.\d\d \[ \d+ / \d+, .* \] {EXP}/decode_(?:dev|eval2000)/wer_\S+$", output, re.M)) == 2
    log = (recipe / EXP / "log/train.log").read_text(encoding="utf-8")
    assert re.search(r"teacher '\S+/bert': 100\.00 % of \d+ words in 32 transcripts are aligned\n", log)
    rows = [json.loads(line) for line in (recipe / EXP / "metrics.jsonl").read_text().splitlines()]
    assert any("teacher_coverage_0" in json.dumps(row) and "distill" in json.dumps(row) for row in rows)
    if find_sclite():
        lines = (recipe / EXP / "decode_eval2000/scoring_hub5/wer").read_text().splitlines()
        assert [line.rsplit("/", 1)[1] for line in lines] == ["all", "en", "sw"] and all(line in output for line in lines)


def decoded(exp: Path, recipe: Path) -> list[list[Result]]:
    recognizer, values = load_recognizer(exp, {"beam": 4, "nbest": 4})
    dataset = make_dataset(recipe / "data/dev", values, ExpDir(exp), training=False)
    return recognizer.recognize(collate([dataset.read(i, 0) for i in range(len(dataset))]))


def test_teachers_and_heads_never_reach_what_decodes(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit by bit the same: as trained; with heads put into the weights; with every trace of teachers taken out."""
    if not (recipe / EXP / "model.safetensors").exists():
        pytest.skip("needs the trained model of the first test")
    monkeypatch.chdir(recipe)  # feats.scp is relative to it
    taught, checkpoint = recipe / EXP, next((recipe / EXP / "checkpoints").glob("step-4"))
    weights, meta = load_weights(taught / "model.safetensors")
    heads = {name: t for name, t in load_weights(checkpoint / "trained.safetensors")[0].items() if name.startswith("losses.")}
    assert len(heads) == 2 * 7 and not any(name.startswith("losses.") for name in weights)
    first = decoded(taught, recipe)
    assert sum(len(row) for row in first) == 4 * len(first)
    for name, tensors in (("with", {**weights, **heads}), ("without", weights)):
        copy = recipe / "exp" / name
        shutil.copytree(taught, copy, ignore=shutil.ignore_patterns("checkpoints", "decode_*"))
        save_weights(copy / "model.safetensors", tensors, meta)
        values = yaml.safe_load((copy / "options.yaml").read_text())
        if name == "without":
            assert values.pop("teachers") and values.pop("losses")
            (copy / "options.yaml").write_text(yaml.safe_dump(values))
            (copy / "bases.json").write_text(json.dumps({"parts": {}}))
        assert decoded(copy, recipe) == first


@pytest.mark.slow
def test_two_teachers_and_what_they_said_is_kept(recipe: Path) -> None:
    """A second training reads the store instead of asking; another teacher finds nothing of it."""
    if not (recipe / "data/train/feats.scp").exists():
        pytest.skip("needs the data of the first test")
    name = "conformer_transducer_kd_two_teachers"
    second = telephone.tiny_bert(recipe / "second", layers=3)
    train = taught_by(recipe / "bert", second)
    run(recipe, "--stage", "4", "--stop_stage", "4", *options(recipe, name, train))
    kept = {path: path.stat().st_size for path in (recipe / "exp/teachers").glob("*.f16")}
    assert len(kept) == 2 and all(kept.values())
    sizes = torch.tensor([t.shape[0] for key, t in load_weights(
        recipe / "exp" / name / "checkpoints/step-4/trained.safetensors")[0].items() if key.endswith("mlp.3.bias")])  # fmt: skip
    assert sizes.tolist() == [16, 16, 16, 16]
    shutil.rmtree(recipe / "exp" / name)
    run(recipe, "--stage", "4", "--stop_stage", "4", *options(recipe, name, train))
    assert {path: path.stat().st_size for path in (recipe / "exp/teachers").glob("*.f16")} == kept


@pytest.mark.parametrize("recipe_name, count", [("swbd", 5), ("ami", 3)])
def test_every_conf_is_valid(recipe_name: str, count: int) -> None:
    folder = Path(__file__).resolve().parents[2] / "egs" / recipe_name / "asr1/conf"
    confs = sorted(folder.glob("*.yaml"))
    assert len(confs) == count
    for conf in confs:
        values = read_experiment(conf).values
        assert ("teachers" in values) == ("_kd_" in conf.name) == any(loss["kind"] == "distill" for loss in values["losses"])
