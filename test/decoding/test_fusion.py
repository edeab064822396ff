"""An external LM and the CTC head in the beam search, against the slow search and enumeration."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from speechlm.core.seq import Seq
from speechlm.decoding.constraints import SearchOptions
from speechlm.decoding.ctc_fusion import CtcFusion
from speechlm.decoding.fusion import LMFusion
from speechlm.decoding.llm import LLMBeamSearch
from test.decoding.tiny import VOCAB, WIDTH, tiny_model
from test.reference.beam_search import beam_search
from test.reference.ctc_prefix import prefix_probability, texts_of

END = 1
OPTIONS = SearchOptions(beam=3, nbest=3, early_stopping="never", batch_slots=2)


def prompts_of(*lens: int, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(n, WIDTH, generator=generator) for n in lens]


@torch.inference_mode()
def next_scores(model: nn.Module, prompt: Tensor, text: tuple[int, ...]) -> list[float]:
    rows = torch.cat([prompt, model.get_input_embeddings()(torch.tensor(text, dtype=torch.int64))])
    return model(inputs_embeds=rows[None]).logits[0, -1].log_softmax(-1).tolist()


@pytest.mark.parametrize("kinds", [("qwen2", "gpt2"), ("gpt_neox", "llama")])
def test_shallow_fusion_is_the_slow_search(kinds: tuple[str, str]) -> None:
    model, lm = (tiny_model(kind, 2) for kind in kinds)
    prompts = prompts_of(3, 8, 5)
    fusion = LMFusion(lm, lm.get_input_embeddings(), [4, 7], 0.4)
    search = LLMBeamSearch(model, model.get_input_embeddings(), [END], OPTIONS, lm=fusion)
    start = lm.get_input_embeddings()(torch.tensor([4, 7])).detach()
    for prompt, found in zip(prompts, search.search(Seq.of(prompts), [5, 6, 4]), strict=True):

        def scores(text: tuple[int, ...], prompt: Tensor = prompt) -> list[float]:
            pairs = zip(next_scores(model, prompt, text), next_scores(lm, start, text), strict=True)
            return [own + 0.4 * other for own, other in pairs]

        truth = beam_search(scores, beam=3, ends=[END], limit={3: 5, 8: 6, 5: 4}[len(prompt)], early="never")
        assert [tuple(h.tokens) for h in found] == [f.tokens for f in truth]
        assert [h.score for h in found] == pytest.approx([f.score for f in truth], abs=1e-4)


def test_an_lm_with_fewer_tokens_rules_the_others_out() -> None:
    model, lm = tiny_model("qwen2", 2), tiny_model("gpt2", 2, vocab=20)
    fusion = LMFusion(lm, lm.get_input_embeddings(), [4], 0.1)
    search = LLMBeamSearch(model, model.get_input_embeddings(), [END], OPTIONS, lm=fusion)
    found = search.search(Seq.of(prompts_of(3, 5)), [9, 9])
    assert all(token < 20 for row in found for h in row for token in h.tokens)
    with pytest.raises(ValueError, match="start token"):
        LMFusion(lm, lm.get_input_embeddings(), [], 0.1)


# LLM tokens spell these; CTC units are 1 = a, 2 = b, 3 = \u4e00
SPELLS: list[bytes] = [b"", b"", b"a", b"b", b"ab", b"ba", b"\xe4", b"\xb8", b"\x80", "\u4e00".encode(), b"aa", b" a"]
PIECES = SPELLS + [SPELLS[2 + i % (len(SPELLS) - 2)] for i in range(VOCAB - len(SPELLS))]
UNITS = {"a": 1, "b": 2, "\u4e00": 3}


def units_of(text: str) -> list[int]:
    return [UNITS[char] for char in text if char in UNITS]


def spelled(text: tuple[int, ...]) -> tuple[int, ...]:
    raw = b"".join(PIECES[token] for token in text)
    return tuple(units_of(raw.decode(errors="ignore")))


def ctc_scores(
    model: nn.Module, prompt: Tensor, log_probs: Tensor, weight: float
) -> Callable[[tuple[int, ...]], list[float]]:
    """Add the growth of the enumerated prefix probability."""
    frames = log_probs.double().numpy()
    whole = texts_of(frames)
    known: dict[tuple[int, ...], float] = {}

    def log_prefix(units: tuple[int, ...]) -> float:
        if units not in known:
            probability = prefix_probability(frames, units)
            known[units] = math.log(probability) if probability > 0 else -math.inf
        return known[units]

    def scores(text: tuple[int, ...]) -> list[float]:
        before, rows = log_prefix(spelled(text)), []
        for token, own in enumerate(next_scores(model, prompt, text)):
            if token == END:
                after = math.log(whole[spelled(text)]) if spelled(text) in whole else -math.inf
            else:
                after = log_prefix(spelled((*text, token)))
            rows.append(own + weight * (after - before) if after > -math.inf else -math.inf)
        return rows

    return scores


@pytest.mark.parametrize("seed", range(2))
def test_ctc_fusion_is_enumeration(seed: int) -> None:
    model = tiny_model("qwen3", seed)
    prompts = prompts_of(3, 6, 2, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    logits = {str(i): torch.randn(frames, 4, generator=generator) * 2 for i, frames in enumerate((6, 4, 5))}
    ctc = CtcFusion(0.5, logits.__getitem__, units_of, PIECES, [END], candidates=VOCAB)
    search = LLMBeamSearch(model, model.get_input_embeddings(), [END], OPTIONS, ctc=ctc)
    found = search.search(Seq.of(prompts), [6, 6, 6])
    for i, (prompt, row) in enumerate(zip(prompts, found, strict=True)):
        scores = ctc_scores(model, prompt, logits[str(i)].log_softmax(-1), 0.5)
        truth = beam_search(scores, beam=3, ends=[END], limit=6, early="never")
        assert [tuple(h.tokens) for h in row] == [f.tokens for f in truth]
        assert [h.score for h in row] == pytest.approx([f.score for f in truth], abs=1e-4)


def test_ctc_fusion_does_not_depend_on_the_batch() -> None:
    model = tiny_model("llama", 1)
    prompts = prompts_of(3, 9, 2, 5, 4, seed=4)
    generator = torch.Generator().manual_seed(0)
    logits = {str(i): torch.randn(10 + 7 * i, 4, generator=generator) * 3 for i in range(5)}

    def decode(slots: int, order: list[int]) -> dict[str, list[tuple[list[int], float]]]:
        options = SearchOptions(beam=4, nbest=2, no_repeat_ngram=3, batch_slots=slots)
        ctc = CtcFusion(0.3, logits.__getitem__, units_of, PIECES, [END], candidates=12)
        search = LLMBeamSearch(model, model.get_input_embeddings(), [END], options, ctc=ctc)
        found = search.stream((str(i), prompts[i], 5 + i) for i in order)
        return {name: [(h.tokens, round(h.score, 4)) for h in row] for name, row in found}

    alone = decode(1, [0, 1, 2, 3, 4])
    assert decode(2, [4, 1, 0, 3, 2]) == alone
    assert decode(5, [2, 3, 4, 0, 1]) == alone


def test_ctc_fusion_keeps_to_what_was_said() -> None:
    """A random LLM alone says anything; with a sure CTC head it spells what the head heard."""
    model = tiny_model("qwen2", 0)
    frames = torch.full((8, 4), -12.0)
    for t, unit in enumerate([0, 2, 0, 1, 1, 0, 3, 0]):
        frames[t, unit] = 12.0
    ctc = CtcFusion(5.0, {"0": frames}.__getitem__, units_of, PIECES, [END], candidates=VOCAB)
    search = LLMBeamSearch(
        model, model.get_input_embeddings(), [END], SearchOptions(valid_text=True), pieces=PIECES, ctc=ctc
    )
    best = search.search(Seq.of(prompts_of(4)), [12])[0][0]
    assert spelled(tuple(best.tokens)) == (2, 1, 3)


def test_an_lm_that_ends_otherwise_ends_too() -> None:
    """The text may end with the LLM's end token or with the LM's own: both probabilities count, the other tokens' do not."""
    lm = tiny_model("gpt2", 2)
    fusion = LMFusion(lm, lm.get_input_embeddings(), [4], 0.5, {END: 7})
    logits = torch.randn(3, VOCAB, generator=torch.Generator().manual_seed(0))
    plain = logits.softmax(-1)
    found = (fusion.weigh(logits, VOCAB) / 0.5).exp()
    assert torch.allclose(found[:, END], plain[:, END] + plain[:, 7], atol=1e-6)
    others = [token for token in range(VOCAB) if token != END]
    assert torch.allclose(found[:, others], plain[:, others], atol=1e-6)
    same = LMFusion(lm, lm.get_input_embeddings(), [4], 0.5, {END: END})
    assert torch.allclose((same.weigh(logits, VOCAB) / 0.5).exp(), plain, atol=1e-6)
