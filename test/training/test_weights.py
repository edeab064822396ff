"""Which weights are saved, what loading reports, and averages."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from speechlm.core.errors import UserError
from speechlm.io.weights import save_weights
from speechlm.training.weights import average, collect, count_parameters, load_trained, trained_tensors, weight_files


class Model(nn.Module):
    """A frozen encoder with its own buffer, a trained bridge with a batch norm, a tied pair."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)).requires_grad_(False)
        self.bridge = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, affine=False))
        self.bridge.register_buffer("table", torch.ones(2), persistent=False)
        self.embed = nn.Embedding(5, 4)
        self.head = nn.Linear(4, 5, bias=False)
        self.head.weight = self.embed.weight


TRAINED = {
    "bridge.0.weight", "bridge.0.bias", "bridge.1.running_mean", "bridge.1.running_var", "bridge.1.num_batches_tracked",
    "embed.weight",
}  # fmt: skip


def test_trained_tensors_and_their_buffers_only() -> None:
    assert set(trained_tensors(Model())) == TRAINED
    assert count_parameters(Model()) == {"trained": 12 + 4 + 20, "total": 12 + 4 + 20 + 12 + 6}


def save(folder: Path, model: nn.Module, name: str = "model.safetensors") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(folder / name, collect(trained_tensors(model)), {})
    return folder


def test_loads_what_was_saved(tmp_path: Path) -> None:
    torch.manual_seed(0)
    one, other = Model(), Model()
    report = load_trained(other, save(tmp_path / "exp", one))
    assert set(report.loaded) == TRAINED and not report.missing and not report.unexpected
    assert torch.equal(one.head.weight, other.head.weight)
    assert not torch.equal(one.encoder[0].weight, other.encoder[0].weight)


def test_strict_names_what_does_not_fit(tmp_path: Path) -> None:
    one = Model()
    tensors = collect(trained_tensors(one))
    del tensors["bridge.0.bias"]
    tensors["ghost"] = torch.zeros(1)
    tensors["embed.weight"] = torch.zeros(6, 4)
    save_weights(tmp_path / "w.safetensors", tensors, {})
    with pytest.raises(UserError) as error:
        load_trained(Model(), tmp_path / "w.safetensors")
    for piece in ("bridge.0.bias", "ghost", "embed.weight: (6, 4) in the file, (5, 4) in the model"):
        assert piece in str(error.value)
    report = load_trained(Model(), tmp_path / "w.safetensors", strict=False)
    assert report.missing == ["bridge.0.bias"] and report.unexpected == ["ghost"] and len(report.reshaped) == 1


def test_only_some_parts(tmp_path: Path) -> None:
    folder = save(tmp_path / "exp", Model())
    report = load_trained(Model(), folder, strict=False, only_prefixes=["embed"])
    assert report.loaded == ["embed.weight"] and not report.missing
    with pytest.raises(UserError, match="nothing of it fits"):
        load_trained(Model(), folder, strict=False, only_prefixes=["emb"])


def test_finds_the_layer_under_its_lora_wrapper(tmp_path: Path) -> None:
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            inner = nn.Module()
            inner.base_layer = nn.Linear(3, 3)
            self.encoder = nn.ModuleDict({"base_model": nn.ModuleDict({"model": nn.ModuleDict({"q": inner})})})

    plain = nn.ModuleDict({"encoder": nn.ModuleDict({"q": nn.Linear(3, 3)})})
    wrapped = Wrapped()
    report = load_trained(wrapped, save(tmp_path / "exp", plain), strict=False)
    assert len(report.loaded) == 2
    assert torch.equal(wrapped.encoder["base_model"]["model"]["q"].base_layer.weight, plain["encoder"]["q"].weight)


def test_parameters_of_losses_do_not_disturb_decoding(tmp_path: Path) -> None:
    model = Model()
    save_weights(tmp_path / "w.safetensors", {**collect(trained_tensors(model)), "losses.x.scale": torch.ones(2)}, {})
    assert not load_trained(Model(), tmp_path / "w.safetensors").unexpected


def test_places_of_weights(tmp_path: Path) -> None:
    step = save(tmp_path / "checkpoints" / "step-4", Model(), "trained.safetensors")
    assert weight_files(step) == [step / "trained.safetensors"]
    save_weights(step.parent / "carried.safetensors", {"encoder.0.weight": torch.ones(3, 3)}, {})
    assert weight_files(step) == [step.parent / "carried.safetensors", step / "trained.safetensors"]
    model = Model()
    load_trained(model, step)
    assert torch.equal(model.encoder[0].weight, torch.ones(3, 3))
    with pytest.raises(UserError, match="train first"):
        weight_files(tmp_path)


def test_average_is_the_mean_and_counters_are_the_last(tmp_path: Path) -> None:
    files = []
    for i, value in enumerate((1.0, 2.0, 6.0)):
        files.append(tmp_path / f"{i}.safetensors")
        tensors = {
            "a": torch.full((2,), value),
            "n": torch.tensor(i),
            "h": torch.full((2,), value, dtype=torch.bfloat16),
        }
        save_weights(files[-1], tensors, {})
    mean = average(files)
    assert mean["a"].tolist() == [3.0, 3.0] and mean["a"].dtype == torch.float32
    assert int(mean["n"]) == 2 and mean["n"].dtype == torch.int64
    assert mean["h"].tolist() == [3.0, 3.0] and mean["h"].dtype == torch.bfloat16
    save_weights(tmp_path / "other.safetensors", {"b": torch.zeros(1)}, {})
    with pytest.raises(UserError, match="one training"):
        average([files[0], tmp_path / "other.safetensors"])
