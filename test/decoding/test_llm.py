"""What the LLM search promises besides being exact: nothing left switched, LoRA, windows, limits, clear refusals."""

from __future__ import annotations

import copy
from dataclasses import replace

import peft
import pytest
import torch
from torch import nn
from transformers.models.gemma2 import Gemma2Config, Gemma2ForCausalLM
from transformers.models.mistral import MistralConfig, MistralForCausalLM

from speechlm.core.seq import Seq
from speechlm.decoding.constraints import SearchOptions
from speechlm.decoding.llm import LLMBeamSearch
from test.decoding.test_llm_exact import generate
from test.decoding.tiny import VOCAB, WIDTH, Problem, tiny_model

OPTIONS = SearchOptions(beam=4, nbest=4)


def prompts_of(*lens: int, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(n, WIDTH, generator=generator) for n in lens]


def search_of(model: nn.Module, options: SearchOptions = OPTIONS, ends: tuple[int, ...] = (1,)) -> LLMBeamSearch:
    return LLMBeamSearch(model, model.get_input_embeddings(), ends, options)


def assert_as_generate(model: nn.Module, problem: Problem) -> None:
    search = LLMBeamSearch(model, model.get_input_embeddings(), problem.ends, problem.options)
    for prompt, limit, ours in zip(
        problem.prompts, problem.limits, search.search(Seq.of(problem.prompts), problem.limits), strict=True
    ):
        theirs = generate(model, prompt, limit, problem)
        assert [h.tokens for h in ours] == [tokens for tokens, _ in theirs]
        assert [h.score for h in ours] == pytest.approx([score for _, score in theirs], abs=1e-4)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_the_model_is_left_as_it_was(attention: str) -> None:
    model = copy.deepcopy(tiny_model("qwen2"))
    model.set_attn_implementation(attention)
    before = model(inputs_embeds=prompts_of(7)[0][None]).logits
    stream = search_of(model).stream((str(i), p, 9) for i, p in enumerate(prompts_of(3, 8, 5)))
    next(stream)
    assert model.config._attn_implementation == attention  # also in the middle, when the caller may use the model
    list(stream)
    assert model.config._attn_implementation == attention
    assert torch.equal(model(inputs_embeds=prompts_of(7)[0][None]).logits, before)


def test_the_model_is_left_as_it_was_after_an_error() -> None:
    model = copy.deepcopy(tiny_model("llama"))
    with pytest.raises(RuntimeError):
        search_of(model).search(Seq(torch.randn(1, 3, WIDTH + 1), torch.tensor([3])), [4])
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("kind", ["qwen2", "gpt2"])
def test_lora_takes_part(kind: str) -> None:
    base = copy.deepcopy(tiny_model(kind))
    problem = Problem(prompts_of(4, 9), [7, 5], [1], OPTIONS)
    plain = search_of(base).search(Seq.of(problem.prompts), problem.limits)
    targets = ["c_attn"] if kind == "gpt2" else ["q_proj", "v_proj"]
    model = peft.get_peft_model(
        base, peft.LoraConfig(r=4, target_modules=targets, fan_in_fan_out=kind == "gpt2", lora_dropout=0.5)
    )
    for name, weight in model.named_parameters():
        if "lora_" in name:
            nn.init.normal_(weight, std=0.5)
    model.eval()
    tuned = search_of(model).search(Seq.of(problem.prompts), problem.limits)
    assert [h.score for h in tuned[0]] != pytest.approx([h.score for h in plain[0]], abs=1e-3)
    assert_as_generate(model, problem)


def test_sliding_windows_are_honoured() -> None:
    """Windows shorter than the prompt, and columns of the cache that are used again."""
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=VOCAB, hidden_size=WIDTH, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, sliding_window=6, initializer_range=0.6, bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    model = MistralForCausalLM(config).eval()
    assert_as_generate(model, Problem(prompts_of(3, 14, 7), [15, 12, 9], [1], OPTIONS))


