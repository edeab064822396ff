from __future__ import annotations

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModel

from speechlm.core.errors import UserError
from speechlm.nn.pretrained import load_pretrained, transformer_layers, weights_hash
from test.families.checkpoints import SPEECH, TEXT, tiny_checkpoint


@pytest.mark.parametrize("kind", [*SPEECH, *TEXT])
def test_layers_are_found_in_every_architecture(kind):
    model = load_pretrained(AutoModel, str(tiny_checkpoint(kind)), dtype="float32", attention="auto")
    if kind == "whisper":
        model = model.encoder
    assert len(transformer_layers(model)) == (2 if kind == "whisper" else 3)


def test_a_model_without_layers_is_refused():
    with pytest.raises(UserError, match="Linear: has no transformer layers"):
        transformer_layers(nn.Linear(2, 2))


@pytest.mark.parametrize("name", ["/no/such/folder", "a/b/c", "./x"])
def test_a_missing_folder_is_told(name):
    with pytest.raises(UserError, match=f"checkpoint '{name}': no such folder"):
        load_pretrained(AutoModel, name, dtype="auto", attention="sdpa")


def test_a_folder_that_is_none_is_told(tmp_path):
    with pytest.raises(UserError, match="cannot be loaded"):
        load_pretrained(AutoModel, str(tmp_path), dtype="auto", attention="sdpa")


def test_pickled_weights_are_not_read(tmp_path):
    folder = tmp_path / "pickled"
    shutil.copytree(tiny_checkpoint("llama"), folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match="cannot be loaded"):
        load_pretrained(AutoModel, str(folder), dtype="auto", attention="sdpa")


def test_missing_weights_are_refused(tmp_path):
    folder = tmp_path / "holes"
    shutil.copytree(tiny_checkpoint("llama"), folder)
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.self_attn.q_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"1 tensors \(layers.1.self_attn.q_proj.weight ...\) have no weights"):
        load_pretrained(AutoModel, str(folder), dtype="auto", attention="sdpa")


def test_dtype_is_honoured():
    model = load_pretrained(AutoModel, str(tiny_checkpoint("llama")), dtype="bfloat16", attention="sdpa")
    assert model.layers[0].mlp.up_proj.weight.dtype == torch.bfloat16


def test_hash_sees_every_value_name_and_type():
    module = nn.Linear(3, 2)
    first = weights_hash(module)
    assert weights_hash(module) == first
    with torch.no_grad():
        module.bias[1] += 1e-6
    second = weights_hash(module)
    assert second != first
    assert weights_hash(module.bfloat16()) not in (first, second)
    assert weights_hash(nn.Sequential(nn.Linear(3, 2))) != weights_hash(nn.Linear(3, 2))
