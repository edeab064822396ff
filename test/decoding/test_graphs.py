"""Steps at fixed shapes (decode.graphs) give what steps of every shape give; on a GPU as recorded graphs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from speechlm.core.errors import UserError
from speechlm.core.seq import Seq
from speechlm.decoding import graphs
from speechlm.decoding.constraints import SearchOptions
from speechlm.decoding.draft import DraftedSearch
from speechlm.decoding.fusion import LMFusion
from speechlm.decoding.llm import LLMBeamSearch
from test.decoding.test_llm_batch import ENDS, OPTIONS, assert_same, corpus, decode
from test.decoding.tiny import KINDS, tiny_model

GRAPHS = replace(OPTIONS, graphs=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("slots", [1, 5])
def test_fixed_shapes_change_nothing(kind: str, slots: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "GRAIN", 16)  # several shapes, and a cache that grows while it is in use
    prompts, limits = corpus(12, seed=8)
    order = sorted(range(12), key=lambda i: len(prompts[i]))  # the longest last: the cache must grow
    plain = decode(kind, replace(OPTIONS, batch_slots=slots), prompts, limits, order)
    assert len({tuple(hypotheses[0].tokens) for hypotheses in plain}) > 6
    assert_same(plain, decode(kind, replace(GRAPHS, batch_slots=slots), prompts, limits, order))


def test_shapes_are_few_and_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[tuple[tuple[int, ...], int]] = set()
    forward = graphs._Shape._forward

    def spy(shape: graphs._Shape) -> torch.Tensor:
        seen.add((tuple(shape.tokens.shape), shape.step.mask.shape[2]))
        assert bool((shape.step.mask == 0).any(-1).all()), "a row that looks at nothing gives nan"
        return forward(shape)

    monkeypatch.setattr(graphs._Shape, "_forward", spy)
    prompts, limits = corpus(20, seed=9)
    decode("qwen2", replace(GRAPHS, batch_slots=6), prompts, limits, list(range(20)))
    assert {tokens for tokens, _ in seen} == {(6, 4)}
    assert {columns for _, columns in seen} <= {graphs.GRAIN * n for n in (1, 2, 3)}


def test_with_another_lm() -> None:
    prompts, limits = corpus(6, seed=10)
    found = []
    for options in (OPTIONS, GRAPHS):
        model, other = tiny_model("qwen2", 1), tiny_model("qwen2", 2)
        fusion = LMFusion(other, other.get_input_embeddings(), [3], 0.5)
        search = LLMBeamSearch(model, model.get_input_embeddings(), ENDS, options, lm=fusion)
        found.append(search.search(Seq.of(prompts), limits))
    assert_same(*found)


def test_a_draft_has_no_fixed_shape() -> None:
    model = tiny_model("qwen2", 1)
    with pytest.raises(UserError, match="graphs: a draft"):
        DraftedSearch(model, model.get_input_embeddings(), ENDS, SearchOptions(beam=1, graphs=True), lambda name: [])


@pytest.mark.gpu
@pytest.mark.parametrize("kind", KINDS)
def test_recorded_graphs_on_a_gpu(kind: str) -> None:
    prompts, limits = corpus(12, seed=8)
    found = []
    for options in (OPTIONS, GRAPHS):
        model = tiny_model(kind, 1).cuda()
        search = LLMBeamSearch(model, model.get_input_embeddings(), ENDS, options)
        found.append(search.search(Seq.of([prompt.cuda() for prompt in prompts]), limits))
    assert_same(*found)
