"""Tiny base models in the shape that the recipes want: deep enough for their layer ranges, with their kinds of tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def byte_tokenizer() -> Any:
    """Make a tokenizer with one token per byte, spelled as GPT-2, Qwen and Llama 3 spell bytes; <s> 256, </s> 257."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={piece: i for i, piece in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")


def byte_llama(place: Path, *, layers: int = 6) -> Path:
    """Save a random Llama of width 32 whose tokens are bytes: most of what it would write is no UTF-8."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    tokenizer = byte_tokenizer()
    config = LlamaConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=layers, num_attention_heads=4, vocab_size=len(tokenizer),
        max_position_embeddings=1024, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        AutoModelForCausalLM.from_config(config).save_pretrained(place)
    tokenizer.save_pretrained(place)
    return place


def small_gpt_neox(place: Path, texts: list[str]) -> Path:
    """Save a random GPT-NeoX of width 32 with a token per character of the texts, <s>, </s> and [SEP] (rinna's names)."""
    from speechlm.llms.tiny import make_tiny_llm

    make_tiny_llm(place, texts, architecture="gpt_neox", dim=32, layers=2, heads=4, ffn_dim=48, seed=3)
    return place
