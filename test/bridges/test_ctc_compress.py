"""The CTC compressor against a slow compressor in plain loops, and its hazards: silence, noise, one frame, repeats."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from speechlm.bridges.ctc_compress import MODES, CtcCompressBridge, average_segments, segments
from speechlm.core.seq import Seq

modes = pytest.mark.parametrize("mode", MODES)


def compress_slowly(frames: Tensor, scores: Tensor, mode: str, threshold: float) -> Tensor:
    """Compress one utterance: frames (T, D), scores (T, V)."""
    best, blank = scores.argmax(-1).tolist(), scores.softmax(-1)[:, 0].tolist()
    if mode == "prob_threshold":
        groups = [[t] for t in range(len(frames)) if blank[t] < threshold]
    elif mode == "drop_blank":
        groups = [[t] for t in range(len(frames)) if best[t] != 0]
    else:
        runs = [list(run) for _, run in itertools.groupby(range(len(frames)), key=lambda t: best[t])]
        groups = [run for run in runs if mode == "avg_runs" or best[run[0]] != 0]
    groups = groups or [[min(range(len(frames)), key=lambda t: (blank[t], t))]]
    return torch.stack([frames[group].mean(0) for group in groups])


def logits_of(best: list[int], *, certainty: float = 8.0) -> Tensor:
    """Scores (T, 4) whose best units are given."""
    return torch.nn.functional.one_hot(torch.tensor(best), 4) * certainty


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=12), min_size=1, max_size=4), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_equals_the_slow_compressor(paths: list[list[int]], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    frames = [torch.randn(len(path), 3, generator=generator) for path in paths]
    scores = [logits_of(path) + torch.rand(len(path), 4, generator=generator) for path in paths]
    speech, logits = Seq.of(frames, float("nan")), Seq.of(scores, 50.0)
    for mode in MODES:
        index, lens, _ = segments(logits, mode, 0.95)
        out = average_segments(speech, index, lens)
        assert out.data.shape[1] == max(out.lens.tolist())
        for row, x, y in zip(out.rows(), frames, scores, strict=True):
            torch.testing.assert_close(row, compress_slowly(x, y, mode, 0.95))


@modes
@torch.no_grad()
def test_a_silent_utterance_keeps_its_least_blank_frame(mode: str) -> None:
    frames = torch.randn(1, 6, 3)
    scores = logits_of([0] * 6)[None].clone()
    scores[0, 4, 0] = 7.0  # still blank, a little less sure
    bridge = CtcCompressBridge(3, 5, mode=mode).eval()
    out = bridge(Seq(frames, torch.tensor([6])), Seq(scores, torch.tensor([6])))
    kept = frames.mean(1) if mode == "avg_runs" else frames[:, 4]
    torch.testing.assert_close(out.data[:, 0], bridge.output(bridge.norm(kept)))
    assert out.lens.tolist() == [1]
    assert bridge.notes == {
        "kept_ratio": pytest.approx(1 / 6),
        "all_blank": 0.0 if mode == "avg_runs" else 1.0,
        "compressing": 1.0,
    }


@modes
def test_repeats_and_no_blank(mode: str) -> None:
    logits = Seq(logits_of([2, 2, 2, 1, 1, 3])[None], torch.tensor([6]))
    _, lens, rescued = segments(logits, mode, 0.95)
    assert lens.tolist() == [3 if mode.startswith("avg") else 6] and rescued.tolist() == [False]


def test_threshold_is_a_probability() -> None:
    blank = torch.tensor([0.90, 0.94, 0.96, 0.99])
    logits = Seq(torch.stack([blank, 1 - blank], -1).log()[None], torch.tensor([4]))
    assert [segments(logits, "prob_threshold", t)[1].item() for t in (0.92, 0.95, 0.98, 1.0)] == [1, 2, 3, 4]


def test_probabilities_are_taken_in_fp32() -> None:
    """A blank probability of 0.9511 rounds to 0.9492 in bf16, on the wrong side of the threshold."""
    scores = torch.tensor([[[2.96875, 0.0], [-1.0, 0.0]]], dtype=torch.bfloat16)
    assert scores.softmax(-1)[0, 0, 0].item() < 0.95 < scores.float().softmax(-1)[0, 0, 0].item()
    assert segments(Seq(scores, torch.tensor([2])), "prob_threshold", 0.95)[0].tolist() == [[-1, 0]]


def test_warm_up_pools_then_compresses() -> None:
    speech = Seq(torch.randn(2, 10, 3), torch.tensor([10, 7]))
    logits = Seq(logits_of([1, 1, 0, 0, 2, 2, 0, 0, 3, 0]).expand(2, -1, -1), speech.lens)
    bridge = CtcCompressBridge(3, 5, mode="drop_blank", warmup_steps=2, warmup_stride=4)
    assert bridge.eval()(speech, logits).lens.tolist() == [5, 4], "a model that never trained has nothing to warm up"
    bridge.train()
    assert [bridge(speech, logits).lens.tolist() for _ in range(2)] == [[3, 2], [3, 2]]
    assert bridge.notes["compressing"] == 0.0 and bridge.notes["kept_ratio"] == pytest.approx(5 / 17)
    assert bridge(speech, logits).lens.tolist() == [5, 4] and bridge.notes["compressing"] == 1.0


def test_the_validation_in_a_warm_up_sees_what_training_sees_and_counts_nothing() -> None:
    speech = Seq(torch.randn(1, 8, 3), torch.tensor([8]))
    logits = Seq(logits_of([0] * 8)[None], speech.lens)
    bridge = CtcCompressBridge(3, 5, warmup_steps=2, warmup_stride=1).train()
    bridge(speech, logits)
    assert [bridge.eval()(speech, logits).lens.item() for _ in range(3)] == [8, 8, 8]
    stored = CtcCompressBridge(3, 5, warmup_steps=2, warmup_stride=1).eval()
    stored.load_state_dict(bridge.state_dict())
    assert stored(speech, logits).lens.item() == 8, "the count is part of the checkpoint"


@pytest.mark.parametrize(
    "options", [{"mode": "max"}, {"threshold": 0.0}, {"threshold": 1.5}, {"warmup_steps": -1}, {"warmup_stride": 0}]
)
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="^bridge ctc_compress: "):
        CtcCompressBridge(3, 5, **options)


def test_needs_a_ctc_head() -> None:
    with pytest.raises(ValueError, match="give the model a head of kind ctc"):
        CtcCompressBridge(3, 5)(Seq(torch.randn(1, 4, 3), torch.tensor([4])))
