"""2406.17272 as a system: the grid of adaptation, the matching loss in a training, batches without words, and decoding without it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from speechlm.bin.assemble import answer_encoder, make_dataset, make_prompt
from speechlm.bin.main import main
from speechlm.bin.trainer import make_loader, make_losses
from speechlm.core.errors import UserError
from speechlm.data.collate import collate
from speechlm.decoding.recognizer import load_recognizer
from speechlm.io.expdir import ExpDir
from speechlm.io.weights import load_weights, save_weights
from speechlm.losses.matching import MatchingLoss
from speechlm.models.build import Facts, build_model
from speechlm.models.restore import restore
from speechlm.nn.adapt import trainable_parameters
from speechlm.options import read_experiment
from speechlm.text.prompt import Prompt
from speechlm.training.step import Accumulator, LossModel
from test.corpora.miniature import sound, write
from test.data import corpus
from test.families.checkpoints import tiny_checkpoint
from test.paths import ROOT

CONF = ROOT / "egs/librispeech/asr1/conf"


def config(folder: Path) -> dict[str, Any]:
    """hubert_convmlp_vicuna_nset.yaml in small: a HuBERT and a Llama with adapters, matching loss, non-speech."""
    values = yaml.safe_load((CONF / "hubert_convmlp_vicuna_nset.yaml").read_text(encoding="utf-8"))
    values["encoder"] |= {"checkpoint": str(tiny_checkpoint("hubert_large")), "lora": {"rank": 2, "layers": "1-2"}}
    values["llm"] |= {"checkpoint": str(tiny_checkpoint("llama")), "dtype": "float32", "lora": {"rank": 2}}
    values["bridge"]["hidden"] = 16
    values["losses"][1] |= {"attention": "projection", "attention_dim": 8}
    values["losses"][1].pop("temperature")
    values["augment"] |= {"noise": str(folder / "data/nonspeech/wav.scp")}
    values["data"] |= {"train": [f"{folder}/data/train", f"{folder}/data/nonspeech"], "shares": [0, 0.4], "workers": 0,
                       "valid": f"{folder}/data/train", "batch_seconds": 4}  # fmt: skip
    values["optim"] |= {"steps": 4, "warmup": 1}
    values["train"] |= {"valid_every": 2, "precision": "fp32", "start_from": [], "tensorboard": False, "log_every": 1}
    return values


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data to train on, with words and without, and an experiment trained by the command."""
    place = tmp_path_factory.mktemp("p4")
    corpus.make(place / "data/train", feats=False)
    sounds = [f"{sound(place / f'{name}.wav', seconds=2.5)}" for name in "abc"]
    write(place / "noise.scp", *(f"{name} {path}" for name, path in zip("abc", sounds)))
    words = ["nonspeech", "--noise_scp", f"{place}/noise.scp", "--out", f"{place}/data/nonspeech", "--seconds", "1-2"]
    assert main(words) == 0
    (place / "nset.yaml").write_text(yaml.safe_dump(config(place)), encoding="utf-8")
    assert main(["train", "--config", f"{place}/nset.yaml", "--out", f"{place}/exp/nset"]) == 0
    return place


def test_a_picture_of_the_attention_at_each_validation(folder: Path) -> None:
    plots = folder / "exp/nset/plots"
    assert [path.name for path in sorted((plots / "matching").iterdir())] == ["step-0000002.png", "step-0000004.png"]
    assert (plots / "matching.png").read_bytes() == (plots / "matching/step-0000004.png").read_bytes()
    rows = [json.loads(line) for line in (folder / "exp/nset/metrics.jsonl").read_text().splitlines()]
    trained = [row for row in rows if row["kind"] == "train"]
    assert all(row["loss_matching"] >= 0 for row in trained)
    assert any(0 < row["matching_entropy"] <= row["matching_entropy_uniform"] + 1e-5 for row in trained)


