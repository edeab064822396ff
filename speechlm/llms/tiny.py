"""Make a small causal LM with a character tokenizer from any text, in the files that a large one has."""

from __future__ import annotations

import shutil
import string
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from speechlm.core.errors import UserError
from speechlm.io.files import atomic_dir

if TYPE_CHECKING:
    from collections.abc import Iterator

SPECIAL = ("<pad>", "<unk>", "<s>", "</s>", "[SEP]")
MAX_POSITIONS = 4096

Architecture = Literal["qwen2", "llama", "gpt_neox", "gpt2"]


def make_character_tokenizer(texts: Iterable[str]) -> Any:
    """Build a Hugging Face tokenizer with one token per character of the texts and of printable ASCII.

    The special tokens come first: <pad> 0, <unk> 1, <s> 2, </s> 3, [SEP] 4. Same characters, same ids.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    characters = set(string.ascii_letters + string.digits + string.punctuation + " ").union(*texts)
    vocab = {token: i for i, token in enumerate([*SPECIAL, *sorted(characters)])}
    backend = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        sep_token="[SEP]",
        clean_up_tokenization_spaces=False,
    )


def _sizes(architecture: str, *, dim: int, layers: int, heads: int, kv_heads: int, ffn_dim: int) -> dict[str, int]:
    """Name the sizes as the architecture's configuration does."""
    if architecture == "gpt2":
        return {"n_embd": dim, "n_layer": layers, "n_head": heads, "n_inner": ffn_dim, "n_positions": MAX_POSITIONS}
    sizes = {
        "hidden_size": dim,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": ffn_dim,
        "max_position_embeddings": MAX_POSITIONS,
    }
    return sizes if architecture == "gpt_neox" else {**sizes, "num_key_value_heads": kv_heads}


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Draw random weights from `seed` and leave the caller's generator as it was."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def make_tiny_llm(
    folder: Path | str,
    texts: Iterable[str],
    *,
    architecture: Architecture = "qwen2",
    dim: int = 256,
    layers: int = 4,
    heads: int = 4,
    kv_heads: int = 0,
    ffn_dim: int = 0,
    seed: int = 0,
) -> None:
    """Write a randomly initialised causal LM and its character tokenizer to `folder` in Hugging Face's layout.

    The folder holds config.json, model.safetensors and the tokenizer's files, so everything that loads a large LLM
    loads this one: nothing in the toolkit knows that it is small.

    kv_heads: key and value heads of qwen2 and llama; 0 takes `heads`.
    ffn_dim: width of the feed-forward layers; 0 takes 4 * dim.
    Raises UserError when the sizes do not fit each other or the texts are empty.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    kv_heads, ffn_dim = kv_heads or heads, ffn_dim or 4 * dim
    if dim % heads or (dim // heads) % 2 or heads % kv_heads:
        raise UserError(
            f"dim {dim} must be an even multiple of heads {heads}, and heads a multiple of kv_heads {kv_heads}"
        )
    if architecture in ("gpt2", "gpt_neox") and kv_heads != heads:
        raise UserError(f"architecture {architecture} has no separate kv_heads; leave it at {heads}")
    kept = [text for text in texts if text]
    if not kept:
        raise UserError("no text to take characters from; give transcripts")
    tokenizer = make_character_tokenizer(kept)
    config = AutoConfig.for_model(
        architecture,
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=True,
        **_sizes(architecture, dim=dim, layers=layers, heads=heads, kv_heads=kv_heads, ffn_dim=ffn_dim),
    )
    with _seeded(seed):
        model = AutoModelForCausalLM.from_config(config)
    with atomic_dir(folder) as place:
        model.save_pretrained(place)
        tokenizer.save_pretrained(place)
        # safetensors makes its file readable by its owner only; the folder's files shall be alike.
        shutil.copymode(place / "config.json", place / "model.safetensors")
