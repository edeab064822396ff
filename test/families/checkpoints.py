"""Tiny checkpoints in Hugging Face's layout, made on disk once per test run."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

CHARACTERS = "的一是不了人我在有他这天地好中国语音あいうえおかきくけこ漢字"

SSL: dict[str, Any] = dict(
    hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32, conv_dim=[8] * 7,
    num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2, num_feat_extract_layers=7,
)  # fmt: skip
LARGE = dict(feat_extract_norm="layer", do_stable_layer_norm=True, conv_bias=True)
LLM: dict[str, Any] = dict(
    hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=48, max_position_embeddings=512,
)  # fmt: skip
SPEECH: dict[str, dict[str, Any]] = {
    "hubert_base": dict(model_type="hubert", **SSL),
    "hubert_large": dict(model_type="hubert", **SSL, **LARGE),
    "wav2vec2_base": dict(model_type="wav2vec2", **SSL),
    "wav2vec2_large": dict(model_type="wav2vec2", **SSL, **LARGE),
    "wavlm_base": dict(model_type="wavlm", num_buckets=32, max_bucket_distance=64, **SSL),
    "wavlm_large": dict(model_type="wavlm", num_buckets=32, max_bucket_distance=64, **SSL, **LARGE),
    "whisper": dict(
        model_type="whisper", d_model=16, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, num_mel_bins=80, vocab_size=64,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
    ),
}  # fmt: skip
TEXT: dict[str, dict[str, Any]] = {
    "qwen2": dict(model_type="qwen2", num_key_value_heads=2, **LLM),
    "qwen3": dict(model_type="qwen3", num_key_value_heads=2, head_dim=8, **LLM),
    "llama": dict(model_type="llama", num_key_value_heads=4, **LLM),
    "gpt2": dict(model_type="gpt2", n_embd=32, n_layer=3, n_head=4, n_inner=48, n_positions=512),
    "gpt_neox": dict(model_type="gpt_neox", **LLM),
}


@cache
def _session_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="speechlm-checkpoints-")


@cache
def tiny_checkpoint(kind: str, folder: Path | None = None) -> Path:
    """Give the folder of a tiny random checkpoint, made at the first call.

    kind: one of SPEECH (an encoder) or TEXT (a causal LM with a tokenizer of one token per character).
    folder: where to make it; None keeps it in a folder of this process, removed at its end.
    """
    import torch
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    place = (folder or Path(_session_folder().name)) / kind
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(sum(map(ord, kind)))
        (_make_speech if kind in SPEECH else _make_text)(kind, place)
    return place


def _make_speech(kind: str, place: Path) -> None:
    from transformers import AutoConfig, AutoModel, Wav2Vec2FeatureExtractor, WhisperFeatureExtractor

    config = AutoConfig.for_model(**SPEECH[kind])
    AutoModel.from_config(config).save_pretrained(place)
    if kind == "whisper":
        WhisperFeatureExtractor(feature_size=config.num_mel_bins).save_pretrained(place)
    else:
        Wav2Vec2FeatureExtractor(do_normalize=config.feat_extract_norm == "layer").save_pretrained(place)


def _make_text(kind: str, place: Path) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    from speechlm.llms.tiny import make_character_tokenizer

    tokenizer = make_character_tokenizer([CHARACTERS])
    special = dict(pad_token_id=0, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id)
    config = AutoConfig.for_model(**TEXT[kind], vocab_size=len(tokenizer), **special)
    AutoModelForCausalLM.from_config(config).save_pretrained(place)
    tokenizer.save_pretrained(place)
