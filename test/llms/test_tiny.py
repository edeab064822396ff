"""The small LLM that recipes train on two cores: its files, its sizes, its seed, and the command that makes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from speechlm.bin import main
from speechlm.core.errors import UserError
from speechlm.llms.causal import CausalLLM
from speechlm.llms.tiny import make_tiny_llm
from speechlm.llms.tokenizer import check_fits, encode_text, load_llm_tokenizer

SMALL: dict[str, Any] = {"dim": 16, "layers": 1, "heads": 2}
TEXTS = ["你好 世界", "hello wörld"]


@pytest.mark.parametrize("architecture", ["qwen2", "llama", "gpt_neox", "gpt2"])
def test_loads_like_any_checkpoint(architecture: Any, tmp_path: Path) -> None:
    make_tiny_llm(tmp_path / "llm", TEXTS, architecture=architecture, ffn_dim=24, **SMALL)
    tokenizer, model = load_llm_tokenizer(str(tmp_path / "llm")), CausalLLM(checkpoint=str(tmp_path / "llm"))
    check_fits(tokenizer, model.vocab_size)
    assert model.dim == 16 and model.vocab_size == len(tokenizer) == 5 + 95 + len(set("你好世界ö"))
    assert json.loads((tmp_path / "llm/config.json").read_text())["model_type"] == architecture
    assert all(tokenizer.decode(encode_text(tokenizer, text)) == text for text in TEXTS)
    modes = {path.name: path.stat().st_mode for path in (tmp_path / "llm").iterdir()}
    assert len(set(modes.values())) == 1, modes


def test_sizes_are_obeyed(tmp_path: Path) -> None:
    make_tiny_llm(tmp_path / "llm", TEXTS, dim=24, layers=3, heads=6, kv_heads=2, ffn_dim=40)
    config = json.loads((tmp_path / "llm/config.json").read_text())
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "intermediate_size")
    assert [config[name] for name in names] == [24, 3, 6, 2, 40] and config["eos_token_id"] == 3


def test_weights_come_from_the_seed_alone(tmp_path: Path) -> None:
    state = torch.random.get_rng_state()
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        make_tiny_llm(tmp_path / name, TEXTS, seed=seed, **SMALL)
    assert torch.equal(state, torch.random.get_rng_state())
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in "abc"]
    assert weights[0] == weights[1] != weights[2]


@pytest.mark.parametrize("options, words", [
    ({"dim": 15}, "must be an even multiple"),
    ({"heads": 8}, "must be an even multiple of heads 8"),
    ({"heads": 4, "kv_heads": 3}, "a multiple of kv_heads"),
    ({"architecture": "gpt2", "kv_heads": 1}, "has no separate kv_heads"),
])  # fmt: skip
def test_sizes_that_do_not_fit_are_told(options: dict[str, Any], words: str, tmp_path: Path) -> None:
    if options.get("heads") == 8:
        options = {**options, "dim": 24}
    with pytest.raises(UserError, match=words):
        make_tiny_llm(tmp_path / "llm", TEXTS, **{**SMALL, **options})
    with pytest.raises(UserError, match="no text"):
        make_tiny_llm(tmp_path / "llm", ["", ""], **SMALL)
    assert not (tmp_path / "llm").exists()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text").write_text("u1 你好\nu2 再见 吗\n", encoding="utf-8")
    out = tmp_path / "exp/llm"
    given = [
        "make_llm",
        "--text",
        str(tmp_path / "text"),
        "--out",
        str(out),
        "--dim",
        "16",
        "--layers",
        "1",
        "--heads",
        "2",
    ]
    assert main.main(given) == 0
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= {
        p.name for p in out.iterdir()
    }
    assert "再" in load_llm_tokenizer(str(out)).get_vocab()
    assert main.main([*given, "--heads", "0"]) == 1
    assert "--heads: must be at least 1, is 0" in capsys.readouterr().err
