"""Weights: what is saved comes back, whole or not at all; the hash follows content only."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from speechlm.core.errors import UserError
from speechlm.io import weights
from speechlm.io.hashes import content_hash
from speechlm.io.weights import load_weights, save_weights
from test.io.limits import largest_file


def test_round_trip(tmp_path: Path) -> None:
    base = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    tensors = {
        "base": base, "tied": base, "part": base[:, :2], "turned": base.T, "scalar": torch.tensor(2.0),
        "half": base.bfloat16(), "whole": torch.tensor([1, 2]), "empty": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(base.clone()),
    }  # fmt: skip
    save_weights(tmp_path / "new" / "w.safetensors", tensors, {"kind": "ctc", "名": "é"})
    found, metadata = load_weights(tmp_path / "new" / "w.safetensors")
    assert metadata == {"kind": "ctc", "名": "é"} and found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor), name
    assert os.listdir(tmp_path / "new") == ["w.safetensors"]


def test_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.safetensors"
    with pytest.raises(UserError, match="no such weights file"):
        load_weights(path)
    save_weights(path, {"a": torch.ones(100)}, {})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match="not a whole safetensors file"):
        load_weights(path)
    before = path.read_bytes()

    def full(tensors: object, place: Path, metadata: object) -> None:
        Path(place).write_bytes(b"half")
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(weights, "save_file", full)
    with pytest.raises(UserError, match="cannot be written: no space is left"):
        save_weights(path, {"a": torch.ones(1)}, {})
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["w.safetensors"]


def test_disk_that_takes_no_more(tmp_path: Path) -> None:
    """The system's real refusal, in the library's real words."""
    path = tmp_path / "w.safetensors"
    what = "w.safetensors: cannot be written: the file is too large"
    with largest_file(10_000), pytest.raises(UserError, match=what):
        save_weights(path, {"a": torch.ones(100_000)}, {})
    assert os.listdir(tmp_path) == []
    os.mkfifo(tmp_path / "pipe")  # the library would put a plain file in its place
    with pytest.raises(UserError, match="not a file"):
        save_weights(tmp_path / "pipe", {"a": torch.ones(1)}, {})
    assert (tmp_path / "pipe").is_fifo()


def test_hash(tmp_path: Path) -> None:
    one = tmp_path / "one"
    save_weights(one / "model.safetensors", {"a": torch.ones(3)}, {})
    (one / "config.json").write_text("{}")
    first = content_hash(one)
    shutil.copytree(one, tmp_path / "two")
    (tmp_path / "two" / "README.md").write_text("not hashed")
    assert content_hash(tmp_path / "two") == first and len(first) == 64
    (tmp_path / "two" / "config.json").write_text("{ }")
    assert content_hash(tmp_path / "two") != first
    (one / "config.json").rename(one / "other.json")
    assert content_hash(one) != first
    assert content_hash(one / "model.safetensors") == content_hash(tmp_path / "two" / "model.safetensors")
    (tmp_path / "empty").mkdir()
    for nothing in (tmp_path / "empty", tmp_path / "none"):
        with pytest.raises(UserError, match="no checkpoint there"):
            content_hash(nothing)
