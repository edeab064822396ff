"""The options page: every recipe's experiments are well-formed, every fault is told at once, with place and nearest name."""

import json
from pathlib import Path

import pytest
import yaml

from speechlm.core.errors import UserError
from speechlm.options import decode_overrides, dump, page, read_experiment, schema

ROOT = Path(__file__).resolve().parents[1]
CONFS = sorted(path for path in ROOT.glob("egs/*/asr1/conf/*.yaml"))


@pytest.mark.parametrize("path", CONFS, ids=lambda path: f"{path.parts[-4]}/{path.stem}")
def test_recipe_confs_are_well_formed(path: Path) -> None:
    experiment = read_experiment(path)
    again = yaml.safe_load(dump(experiment))
    assert again == json.loads(json.dumps(experiment.values)), "options survive YAML"
    assert all(row.sentence for row in experiment.rows)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(
        "txt: {}\nencoder: {kind: conformer, dimm: 3}\nbridge: {kind: conf}\nllm: {kind: causal, checkpoint: x, lora: {rank: 1}}\n"
        "losses: [{kind: lm, weigth: 1}]\noptim: {lr: fast}\ndata: {train: data/train}\n"
    )
    with pytest.raises(UserError) as caught:
        read_experiment(path)
    lines = str(caught.value).splitlines()
    assert f"{path}:1: txt: unknown section; did you mean 'text'?" in lines
    assert f"{path}:2: encoder.dimm: unknown option; did you mean 'dim'?" in lines
    assert any(line.startswith(f"{path}:3: bridge.kind: unknown kind 'conf'; did you mean 'conv'") for line in lines)
    assert any(line.startswith(f"{path}:4: llm.lora: has no effect with 'adapt: full'") for line in lines)
    assert f"{path}:5: losses.0.weigth: unknown option; did you mean 'weight'?" in lines
    assert any(line.startswith(f"{path}:6: optim.lr:") for line in lines)
    assert any(line.startswith(f"{path}:7: data.train:") for line in lines)


def test_page_tells_value_origin_and_sentence() -> None:
    experiment = read_experiment(CONFS[0], ["--optim.lr", "3e-4"])
    text = page(experiment)
    assert "optim.lr: 0.0003" in text and "[command line]" in text and "[default]" in text
    flat = yaml.safe_load("\n".join(line for line in text.splitlines() if line and not line.startswith("#")))
    assert flat["optim.lr"] == 3e-4


def test_schema_knows_every_section() -> None:
    made = schema()
    assert {"text", "encoder", "bridge", "llm", "losses", "optim", "train", "decode"} <= set(made["properties"])
    json.dumps(made)


def test_only_decode_may_change_after_training() -> None:
    values = read_experiment(ROOT / "egs/mini/asr1/conf/speech_llm.yaml").values
    assert decode_overrides(values, ["--decode.beam", "2"]) == {"beam": 2}
    with pytest.raises(UserError, match="only the section 'decode'"):
        decode_overrides(values, ["--optim.lr", "1"])
    with pytest.raises(UserError, match="decode.beam"):
        decode_overrides(values, ["--decode.beam", "many"])
