"""The whole loop on a tiny model: it learns, keeps what it should, goes on, and ends with the right weights."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from speechlm.core.errors import UserError
from speechlm.io.weights import load_weights
from speechlm.training.checkpoint import Checkpoints
from speechlm.training.optim import OptimOptions
from speechlm.training.parallel import blocks
from speechlm.training.weights import average, load_trained
from test.training.toy import Toy, ToyModel


def rows(folder: Path, kind: str) -> list[dict[str, Any]]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["kind"] == kind]


def test_learns_and_leaves_everything(tmp_path: Path) -> None:
    toy = Toy(tmp_path, steps=40, dropout=0.0, batch_seconds=4.0, optim=OptimOptions(lr=0.03, steps=40, warmup=3))
    toy = toy.but(valid_every=10, save_every=0, tensorboard=True, trial=True, keep=1)
    drawn: list[Path] = []
    trainer = toy.trainer(
        validate=lambda model: {"error": float(model.training)}, plot=drawn.append, meta={"prompt": "p"}
    )
    result = trainer.run()
    assert result.finished and result.step == 40
    valid = rows(tmp_path, "valid")
    assert valid[-1]["loss"] < 0.5 * valid[0]["loss"]
    assert valid[-1]["error"] == 0.0, "validated in evaluation mode"
    assert trainer.loss_model.training and drawn == [tmp_path / "metrics.jsonl"] * 4
    checkpoints = tmp_path / "checkpoints"
    assert (checkpoints / "latest").read_text() == "step-40\n"
    best = sorted(valid, key=lambda row: row["loss"])[:2]
    assert (checkpoints / "best").read_text() == f"step-{best[0]['step']}\n"
    assert set(Checkpoints(checkpoints).steps()) == {40} | {row["step"] for row in best}
    card = json.loads((tmp_path / "model.json").read_text())
    assert (card["trained"], card["total"], card["prompt"]) == (268, 340, "p")
    assert rows(tmp_path, "final")[0]["loss"] == card["metrics"]["loss"] == result.metrics["loss"]
    assert list((tmp_path / "tensorboard").iterdir())
    manifest = json.loads((checkpoints / "step-40" / "meta.json").read_text())["parameters"]
    assert manifest["head.weight"] == ["float32", [4, 8]] and "frozen.weight" not in manifest


def test_final_model_is_the_mean_of_the_best_or_the_single_best(tmp_path: Path) -> None:
    for steps in (8, 40):
        toy = Toy(tmp_path / str(steps), steps=steps, dropout=0.0).but(average=3, keep=9, save_every=0)
        toy.trainer().run()
        card = json.loads((toy.folder / "model.json").read_text())
        valid = sorted(rows(toy.folder, "valid"), key=lambda row: row["loss"])
        assert card["steps"] in ([row["step"] for row in valid[:3]], [valid[0]["step"]])
        assert card["metrics"]["loss"] <= valid[0]["loss"] + 1e-6
        files = [toy.folder / "checkpoints" / f"step-{step}" / "trained.safetensors" for step in card["steps"]]
        model, mean = load_weights(toy.folder / "model.safetensors")[0], average(files)
        del mean["losses.frame.scale"]  # a loss's own parameter trains, and has no place in what decodes
        assert all(torch.equal(model[name], mean[name]) for name in mean) and len(model) == len(mean)


def test_loading_the_final_model_gives_its_outputs(tmp_path: Path) -> None:
    trainer = Toy(tmp_path, steps=8).trainer()
    trainer.run()
    other = ToyModel()
    load_trained(other, tmp_path)
    mine, theirs = dict(trainer.loss_model.model.state_dict()), other.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine if not name.startswith("frozen"))


def test_bits_are_the_same_when_stopped_at_every_save(tmp_path: Path) -> None:
    """Goes on from a copy of each checkpoint; the losses of all steps agree."""
    whole = Toy(tmp_path / "whole", steps=12)
    whole.trainer().run()
    parts = Toy(tmp_path / "parts", steps=12)
    for end in (3, 7, 8, 12):
        # The schedule needs the whole length; the training ends when asked, after step `end`.
        trainer = parts.trainer()
        step_of = trainer._step

        def step(number: int, *args: Any, step_of: Any = step_of, end: int = end, **given: Any) -> Any:
            result = step_of(number, *args, **given)
            result.stop = number == end
            return result

        trainer._step = step  # type: ignore[method-assign]
        assert trainer.run().finished == (end == 12)
    one, other = (load_weights(toy.folder / "model.safetensors")[0] for toy in (whole, parts))
    assert all(torch.equal(one[name], other[name]) for name in one)
    losses = [[(row["step"], row["loss"]) for row in rows(toy.folder, "train")] for toy in (whole, parts)]
    assert losses[0] == losses[1] and len(losses[0]) == 12


def test_workers_and_validation_do_not_change_the_weights(tmp_path: Path) -> None:
    plain = Toy(tmp_path / "plain", steps=6).but(average=1, save_every=0)
    plain.trainer().run()
    other = replace(plain, folder=tmp_path / "other", workers=2).but(valid_every=1, trial=True)
    other.trainer().run()
    names = [toy.folder / "checkpoints" / "step-6" / "trained.safetensors" for toy in (plain, other)]
    one, two = (load_weights(name)[0] for name in names)
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_start_from_and_what_it_brings_into_frozen_parts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = Toy(tmp_path / "first", steps=4)
    first.trainer().run()
    weights = load_weights(first.folder / "model.safetensors")[0]
    model = ToyModel()
    model.encoder.requires_grad_(False)
    second = Toy(tmp_path / "second", steps=4).but(start_from=[str(first.folder)], start_parts=["encoder", "head"])
    with caplog.at_level(logging.INFO):
        second.trainer(model=model).run()
    assert "6 tensors loaded" in caplog.text
    made = load_weights(second.folder / "model.safetensors")[0]
    for name in ("encoder.0.0.weight", "encoder.1.0.bias"):
        assert torch.equal(made[name], weights[name]), "decoding needs the frozen encoder, too"
    assert not torch.equal(made["head.weight"], weights["head.weight"])
    checkpoint = second.folder / "checkpoints" / "step-4" / "trained.safetensors"
    assert "encoder.0.0.weight" not in load_weights(checkpoint)[0]
    # Going on does not need the first experiment any more.
    (first.folder / "model.safetensors").unlink()
    again = ToyModel()
    again.encoder.requires_grad_(False)
    replace(second, steps=6).trainer(model=again).run()
    assert torch.equal(again.encoder[0][0].weight, weights["encoder.0.0.weight"])


def test_renamed_names_must_be_there(tmp_path: Path) -> None:
    first = Toy(tmp_path / "first", steps=2)
    first.trainer().run()
    start = {"start_from": [str(first.folder)], "start_parts": ["encoder", "head"]}
    Toy(tmp_path / "second", steps=2).but(start_names=["head=head"], **start).trainer().run()
    with pytest.raises(UserError, match=r"train.start_names: ear=encoder: no such name in .*first"):
        Toy(tmp_path / "third", steps=2).but(start_names=["ear=encoder"], **start).trainer().run()
    with pytest.raises(UserError, match="train.start_from, which is empty"):
        Toy(tmp_path / "fourth", steps=2).but(start_names=["encoder=encoder"]).trainer().run()


def test_recomputed_activations_give_the_same_weights(tmp_path: Path) -> None:
    for name, recompute in (("kept", False), ("again", True)):
        trainer = Toy(tmp_path / name, steps=4).but(recompute=recompute).trainer()
        assert len(blocks(trainer.loss_model)) == 2
        trainer.run()
    one, two = (load_weights(tmp_path / name / "model.safetensors")[0] for name in ("kept", "again"))
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-5, atol=1e-6)


def test_bf16_trains_and_keeps_fp32_weights(tmp_path: Path) -> None:
    toy = Toy(tmp_path, steps=30, dropout=0.0).but(precision="bf16", accumulate=2)
    toy.trainer().run()
    valid = rows(tmp_path, "valid")
    assert valid[-1]["loss"] < valid[0]["loss"]
    assert all(
        t.dtype in (torch.float32, torch.int64) for t in load_weights(tmp_path / "model.safetensors")[0].values()
    )


def test_patience_stops_early_and_stays_stopped(tmp_path: Path) -> None:
    values = iter([1.0, 0.5, 0.7, 0.6, 0.9, *[0.8] * 9])
    toy = Toy(tmp_path, steps=100).but(valid_every=2, patience=2, metric="error", average=1)
    assert toy.trainer(validate=lambda model: {"error": next(values)}).run().step == 8
    assert json.loads((tmp_path / "model.json").read_text())["steps"] == [4]
    assert toy.trainer(validate=lambda model: {"error": next(values)}).run().step == 8


def test_without_validation_the_last_ones_are_averaged(tmp_path: Path) -> None:
    trainer = Toy(tmp_path, steps=8).but(average=3, keep=1).trainer()
    trainer.valid = None
    assert trainer.run().metrics == {}
    assert json.loads((tmp_path / "model.json").read_text())["steps"] == [8, 6, 4]


def test_other_trained_parts_are_refused(tmp_path: Path) -> None:
    Toy(tmp_path, steps=4).trainer().run()
    model = ToyModel()
    model.frozen.requires_grad_(True)
    with pytest.raises(UserError, match=r"not in the file \(frozen\.weight, frozen\.bias\)"):
        Toy(tmp_path, steps=8).trainer(model=model).run()


def test_parts_without_gradient_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = ToyModel()
    model.forgotten = nn.Linear(2, 2)
    Toy(tmp_path, steps=1).but(trial=True).trainer(model=model).run()
    assert "forgotten.weight" in caplog.text and "no gradient" in caplog.text


def test_says_what_cannot_be_trained(tmp_path: Path) -> None:
    frozen = ToyModel().requires_grad_(False)
    toy = Toy(tmp_path, losses=1)
    with pytest.raises(UserError, match="nothing to train"):
        toy.trainer(model=frozen)
    with pytest.raises(UserError, match="torchrun"):
        toy.but(parallel="fsdp").trainer()
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="no GPU"):
            toy.but(device="cuda").trainer()


def test_lr_scale_reaches_the_part_by_its_name(tmp_path: Path) -> None:
    options = OptimOptions(
        lr=0.05, steps=4, schedule="constant", lr_scale={"encoder": 0.0, "losses.frame": 0.0}, weight_decay=0.0
    )
    trainer = replace(Toy(tmp_path, steps=4), optim=options).trainer()
    before = {name: p.detach().clone() for name, p in trainer.loss_model.named_parameters()}
    trainer.run()
    moved = {
        n.removeprefix("model.") for n, p in trainer.loss_model.named_parameters() if not torch.equal(p, before[n])
    }
    assert {"head.weight", "head.bias"} <= moved
    assert not [name for name in moved if name.startswith(("encoder", "frozen", "losses"))]
