"""Tiny random LLMs of every architecture that the search must know, and random search problems."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn
from transformers.models.gpt2 import GPT2Config, GPT2LMHeadModel
from transformers.models.gpt_neox import GPTNeoXConfig, GPTNeoXForCausalLM
from transformers.models.llama import LlamaConfig, LlamaForCausalLM
from transformers.models.qwen2 import Qwen2Config, Qwen2ForCausalLM
from transformers.models.qwen3 import Qwen3Config, Qwen3ForCausalLM

from speechlm.decoding.constraints import SearchOptions

WIDTH, VOCAB = 32, 40
KINDS = ["qwen2", "qwen3", "llama", "gpt_neox", "gpt2"]


@cache
def tiny_model(kind: str, seed: int = 0, vocab: int = VOCAB) -> nn.Module:
    """Make a random 2-layer model; its weights are wide, so that hypotheses differ and ties do not happen."""
    torch.manual_seed(seed)
    shared = {"vocab_size": vocab, "initializer_range": 0.4, "bos_token_id": None, "eos_token_id": None}
    llama = shared | {"hidden_size": WIDTH, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    if kind == "qwen2":  # grouped queries
        return Qwen2ForCausalLM(Qwen2Config(**llama, num_key_value_heads=2)).eval()
    if kind == "qwen3":
        return Qwen3ForCausalLM(Qwen3Config(**llama, num_key_value_heads=1, head_dim=8)).eval()
    if kind == "llama":
        return LlamaForCausalLM(LlamaConfig(**llama, num_key_value_heads=4)).eval()
    if kind == "gpt_neox":
        return GPTNeoXForCausalLM(GPTNeoXConfig(**llama)).eval()
    assert kind == "gpt2", kind
    return GPT2LMHeadModel(GPT2Config(**shared, n_embd=WIDTH, n_layer=2, n_head=4, n_positions=96)).eval()


@dataclass(frozen=True)
class Problem:
    """Prompts (T, D), a limit of tokens for each, end tokens, options."""

    prompts: list[Tensor]
    limits: list[int]
    ends: list[int]
    options: SearchOptions


def random_problem(seed: int, utterances: int) -> Problem:
    """Draw every option that `generate` knows too."""
    rng = random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    beam = rng.choice([1, 2, 4])
    options = SearchOptions(
        beam=beam,
        nbest=beam,
        length_penalty=rng.choice([0.0, 1.0, -0.5, 2.0, 0.6]),
        no_repeat_ngram=rng.choice([0, 0, 1, 2, 3]),
        repetition_penalty=rng.choice([1.0, 1.0, 1.3, 0.8]),
        min_tokens=rng.choice([0, 0, 3]),
        early_stopping=rng.choice([False, True, "never"]),
        batch_slots=rng.choice([1, 2, 3, 8]),
    )
    prompts = [torch.randn(rng.randint(1, 12), WIDTH, generator=generator) for _ in range(utterances)]
    limits = [rng.randint(1, 14) for _ in prompts]
    return Problem(prompts, limits, rng.choice([[1], [1, 2], [1, 2, 5]]), options)
