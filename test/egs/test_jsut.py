"""egs/jsut on the published layout with tiny HuBERT and GPT-NeoX checkpoints: all stages, then adaptation (2312.03668)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from speechlm.bin.main import main
from speechlm.core.errors import UserError
from speechlm.decoding.recognizer import load_recognizer
from speechlm.io.audio import write_wav
from speechlm.io.tables import write_table
from speechlm.io.weights import load_weights
from speechlm.models.restore import restore
from test.corpora.miniature import sound, write
from test.egs.checkpoints import small_gpt_neox
from test.egs.recipe import copy_recipe, run
from test.families.checkpoints import tiny_checkpoint

TEXTS = [
    "水をマレーシアから買わなくてはならないのです。",
    "木曜日、停戦会談は、何の進展もないまま終了しました。",
    "上院議員は私がデータをゆがめたと告発した。",
    "一週間して、そのニュースは本当になった。",
    "血圧は健康のバロメーターとして重要である。",
    "週に四回、フランスの授業があります。",
]
MODEL, ADAPTED = "hubert_ctc_compress_gpt_small", "lora_adapt_small"
SHORT = (
    "--optim.steps 2 --optim.warmup 1 --train.valid_every 2 --train.trial false --train.precision fp32 --data.workers 0"
)


def _corpus(place: Path) -> Path:
    root = place / "jsut_ver1.1/basic5000"
    names = [f"BASIC5000_{i:04d}" for i in range(1, len(TEXTS) + 1)]
    write(root / "transcript_utf8.txt", *(f"{name}:{text}" for name, text in zip(names, TEXTS, strict=True)))
    for i, name in enumerate(names):
        sound(root / f"wav/{name}.wav", rate=48000, seconds=0.4 + 0.1 * i)
    return place


def _target(place: Path) -> Path:
    """A Kaldi directory of another domain, as the owner of CSJ has it."""
    for i, name in enumerate(("train", "dev", "test")):
        (place / name).mkdir(parents=True)
        utt = f"spk{i}-0001"
        write_table(place / name / "wav.scp", {utt: str(sound(place / f"wav/{utt}.wav", seconds=0.5))})
        write_table(place / name / "text", {utt: "えーと会談は終了しました"})
        write_table(place / name / "utt2spk", {utt: f"spk{i}"})
        write_table(place / name / "spk2utt", {f"spk{i}": utt})
    return place


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipe after both scripts; the checkpoints lie two folders above it."""
    place = tmp_path_factory.mktemp("jsut")
    folder = copy_recipe("jsut", place)
    hubert, gpt = tiny_checkpoint("hubert_base", place), small_gpt_neox(place / "gpt", [*TEXTS, "えーと"])
    llm = f"--encoder.checkpoint {hubert} --llm.checkpoint {gpt} {SHORT}"
    output = run(folder, "--corpus_dir", str(_corpus(place / "corpus")), "--num_held_out", "2", "--nj", "1", "--ngpu", "0",
                 "--sets", "test", "--confs", MODEL, "--train_options", llm,
                 "--llm_options", "--bridge.warmup_steps 1 --optim.lr 1e-3")  # fmt: skip
    assert output.count("%WER") == 1
    conf = folder / f"conf/{ADAPTED}.yaml"
    values = yaml.safe_load(conf.read_text(encoding="utf-8"))
    values["bridge"].update(kind="ctc_compress", warmup_steps=1)
    values["text"]["tokens"] = "data/lang_char"
    (folder / "conf/adapt_compress.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    adapted = run(folder, "--target_dir", str(_target(place / "target")), "--start", MODEL, "--conf", "adapt_compress",
                  "--nj", "1", "--ngpu", "0", "--train_options", f"{llm} --optim.lr 1e-1", script="adapt.sh")  # fmt: skip
    (place / "adapt.log").write_text(adapted, encoding="utf-8")
    return folder


def test_target_and_source_are_told_before_and_after(recipe: Path) -> None:
    said, page = (path.read_text(encoding="utf-8") for path in (recipe.parents[2] / "adapt.log", recipe / "RESULTS.md"))
    for text in (said, page):
        rows = [line for line in text.splitlines() if line.startswith(f"| {MODEL} -> adapt_compress")]
        assert [row.split("|")[2].strip() for row in rows] == ["target", "source"]
        assert [row.split("|")[3].strip() for row in rows] == ["target_test", "test"]
    assert "## Error rates" in page and page.count("forgetting: begin") == 1
    before = (recipe / "RESULTS.md").read_text(encoding="utf-8")
    given = ["forgetting", "--before", str(recipe / f"exp/{MODEL}"), "--after", str(recipe / "exp/adapt_compress"),
             "--out", str(recipe / "RESULTS.md"), "--target", "target_test", "--source"]  # fmt: skip
    assert main([*given, "test"]) == 0 and (recipe / "RESULTS.md").read_text(encoding="utf-8") == before
    assert main([*given, "dev"]) == 1, "the source set was not decoded after adaptation: no table without its price"


