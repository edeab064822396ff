"""The LLM's tokenizer: what is loaded is what was saved, special pieces, and the fingerprint."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from speechlm.core.errors import UserError
from speechlm.llms.tokenizer import check_fits, encode_text, load_llm_tokenizer, special_pieces, tokenizer_hash
from speechlm.text.prompt import PromptTemplate
from test.families.checkpoints import TEXT, tiny_checkpoint


@pytest.mark.parametrize("kind", list(TEXT))
def test_every_character_survives_in_every_architecture(kind: str) -> None:
    """AutoTokenizer of transformers loses characters for Qwen2: it puts its own splitting around the vocabulary."""
    tokenizer = load_llm_tokenizer(str(tiny_checkpoint(kind)))
    text = "天好 ab, C!\t漢"
    ids = encode_text(tokenizer, text)
    assert len(ids) == len(text) and ids.count(tokenizer.unk_token_id) == 1  # the tab
    assert tokenizer.decode(encode_text(tokenizer, "天好 ab, C")) == "天好 ab, C"


def test_a_special_token_written_in_a_transcript_stays_text() -> None:
    tokenizer = load_llm_tokenizer(str(tiny_checkpoint("qwen2")))
    assert tokenizer.eos_token_id not in encode_text(tokenizer, "a</s>b") and len(encode_text(tokenizer, "a</s>b")) == 6


def test_special_pieces_serve_a_prompt() -> None:
    tokenizer = load_llm_tokenizer(str(tiny_checkpoint("gpt2")))
    pieces = special_pieces(tokenizer)
    assert {"<s>", "</s>", "[SEP]", "<pad>", "<unk>"} <= set(pieces)
    found = PromptTemplate("<s>{speech}[SEP]{text}</s>").pieces(lambda text: encode_text(tokenizer, text), pieces)
    assert found.before == [tokenizer.bos_token_id] and found.end == [tokenizer.eos_token_id]
    assert found.between == [tokenizer.sep_token_id]


def test_roles_answer_to_the_usual_names(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.WordLevel({"a": 0, "<|im_end|>": 1, "?": 2}, unk_token="?"))
    PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|im_end|>", unk_token="?").save_pretrained(tmp_path)
    pieces = special_pieces(load_llm_tokenizer(str(tmp_path)))
    assert pieces["</s>"] == pieces["<|im_end|>"] == 1 and "<s>" not in pieces and "[SEP]" not in pieces


def test_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    source = tiny_checkpoint("qwen2")
    one = load_llm_tokenizer(str(source))
    before = tokenizer_hash(one)
    one(["a", "abc"], padding=True, truncation=True, max_length=2)
    copy = shutil.copytree(source, tmp_path / "copy")
    assert tokenizer_hash(one) == before == tokenizer_hash(load_llm_tokenizer(str(copy)))
    path = copy / "tokenizer.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    vocab = stored["model"]["vocab"]
    vocab["a"], vocab["b"] = vocab["b"], vocab["a"]
    path.write_text(json.dumps(stored), encoding="utf-8")
    assert tokenizer_hash(load_llm_tokenizer(str(copy))) != before


def test_a_tokenizer_of_another_model_is_refused() -> None:
    tokenizer = load_llm_tokenizer(str(tiny_checkpoint("qwen2")))
    check_fits(tokenizer, len(tokenizer))
    with pytest.raises(UserError, match=f"its largest id is {len(tokenizer) - 1}, but the LLM has 20 embeddings"):
        check_fits(tokenizer, 20)


def test_faults_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for name, words in (
        (str(tmp_path), "no tokenizer in it"),
        ("some/llm", "cannot be reached"),
        ("~/x/y", "no such folder"),
    ):
        with pytest.raises(UserError, match=words) as found:
            load_llm_tokenizer(name)
        assert "\n" not in str(found.value)
