"""Our beam search gives the tokens and scores of Hugging Face `generate`, for every architecture and option."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn

from speechlm.core.seq import Seq
from speechlm.decoding.constraints import SearchOptions, suffix_options_for_hf
from speechlm.decoding.hypothesis import Hypothesis
from speechlm.decoding.llm import LLMBeamSearch
from test.decoding.tiny import KINDS, WIDTH, Problem, random_problem, tiny_model


@torch.inference_mode()
def generate(model: nn.Module, prompt: Tensor, limit: int, problem: Problem) -> list[tuple[list[int], float]]:
    """Ask `generate` for one utterance; greedy search has no scores there, so they are summed from its logits."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells that penalties see the suffix only, and of limits below min_tokens
        found = model.generate(
            inputs_embeds=prompt[None], attention_mask=torch.ones(1, len(prompt)),
            eos_token_id=problem.ends, pad_token_id=0,
            return_dict_in_generate=True, output_scores=True, output_logits=True,
            **suffix_options_for_hf(problem.options, limit),
        )  # fmt: skip
    texts = found.sequences.tolist()
    cut = [next((i for i, token in enumerate(text) if token in problem.ends), limit) for text in texts]
    if problem.options.beam > 1:
        scores = found.sequences_scores.tolist()
    else:
        spoken = texts[0][: cut[0] + 1]
        norms = [logits[0].float().logsumexp(-1) for logits in found.logits]
        gains = [found.scores[i][0, token] - norms[i] for i, token in enumerate(spoken)]
        scores = [float(sum(gains)) / len(spoken) ** problem.options.length_penalty]
    return [(text[:end], score) for text, end, score in zip(texts, cut, scores, strict=True)]


def check(seed: int, kind: str, utterances: int) -> None:
    """Compare one random problem, N-best lists included."""
    model, problem = tiny_model(kind, seed % 3), random_problem(seed, utterances)
    search = LLMBeamSearch(model, model.get_input_embeddings(), problem.ends, problem.options)
    found = search.search(Seq.of(problem.prompts), problem.limits)
    for prompt, limit, ours in zip(problem.prompts, problem.limits, found, strict=True):
        theirs = generate(model, prompt, limit, problem)
        assert [h.tokens for h in ours] == [tokens for tokens, _ in theirs], problem.options
        assert [h.score for h in ours] == pytest.approx([score for _, score in theirs], abs=1e-4), problem.options
        check_parts(ours, limit, problem.options)


def check_parts(found: list[Hypothesis], limit: int, options: SearchOptions) -> None:
    """The parts of a hypothesis make up its score."""
    for h in found:
        length = len(h.tokens) + h.finished
        assert h.finished or length == limit
        assert len(h.token_scores) == len(h.tokens)
        total = sum(h.token_scores) + h.end_score
        assert h.score == pytest.approx(total / length**options.length_penalty, abs=1e-4)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("kind", KINDS)
def test_same_as_generate(kind: str, seed: int) -> None:
    """240 utterances."""
    check(1000 * KINDS.index(kind) + seed, kind, 4)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12, 37))
@pytest.mark.parametrize("kind", KINDS)
def test_same_as_generate_500(kind: str, seed: int) -> None:
    check(1000 * KINDS.index(kind) + seed, kind, 4)


def test_same_as_generate_at_a_large_vocabulary() -> None:
    """There the best tokens are found by blocks."""
    model = tiny_model("qwen2", 0, 5003)
    problem = Problem(
        [torch.randn(n, WIDTH) for n in (5, 9)], [8, 6], [1], SearchOptions(beam=4, nbest=4, no_repeat_ngram=2)
    )
    search = LLMBeamSearch(model, model.get_input_embeddings(), problem.ends, problem.options)
    for prompt, limit, ours in zip(
        problem.prompts, problem.limits, search.search(Seq.of(problem.prompts), problem.limits), strict=True
    ):
        theirs = generate(model, prompt, limit, problem)
        assert [h.tokens for h in ours] == [tokens for tokens, _ in theirs]
        assert [h.score for h in ours] == pytest.approx([score for _, score in theirs], abs=1e-4)


def test_what_generate_cannot_honour_is_refused() -> None:
    for options, name in [
        (SearchOptions(no_repeat_ngram=3, no_repeat_unit="character"), "no_repeat_unit"),
        (SearchOptions(valid_text=True), "valid_text"),
    ]:
        with pytest.raises(ValueError, match=name):
            suffix_options_for_hf(options, 10)