def test_checkpoints_hold_trained_parameters_and_name_their_bases(recipe: Path) -> None:
    exp = recipe / f"exp/{MODEL}"
    tensors = load_weights(exp / "model.safetensors")[0]
    assert not any("feature_extractor" in name for name in tensors), "the waveform part is frozen"
    assert {name.split(".")[0] for name in tensors} == {"encoder", "bridge", "head", "llm"}
    bases = json.loads((exp / "bases.json").read_text(encoding="utf-8"))
    assert {name: Path(base["checkpoint"]).name for name, base in bases["parts"].items()} == {
        "encoder": "hubert_base", "llm": "gpt"}  # fmt: skip
    assert all(len(base["hash"]) == 64 for base in bases["parts"].values())
    card = json.loads((recipe / "exp/adapt_compress/model.json").read_text(encoding="utf-8"))
    assert card["trained"] == 2 * 8 * ((32 + 96) + (32 + 32)) + sum(
        tensor.numel() for name, tensor in tensors.items() if name.startswith("head.")
    )


def test_adaptation_moves_the_adapters_alone(recipe: Path) -> None:
    start, adapted = (load_weights(recipe / f"exp/{name}/model.safetensors")[0] for name in (MODEL, "adapt_compress"))
    lora = {name for name in adapted if ".lora_" in name}
    assert len(lora) == 2 * 2 * 2 and any(adapted[name].abs().sum() > 0 for name in lora if ".lora_B" in name)
    for name, tensor in adapted.items():
        plain = name.replace(".base_layer.", ".")
        if name not in lora and not name.startswith("head."):
            assert torch.equal(tensor, start[plain]), name


def test_a_wrong_base_or_tokenizer_or_prompt_is_refused(recipe: Path) -> None:
    exp, gpt = recipe / f"exp/{MODEL}", recipe.parents[2] / "gpt"
    load_recognizer(exp, {}, "cpu")
    for name, told in (("model.safetensors", "llm was trained over"), ("tokenizer.json", "trained")):
        kept = (gpt / name).read_bytes()
        changed = (
            kept[:-1] + bytes([kept[-1] ^ 1])
            if name.startswith("model")
            else kept.replace("水".encode(), "氷".encode())
        )
        (gpt / name).write_bytes(changed)
        try:
            with pytest.raises(UserError, match=told):
                load_recognizer(exp, {}, "cpu")
        finally:
            (gpt / name).write_bytes(kept)
    kept = (exp / "options.yaml").read_text(encoding="utf-8")
    (exp / "options.yaml").write_text(kept.replace("<s>{speech}[SEP]", "<s>{speech}"), encoding="utf-8")
    try:
        with pytest.raises(UserError, match="the model was trained with"):
            load_recognizer(exp, {}, "cpu")
    finally:
        (exp / "options.yaml").write_text(kept, encoding="utf-8")


def test_a_tenth_of_a_second_can_be_transcribed(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_wav(tmp_path / "short.wav", np.sin(np.arange(1600) * 0.1).astype(np.float32) * 0.1, 16000)
    capsys.readouterr()
    assert main(["transcribe", str(recipe / f"exp/{MODEL}"), str(tmp_path / "short.wav")]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_peft_alone_loads_the_adapters_over_the_exported_start(recipe: Path, tmp_path: Path) -> None:
    """Base from the start's export, adapters by peft: the states of our model; and the merged export gives the same."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    start, adapted = recipe / f"exp/{MODEL}", recipe / "exp/adapt_compress"
    assert main(["export", str(start), "--llm", str(tmp_path / "base")]) == 0
    assert main(["export", str(adapted), "--adapter", str(tmp_path / "adapter")]) == 0
    assert main(["export", str(adapted), "--llm", str(tmp_path / "merged")]) == 0
    ours, _ = restore(adapted)
    embeds = torch.randn(2, 9, 32, generator=torch.Generator().manual_seed(0))
    alone = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tmp_path / "base"), tmp_path / "adapter")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    with torch.no_grad():
        expected = ours.llm.model(inputs_embeds=embeds).logits
        bare = AutoModelForCausalLM.from_pretrained(tmp_path / "base")(inputs_embeds=embeds).logits
        assert (bare - expected).abs().max() > 1e-4, "the adapters must do something"
        for other in (alone.eval(), merged.eval()):
            torch.testing.assert_close(other(inputs_embeds=embeds).logits, expected, atol=2e-5, rtol=1e-4)


def test_frozen_bridge_is_an_option(recipe: Path) -> None:
    model, values = restore(recipe / "exp/adapt_compress")
    assert values["bridge"]["adapt"] == "frozen" and not any(p.requires_grad for p in model.bridge.parameters())
    assert not model.train().bridge.training


def test_both_conv_bridges_of_the_recipe_are_the_papers(recipe: Path) -> None:
    from speechlm.options import read_experiment

    values = read_experiment(recipe / "conf/hubert_conv_gpt.yaml").values
    assert values["text"]["prompt"] == "<s>{speech}[SEP]{text}</s>"
    assert (values["decode"]["max_tokens_per_second"], values["decode"]["max_tokens_extra"]) == (4.0, 20)
    compress = read_experiment(recipe / "conf/hubert_ctc_compress_gpt.yaml").values
    assert [(loss["kind"], loss["weight"]) for loss in compress["losses"]] == [("lm", 1.0), ("ctc", 0.5)]
