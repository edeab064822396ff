"""pytorch_model.bin to safetensors: the same model afterwards, nothing run, nothing half-written."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForCausalLM, HubertModel

from speechlm.bin import to_safetensors
from speechlm.bin.main import main
from speechlm.core.errors import UserError
from speechlm.io.pickled import convert
from speechlm.nn.pretrained import load_pretrained
from test.families.checkpoints import tiny_checkpoint

LIMIT = 1 << 30


def pickled(
    kind: str, place: Path, *, shards: int = 1, legacy: bool = False, rename: tuple[str, str] | None = None
) -> Path:
    """Give a copy of a tiny checkpoint as it was published years ago: torch.save, whole or with an index."""
    shutil.copytree(tiny_checkpoint(kind), place)
    state = load_file(place / "model.safetensors")
    (place / "model.safetensors").unlink()
    if rename:
        state = {name.replace(*rename): tensor for name, tensor in state.items()}
    names = sorted(state)
    if shards == 1:
        torch.save(state, place / "pytorch_model.bin", _use_new_zipfile_serialization=not legacy)
        return place
    where = {name: f"pytorch_model-{n % shards + 1:05d}-of-{shards:05d}.bin" for n, name in enumerate(names)}
    for file in set(where.values()):
        torch.save({name: state[name] for name in names if where[name] == file}, place / file)
    (place / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
    return place


@pytest.mark.parametrize(("shards", "limit"), [(1, LIMIT), (3, LIMIT), (1, 20_000), (3, 20_000)])
def test_llama_gives_the_same_outputs(tmp_path: Path, shards: int, limit: int) -> None:
    source = pickled("llama", tmp_path / "old", shards=shards)
    names = convert(source, tmp_path / "new", max_shard_bytes=limit)
    assert (len(names) > 1) == (limit < LIMIT)
    assert all((tmp_path / "new" / name).stat().st_size < limit + 10_000 for name in names)
    new = load_pretrained(AutoModelForCausalLM, str(tmp_path / "new"), dtype="float32", attention="eager")
    old = AutoModelForCausalLM.from_pretrained(tiny_checkpoint("llama"), attn_implementation="eager")
    ids = torch.arange(12).reshape(2, 6)
    with torch.no_grad():
        assert torch.equal(new(ids).logits, old(ids).logits)
    assert not [name for name in os.listdir(tmp_path / "new") if name.endswith((".bin", ".bin.index.json"))]
    for name in ("config.json", "tokenizer.json"):
        assert (tmp_path / "new" / name).read_bytes() == (source / name).read_bytes()


@pytest.mark.parametrize("legacy", [False, True])
def test_hubert_with_the_names_of_its_time(tmp_path: Path, legacy: bool) -> None:
    """HuBERT-large-ll60k has weight_g and weight_v, which transformers renames when it loads; both formats of torch.save."""
    source = pickled(
        "hubert_large", tmp_path / "old", legacy=legacy, rename=("parametrizations.weight.original0", "weight_g")
    )
    state = torch.load(source / "pytorch_model.bin", weights_only=True)
    state = {name.replace("parametrizations.weight.original1", "weight_v"): state[name] for name in state}
    torch.save(state, source / "pytorch_model.bin", _use_new_zipfile_serialization=not legacy)
    assert any(name.endswith("weight_g") for name in state) and any(name.endswith("weight_v") for name in state)
    convert(source, tmp_path / "new", max_shard_bytes=LIMIT)
    new = load_pretrained(AutoModel, str(tmp_path / "new"), dtype="float32", attention="eager").eval()
    old = HubertModel.from_pretrained(tiny_checkpoint("hubert_large"), attn_implementation="eager").eval()
    wave = torch.randn(2, 4000, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(new(wave).last_hidden_state, old(wave).last_hidden_state)


def test_tensors_that_share_memory(tmp_path: Path) -> None:
    source = pickled("llama", tmp_path / "old")
    table = torch.randn(50, 8)
    state = {"tied": table, "head": table, "part": table[3:5], "turned": table.t(), "half": table.bfloat16()}
    torch.save(state, source / "pytorch_model.bin")
    convert(source, tmp_path / "new", max_shard_bytes=LIMIT)
    found = load_file(tmp_path / "new/model.safetensors")
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) and found[name].dtype == state[name].dtype for name in state)


class Evil:
    """What pickle would run."""

    def __reduce__(self) -> tuple:
        return os.mkdir, ("owned",)


def test_a_pickle_with_code_is_refused_and_nothing_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    source = pickled("llama", tmp_path / "old")
    for save in (
        lambda path: torch.save({"a": Evil()}, path),
        lambda path: path.write_bytes(pickle.dumps({"a": Evil()}, 2)),
    ):
        save(source / "pytorch_model.bin")
        assert main(["to_safetensors", str(source), "--out", "new"]) == 1
        error = capsys.readouterr().err
        assert error.startswith(f"speechlm to_safetensors: {source}/pytorch_model.bin: refused: more than tensors")
        assert error.count("\n") == 1 and "mkdir" in error
        assert not (tmp_path / "owned").exists() and os.listdir(tmp_path) == ["old"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "cut short|refused"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"no weights at all", "cut short|refused"),
    ],
)
def test_files_that_are_no_weights(tmp_path: Path, content: bytes, why: str) -> None:
    source = pickled("llama", tmp_path / "old")
    (source / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(UserError, match=why) as caught:
        convert(source, tmp_path / "new", max_shard_bytes=LIMIT)
    assert "\n" not in str(caught.value) and not (tmp_path / "new").exists()


def test_a_file_cut_short(tmp_path: Path) -> None:
    source = pickled("llama", tmp_path / "old")
    whole = (source / "pytorch_model.bin").read_bytes()
    (source / "pytorch_model.bin").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="pytorch_model.bin: "):
        convert(source, tmp_path / "new", max_shard_bytes=LIMIT)
    assert os.listdir(tmp_path) == ["old"]


def test_what_is_no_checkpoint_is_told(tmp_path: Path) -> None:
    source = pickled("llama", tmp_path / "old")
    torch.save({"a": torch.zeros(2), "step": 3}, source / "pytorch_model.bin")
    with pytest.raises(UserError, match="'step' is a int, not a tensor"):
        convert(source, tmp_path / "new", max_shard_bytes=LIMIT)
    torch.save([torch.zeros(2)], source / "pytorch_model.bin")
    with pytest.raises(UserError, match="holds a list"):
        convert(source, tmp_path / "new", max_shard_bytes=LIMIT)
    (source / "pytorch_model.bin").unlink()
    with pytest.raises(UserError, match=r"neither pytorch_model\.bin nor"):
        convert(source, tmp_path / "new", max_shard_bytes=LIMIT)
    with pytest.raises(UserError, match="holds safetensors, use it as it is"):
        convert(tiny_checkpoint("llama"), tmp_path / "new", max_shard_bytes=LIMIT)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    with pytest.raises(UserError, match="is there already"):
        convert(source, tmp_path / "full", max_shard_bytes=LIMIT)
    (source / "config.json").unlink()
    with pytest.raises(UserError, match=r"no config\.json"):
        convert(source, tmp_path / "new", max_shard_bytes=LIMIT)


def test_an_index_that_does_not_fit(tmp_path: Path) -> None:
    source = pickled("llama", tmp_path / "old", shards=2)
    index = source / "pytorch_model.bin.index.json"
    good = json.loads(index.read_text())["weight_map"]
    first, last = min(good), max(good)
    for changed, why in (
        ({**good, first: good[last], last: good[first]}, "says that .* holds"),
        ({**good, first: "../../pytorch_model.bin"}, "not the name of a .bin file"),
        ({**good, first: "pytorch_model-00003-of-00003.bin"}, "no such file"),
    ):
        index.write_text(json.dumps({"weight_map": changed}))
        with pytest.raises(UserError, match=why):
            convert(source, tmp_path / "new", max_shard_bytes=LIMIT)
    index.write_text("[]")
    with pytest.raises(UserError, match="not an index"):
        convert(source, tmp_path / "new", max_shard_bytes=LIMIT)
    index.write_text(json.dumps({"weight_map": good}))
    twice = torch.load(source / good[first], weights_only=True)
    torch.save({**torch.load(source / good[last], weights_only=True), first: twice[first]}, source / good[last])
    if good[first] != good[last]:
        with pytest.raises(UserError, match="stands in another file too"):
            convert(source, tmp_path / "new", max_shard_bytes=LIMIT)


def test_the_command_and_the_loader_that_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = pickled("llama", tmp_path / "old")
    with pytest.raises(UserError, match=f"speechlm to_safetensors {source} --out FOLDER"):
        load_pretrained(AutoModelForCausalLM, str(source), dtype="auto", attention="sdpa")
    assert main(["to_safetensors", str(source), "--out", str(tmp_path / "new"), "--max_shard_gib", "1e-5"]) == 0
    assert "model-00001-of-" in capsys.readouterr().out
    assert main(["to_safetensors", str(source), "--out", str(tmp_path / "x"), "--max_shard_gib", "0"]) == 1
    assert main(["to_safetensors", str(tmp_path / "none"), "--out", str(tmp_path / "x")]) == 1
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, allow_patterns: str(source))
    assert to_safetensors._folder("somebody/model") == source