def test_other_attention_and_other_layers_are_refused() -> None:
    small = {
        "vocab_size": VOCAB,
        "hidden_size": WIDTH,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    gemma = Gemma2ForCausalLM(
        Gemma2Config(**small, num_key_value_heads=2, head_dim=8)
    ).eval()  # caps its attention scores
    with pytest.raises(ValueError, match="softcap"):
        search_of(gemma).search(Seq.of(prompts_of(3)), [4])
    with pytest.raises(ValueError, match="Embedding has no exchangeable attention"):
        LLMBeamSearch(nn.Embedding(3, 3), nn.Embedding(3, 3), [1]).search(Seq.of(prompts_of(3)), [4])
    hybrid = copy.deepcopy(tiny_model("qwen2"))
    hybrid.config.layer_types = ["full_attention", "linear_attention"]
    with pytest.raises(ValueError, match="linear_attention"):
        search_of(hybrid).search(Seq.of(prompts_of(3)), [4])


def test_training_mode_is_refused() -> None:
    model = copy.deepcopy(tiny_model("gpt2")).train()
    with pytest.raises(ValueError, match="eval"):
        search_of(model).search(Seq.of(prompts_of(3)), [4])


def test_bad_prompts_are_named() -> None:
    search = search_of(tiny_model("gpt2"))
    good = prompts_of(3)[0]
    for prompt, limit, message in [
        (good[:0], 4, "bad: a prompt must be"),
        (good, 0, "bad: max_tokens must be at least 1"),
        (
            good.expand(3, WIDTH).repeat(30, 1),
            20,
            "bad: prompt of 90 steps and 20 tokens exceed the LLM's 96 positions",
        ),
        (good * torch.nan, 4, "bad: the model's scores are not numbers"),
    ]:
        with pytest.raises(ValueError, match=message):
            list(search.stream([("good", good, 3), ("bad", prompt, limit)]))
    with pytest.raises(ValueError, match="max_tokens"):
        search.search(Seq.of([good]), [3, 4])


def test_positive_length_penalty_favours_longer_answers() -> None:
    """Scores are negative: dividing by length ** p helps long answers for p > 0, short ones for p < 0."""
    prompts = prompts_of(*[4] * 12, seed=3)
    lengths = {}
    for penalty in (-3.0, 0.0, 3.0):
        options = SearchOptions(beam=4, length_penalty=penalty, early_stopping="never")
        found = search_of(tiny_model("qwen2", 3), options).search(Seq.of(prompts), [12] * 12)
        lengths[penalty] = sum(len(h.tokens) for (h,) in found)
    assert lengths[-3.0] < lengths[0.0] < lengths[3.0]


def test_limits_and_bans_hold() -> None:
    options = SearchOptions(beam=3, nbest=3, no_repeat_ngram=2, min_tokens=4)
    found = search_of(tiny_model("gpt_neox"), options, (1, 2, 3)).search(Seq.of(prompts_of(5, 6, 7)), [12, 5, 30])
    for hypotheses, limit in zip(found, (12, 5, 30), strict=True):
        for h in hypotheses:
            pairs = list(zip(h.tokens, h.tokens[1:], strict=False))
            assert len(set(pairs)) == len(pairs)
            assert 4 <= len(h.tokens) <= limit
            assert not {1, 2, 3} & set(h.tokens)


def test_nbest_and_max_tokens() -> None:
    found = search_of(tiny_model("llama"), replace(OPTIONS, nbest=2)).search(Seq.of(prompts_of(5)), [6])
    assert len(found[0]) == 2
    assert found[0][0].score >= found[0][1].score
    options = SearchOptions(max_tokens_per_second=8.0, max_tokens_extra=10)
    assert [options.max_tokens(s) for s in (0.0, 0.01, 1.0, 2.6)] == [10, 11, 18, 31]


@pytest.mark.parametrize(
    ("name", "value"),
    [("beam", 0), ("nbest", 5), ("nbest", 0), ("no_repeat_ngram", -1), ("repetition_penalty", 0.0), ("batch_slots", 0),
     ("max_tokens_extra", 0), ("max_tokens_per_second", -1.0), ("no_repeat_unit", "word"), ("early_stopping", "maybe")],
)  # fmt: skip
def test_wrong_options_are_named(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{name}: "):
        SearchOptions(**{name: value})


def test_the_cache_stays_short() -> None:
    """Columns of tokens that no beam stands on are used again: far fewer than one per token and beam."""
    from speechlm.decoding import llm as module

    model = tiny_model("qwen2")
    run = module.Run(search_of(model, SearchOptions(beam=4, min_tokens=80)))
    most = 0
    for _ in run.results(iter([("a", prompts_of(5)[0], 81)])):
        most = run.readers[0].tree.used
    assert 85 <= most < 5 + 80 + 4 * 20 < 5 + 4 * 80
