"""egs/aishell through its own run.sh on a miniature of OpenSLR 33; its experiments' sizes in closed form; form B."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from speechlm.models.build import Facts, build_model
from speechlm.options import read_experiment
from speechlm.training.weights import count_parameters, load_trained
from test.egs import miniatures
from test.egs.recipe import ROOT, copy_recipe, environment, run
from test.families.checkpoints import tiny_checkpoint

CONFS = ROOT / "egs/aishell/asr1/conf"
STEPS = (
    "--optim.steps 2 --train.valid_every 2 --optim.warmup 1 --train.log_every 1 --train.average 1 --train.trial false "
    "--train.tensorboard false --train.precision fp32 --data.workers 0 --data.batch_seconds 20"
)
ALL = ["conv_ctc", "plm_ctc_random_frozen", "plm_ctc_frozen", "plm_ctc_random_full", "plm_ctc_full", "plm_ctc_lora", "conformer_ctc"]
FORM_B = ["plm_on_encoder_frozen", "plm_on_encoder_full"]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("aishell")
    miniatures.aishell(place / "corpus")
    return copy_recipe("aishell", place)


def arguments(recipe: Path, confs: list[str], stop: int = 6) -> list[str]:
    corpus = recipe.parents[2] / "corpus"
    return ["--stop_stage", str(stop), "--corpus_dir", str(corpus), "--allow_partial", "true", "--nj", "1",
            "--ngpu", "0", "--plm", str(tiny_checkpoint("qwen2")), "--tag", "_tiny", "--confs", " ".join(confs),
            "--train_options", STEPS]  # fmt: skip


def test_an_incomplete_corpus_is_refused_by_its_counts(recipe: Path) -> None:
    output = run(recipe, "--stop_stage", "0", "--corpus_dir", str(recipe.parents[2] / "corpus"), code=1)
    assert "train has 9 utterances, the complete corpus has 120098" in output and "Traceback" not in output


def test_all_stages_then_nothing_to_do(recipe: Path) -> None:
    given = arguments(recipe, ["conv_ctc", "plm_ctc_frozen"])
    output = run(recipe, *given)
    lines = re.findall(r"^%WER \d+\.\d\d \[ \d+ / (\d+), .* \] (exp/\S+)/cer_best$", output, re.M)
    folders = [f"exp/{name}/decode_{data}" for name in ("conv_ctc", "plm_ctc_frozen_tiny") for data in ("dev", "test")]
    assert [folder for _, folder in lines] == folders
    dropped = json.loads((recipe / "data/prepared.json").read_text())["train"]
    assert dropped["utterances"] == 9 and dropped["dropped, without transcript"] == 2
    text = (recipe / "data/test/text").read_text(encoding="utf-8")
    assert re.fullmatch(r"(BAC009S076[45]W\d{4} \S+\n){3}", text), "ids as published, word boundaries taken out"
    assert (recipe / "RESULTS.md").stat().st_size
    again = run(recipe, "--stage", "4", "--stop_stage", "4", *given[2:])
    assert again.count("train.sh") == 2 and "FAILED" not in again


def test_form_b_as_a_sweep(recipe: Path) -> None:
    """conformer_ctc is trained, then the LM over it; decoding builds both again; the table has a line of each."""
    run(recipe, *arguments(recipe, ["conv_ctc"], stop=2))
    small = {"dim": 16, "layers": 1, "ffn_dim": 16, "kernel": 3}
    over = {"encoder.checkpoint": str(tiny_checkpoint("qwen2")), "train.start_from": ["{conformer}"]}
    rows = {
        "frozen": {"conf": FORM_B[0], "options": {**{f"encoder.over.{name}": size for name, size in small.items()}, **over}},
        "conformer": {"conf": "conformer_ctc", "options": {f"encoder.{name}": size for name, size in small.items()}},
    }
    words = iter(STEPS.replace("--", "").split())
    options = {name: yaml.safe_load(value) for name, value in zip(words, words, strict=True)}
    sweep = {"rows": rows, "options": options, "seeds": [3], "sets": ["data/test"], "decode": {"beam": 2}, "reference": "conformer"}
    (recipe / "conf/sweep/b.yaml").write_text(yaml.safe_dump(sweep, sort_keys=False), encoding="utf-8")
    done = subprocess.run([sys.executable, "-m", "speechlm.bin.main", "sweep", "conf/sweep/b.yaml"], cwd=recipe,
                          env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)  # fmt: skip
    logs = "\n".join(log.read_text(encoding="utf-8")[-1500:] for log in recipe.glob("exp/b/*/log/*.log"))
    assert done.returncode == 0, f"{done.stdout}\n{logs}"
    log = (recipe / "exp/b/frozen-seed3/log/train.log").read_text(encoding="utf-8")
    taken = re.search(r"start_from: exp/b/conformer-seed3: (\d+) tensors loaded(.*)", log)
    assert taken and int(taken[1]) > 30 and "not in the model" not in taken[2]
    values = yaml.safe_load((recipe / "exp/b/frozen-seed3/options.yaml").read_text(encoding="utf-8"))
    assert (values["train"]["seed"], values["encoder"]["over"]["dim"], values["decode"]["beam"]) == (3, 16, 2)
    page = (recipe / "RESULTS.md").read_text(encoding="utf-8")
    lines = [[cell.strip() for cell in line.split("|")] for line in page.splitlines() if "| 1 of 1" in line]
    cells = {line[1]: line for line in lines}
    assert cells["frozen"].count("-") == 1, "one seed: no spread; everything else is known"
    assert cells["conformer"].count("-") == 3, "nor is the reference compared with itself"


@pytest.mark.slow
def test_every_experiment_of_the_recipe(recipe: Path) -> None:
    output = run(recipe, *arguments(recipe, [*FORM_B, *ALL]), timeout=1200)
    assert output.count("%WER") == 2 * len(ALL + FORM_B)
    log = (recipe / "exp/plm_on_encoder_full_tiny/log/train.log").read_text(encoding="utf-8")
    taken = re.search(r"start_from: exp/conformer_ctc: (\d+) tensors loaded", log)
    assert taken and int(taken[1]) > 300, "the whole Conformer is taken over"


@pytest.fixture
def on_meta(monkeypatch: pytest.MonkeyPatch) -> None:
    """Build LMs of their true size without weights: shapes only."""
    from transformers import AutoModel, Qwen2Config

    from speechlm.encoders import plm

    shapes = {"0.5B": (1024, 2816), "1.8B": (2048, 5504)}

    def shape_only(auto_class: Any, checkpoint: str, *, dtype: str, attention: str) -> Any:
        dim, ffn = shapes[checkpoint.split("-")[-1]]
        config = Qwen2Config(hidden_size=dim, intermediate_size=ffn, num_hidden_layers=24, num_attention_heads=16,
                             num_key_value_heads=16, vocab_size=151936)  # fmt: skip
        return AutoModel.from_config(config, dtype=getattr(torch, dtype))

    monkeypatch.setattr(plm, "load_pretrained", shape_only)
    monkeypatch.setattr(plm, "rms", lambda values: 1.0)
    monkeypatch.setattr(plm, "reinitialise", lambda model, how, seed: None)
    monkeypatch.setattr(plm.PlmEncoder, "_prove", lambda self: None)


def layer_size(dim: int, ffn: int) -> int:
    """Qwen2 with as many key as query heads: four projections, three biases, three matrices, two norms."""
    return 4 * dim * dim + 3 * dim + 3 * dim * ffn + 2 * dim


@pytest.mark.parametrize(("size", "dim", "ffn"), [("0.5B", 1024, 2816), ("1.8B", 2048, 5504)])
@pytest.mark.usefixtures("on_meta")
def test_trained_and_all_parameters_are_the_closed_form(size: str, dim: int, ffn: int) -> None:
    units, mels, channels = 4233, 80, 256
    convs = 9 * channels + channels + 9 * channels * channels + channels
    front = convs + (channels * mels // 4 + 1) * dim
    head, scale = (dim + 1) * units, dim
    lm = 24 * layer_size(dim, ffn) + dim
    lora = 24 * 16 * (4 * 2 * dim + 3 * (dim + ffn))
    trained = {"frozen": front + scale + head, "full": front + scale + head + lm, "lora": front + scale + head + lora}
    for conf, rows in {"plm_ctc_frozen": "frozen", "plm_ctc_random_frozen": "frozen", "plm_ctc_full": "full",
                       "plm_ctc_random_full": "full", "plm_ctc_lora": "lora"}.items():  # fmt: skip
        values = read_experiment(CONFS / f"{conf}.yaml", [f"--encoder.checkpoint=Qwen/Qwen1.5-{size}"]).values
        with torch.device("meta"):
            found = count_parameters(build_model(values, Facts(num_targets=units)))
        more = lora if rows == "lora" else 0
        assert found == {"trained": trained[rows], "total": front + scale + head + lm + more}, conf
    if size == "0.5B":  # the bottom row has the same front end and head, and nothing else
        with torch.device("meta"):
            found = count_parameters(build_model(read_experiment(CONFS / "conv_ctc.yaml").values, Facts(num_targets=units)))
        assert found["trained"] == found["total"] == front + head


SMALL = ["--encoder.over.dim=16", "--encoder.over.layers=1", "--encoder.over.ffn_dim=16", "--encoder.over.kernel=3"]


@pytest.mark.parametrize("name", FORM_B)
def test_form_b_takes_over_the_trained_encoder_below_the_lm(name: str, tmp_path: Path) -> None:
    """Every tensor of conformer_ctc's encoder arrives below the LM; its head, of another width, does not."""
    from speechlm.io.weights import save_weights

    torch.manual_seed(0)
    below = [word.replace("over.", "") for word in SMALL]
    lower = build_model(read_experiment(CONFS / "conformer_ctc.yaml", below).values, Facts(num_targets=7))
    save_weights(tmp_path / "model.safetensors", lower.state_dict(), {})
    experiment = read_experiment(CONFS / f"{name}.yaml", [*SMALL, f"--encoder.checkpoint={tiny_checkpoint('qwen2')}"])
    model = build_model(experiment.values, Facts(num_targets=7))
    parts = experiment.values["train"]["start_parts"]
    report = load_trained(model, tmp_path, strict=False, only_prefixes=parts)
    assert not report.unexpected and not report.reshaped
    for key, tensor in lower.encoder.state_dict().items():
        assert torch.equal(model.encoder.lower.state_dict()[key], tensor), key
    trained = {key.split(".")[1] for key, p in model.encoder.named_parameters(prefix="encoder") if p.requires_grad}
    frozen = [p for p in model.encoder.upper.model.parameters() if not p.requires_grad]
    assert trained == {"lower", "upper"} and bool(frozen) == name.endswith("frozen")