def test_decoding_cannot_reach_the_loss(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its weights go with the checkpoints only; what comes back has none, and the search runs though the loss would raise."""
    own = {"losses.matching.query.weight", "losses.matching.key.weight"}
    checkpoint = load_weights(folder / "exp/nset/checkpoints/step-4/trained.safetensors")[0]
    assert own <= set(checkpoint)
    place = folder / "exp/nset/model.safetensors"
    weights, meta = load_weights(place)
    save_weights(place, {**weights, **{name: checkpoint[name] for name in own}}, meta)  # even if they were there
    for name in ("forward", "weights", "maps", "__init__"):
        monkeypatch.setattr(MatchingLoss, name, None)
    model, values = restore(folder / "exp/nset")
    assert not any("losses" in name or "matching" in name for name, _ in model.named_parameters())
    assert not any(isinstance(module, MatchingLoss) for module in model.modules())
    recognizer, _ = load_recognizer(folder / "exp/nset", {})
    data = make_dataset(folder / "data/train", values, ExpDir(folder / "exp/nset"), training=False)
    found = recognizer.recognize(collate([data.read(index, 0) for index in range(2)]))
    assert [len(nbest) for nbest in found] == [1, 1]


def test_only_empty_transcripts_teach_the_end_and_nothing_else(folder: Path) -> None:
    exp = ExpDir(folder / "exp/nset")
    model, values = restore(exp.path)
    prompt, tokenizer = make_prompt(values)
    data = make_dataset(
        folder / "data/nonspeech", values, exp, training=True, encode_answer=answer_encoder(tokenizer, prompt)
    )
    batch = collate([data.read(index, 0) for index in range(3)])
    assert batch.texts == [""] * 3 and batch.answers is not None
    assert batch.answers.lens.tolist() == [len(prompt.end)] * 3
    losses = make_losses(values, model, exp)
    module = LossModel(model, losses).train()
    parameters = [p for p in module.parameters() if p.requires_grad]
    steps = Accumulator(module, losses, torch.device("cpu"), "fp32")
    optimizer = torch.optim.Adam(parameters, lr=0.03)
    means = []
    for _ in range(60):
        result = steps.run([batch], parameters)
        assert result.counts.tolist() == [3.0, 0.0] and result.sums[1] == 0
        assert "matching_entropy" not in result.notes
        gradients = [p.grad for p in model.bridge.parameters()]
        assert all(g is not None and g.isfinite().all() for g in gradients) and any(g.any() for g in gradients)
        means.append(result.means[0].item())
        optimizer.step()
        optimizer.zero_grad()
    assert means[-1] < 0.9 * means[0]


def test_the_share_of_sound_without_words(folder: Path) -> None:
    values, exp = restore(folder / "exp/nset")[1], ExpDir(folder / "exp/nset")
    sets = [make_dataset(name, values, exp, training=True) for name in values["data"]["train"]]
    loader = make_loader(sets, values, shuffle=True)
    chosen = loader.dataset.choose(3)
    speech = len(sets[0])
    assert (chosen >= speech).sum() == round(0.4 * speech / 0.6) and (chosen < speech).sum() == speech
    values["data"]["shares"] = [0.1]
    with pytest.raises(UserError, match=r"^data\.shares: has 1 values for 2 directories"):
        make_loader(sets, values, shuffle=True)


def sizes(module: nn.Module) -> int:
    return sum(trainable_parameters(module).values())


@pytest.mark.parametrize("encoder", ["frozen", "lora", "full"])
@pytest.mark.parametrize("llm", ["frozen", "lora", "full"])
def test_the_grid_runs_by_yaml(folder: Path, encoder: str, llm: str) -> None:
    """All nine cells from one file by overrides, as run_llm.sh --grid does; the bridge is trained in each."""
    base = config(folder)
    for part in ("encoder", "llm"):
        base[part].pop("lora")
    (folder / "grid.yaml").write_text(yaml.safe_dump(base), encoding="utf-8")
    words = ["--encoder.adapt", encoder, "--llm.adapt", llm]
    if encoder == "lora":
        words += ["--encoder.lora.rank", "2", "--encoder.lora.layers", "1-2"]
    if llm == "lora":
        words += ["--llm.lora.rank", "2", "--llm.lora.alpha", "16"]
    values = read_experiment(folder / "grid.yaml", words).values
    prompt, tokenizer = make_prompt(values)
    model = build_model(values, Facts(prompt=prompt))
    everything = sum(p.numel() for p in model.encoder.parameters())
    convolutions = sum(p.numel() for p in model.encoder.model.feature_extractor.parameters())
    mask = model.encoder.model.masked_spec_embed.numel() if hasattr(model.encoder.model, "masked_spec_embed") else 0
    assert (
        sizes(model.encoder)
        == {"frozen": 0, "lora": 2 * 4 * 2 * (16 + 16), "full": everything - convolutions - mask}[encoder]
    )
    whole = sum(p.numel() for p in model.llm.parameters())
    assert sizes(model.llm) == {"frozen": 0, "lora": 3 * 4 * 2 * (32 + 32), "full": whole}[llm]
    assert sizes(model.bridge) == sum(p.numel() for p in model.bridge.parameters())
    exp = ExpDir(folder / "exp/nset")
    data = make_dataset(
        folder / "data/train", values, exp, training=True, encode_answer=answer_encoder(tokenizer, prompt)
    )
    losses = make_losses(values, model, exp)
    module = LossModel(model, losses).train()
    batch = collate([data.read(index, 0) for index in range(2)])
    Accumulator(module, losses, torch.device("cpu"), "fp32").run([batch], [])
    unreached = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert unreached == []


def test_closed_forms_of_the_paper_through_the_recipes_yaml(monkeypatch: pytest.MonkeyPatch) -> None:
    """655,360 in HuBERT-large, 16,777,216 in Vicuna-7B, 15.74 M between them: from the YAML by the build, on meta tensors."""
    from transformers import HubertConfig, HubertModel, LlamaConfig, LlamaForCausalLM

    def hubert(*_: Any, **__: Any) -> nn.Module:
        with torch.device("meta"):
            return HubertModel(HubertConfig(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096,
                                            feat_extract_norm="layer", do_stable_layer_norm=True))  # fmt: skip

    def vicuna(*_: Any, **__: Any) -> nn.Module:
        with torch.device("meta"):
            # 64 words instead of 32,000: adapters do not depend on them, and their table is asked for its size.
            model = LlamaForCausalLM(LlamaConfig(hidden_size=4096, intermediate_size=11008, num_hidden_layers=32,
                                                 num_attention_heads=32, vocab_size=64))  # fmt: skip
        model.set_input_embeddings(nn.Embedding(64, 4096))
        return model

    monkeypatch.setattr("speechlm.encoders.ssl.load_pretrained", hubert)
    monkeypatch.setattr("speechlm.encoders.ssl._wants_normal", lambda *_: True)
    monkeypatch.setattr("speechlm.llms.causal.load_pretrained", vicuna)
    monkeypatch.setattr("speechlm.llms.causal.check_reachable", lambda _: None)
    values = read_experiment(CONF / "hubert_convmlp_vicuna_lora_both.yaml").values
    model = build_model(values, Facts(prompt=Prompt([1], [5], [2])))
    assert sizes(model.encoder) == 655_360
    assert sizes(model.llm) == 16_777_216
    bridge = 5 * 1024 * 1024 + 1024 + 1024 * 2048 + 2048 + 2048 * 4096 + 4096
    assert sizes(model.bridge) == bridge and round(bridge / 1e6, 2) == 15.74
