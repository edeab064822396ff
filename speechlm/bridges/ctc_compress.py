"""Let the encoder's own CTC head say which frames matter, and hand on only those."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from speechlm.bridges.linear import mean_pool
from speechlm.core.seq import Seq

Mode = Literal["drop_blank", "avg_runs", "avg_runs_drop_blank", "prob_threshold"]
MODES = ("drop_blank", "avg_runs", "avg_runs_drop_blank", "prob_threshold")


def segments(ctc_logits: Seq, mode: Mode, threshold: float) -> tuple[Tensor, Tensor, Tensor]:
    """Say to which output step each frame belongs.

    Gives the step (B, T) int64, -1 where the frame is dropped; the new lengths (B,); and which rows (B,) were rescued:
    a row with real frames never loses all of them, the frame with the lowest blank probability stays. Padding belongs
    nowhere.
    """
    mask = ctc_logits.mask
    scores = ctc_logits.data.detach().float().log_softmax(-1)
    best, blank = scores.argmax(-1), scores[..., 0]  # (B, T)
    if mode == "prob_threshold":
        keep = mask & (blank.exp() < threshold)
        starts = keep
    elif mode == "drop_blank":
        keep = mask & (best != 0)
        starts = keep
    else:
        keep = mask & (best != 0) if mode == "avg_runs_drop_blank" else mask
        changes = torch.ones_like(mask)
        changes[:, 1:] = best[:, 1:] != best[:, :-1]
        starts = keep & changes
    rescued = mask.any(1) & ~keep.any(1)
    least = blank.masked_fill(~mask, torch.inf).argmin(1)  # (B,)
    only = rescued[:, None] & (torch.arange(mask.shape[1], device=mask.device) == least[:, None])
    keep, starts = keep | only, starts | only
    index = starts.cumsum(1) - 1
    return index.masked_fill(~keep, -1), starts.sum(1), rescued


def average_segments(speech: Seq, index: Tensor, lens: Tensor) -> Seq:
    """Average the frames of each segment: (B, T, D) and index (B, T) -> (B, max(lens), D), summed in fp32."""
    data = speech.zero_padding().data
    rows, _, width = data.shape
    steps = int(lens.max()) if rows else 0
    slot = index.masked_fill(index < 0, steps)  # dropped frames share one slot, which is cut off
    total = data.new_zeros(rows, steps + 1, width, dtype=torch.promote_types(data.dtype, torch.float32))
    total = total.scatter_add(1, slot[..., None].expand(-1, -1, width), data.to(total.dtype))
    count = total.new_zeros(rows, steps + 1).scatter_add(1, slot, torch.ones_like(slot, dtype=total.dtype))
    mean = total / count.clamp(min=1)[..., None]
    return Seq(mean[:, :steps].to(data.dtype), lens)


class CtcCompressBridge(nn.Module):
    """Compress by the CTC head's most probable units, then LayerNorm and Linear.

    The compression bridge of arXiv 2312.03668 (drop blank frames; average runs of the same unit), and
    removal by blank probability, which arXiv 2411.07607 finds the most robust. The choice itself is not
    differentiable: the encoder learns through the kept frames and the CTC loss, which must stay on. Before the head
    has learnt anything it predicts blank everywhere, so compression can be switched on late (`warmup_steps`).

    (B, T, dim_in) -> (B, T', dim_out), 1 <= T' <= T for rows with any step. Needs CTC logits with the same lengths.
    Notes: `kept_ratio` (steps out / steps in), `all_blank` (rows that only the never-empty rule saved), `compressing`
    (0 or 1).

    Options:
        mode: drop_blank keeps frames whose best unit is not blank; avg_runs averages every run of one best unit, blanks
            too; avg_runs_drop_blank leaves out the runs of blanks; prob_threshold keeps frames by blank probability.
        threshold: prob_threshold keeps a frame if its blank probability is below this, above 0 and at most 1.
        warmup_steps: training batches before compression switches on, 0 for from the start.
        warmup_stride: until then every so many frames are averaged to one, 1 to pass them all on.
    """

    uses_ctc: bool = True
    steps: Tensor

    def __init__(
        self,
        dim_in: int,
        dim_out: int,
        *,
        mode: Literal["drop_blank", "avg_runs", "avg_runs_drop_blank", "prob_threshold"] = "prob_threshold",
        threshold: float = 0.95,
        warmup_steps: int = 0,
        warmup_stride: int = 4,
    ) -> None:
        super().__init__()
        if mode not in MODES:
            raise ValueError(f"bridge ctc_compress: mode must be one of {', '.join(MODES)}, is {mode!r}")
        if not 0 < threshold <= 1:
            raise ValueError(f"bridge ctc_compress: threshold must be above 0 and at most 1, is {threshold}")
        if warmup_steps < 0 or warmup_stride < 1:
            what = f"warmup_steps must be >= 0, is {warmup_steps}; warmup_stride >= 1, is {warmup_stride}"
            raise ValueError(f"bridge ctc_compress: {what}")
        self.mode, self.threshold = mode, threshold
        self.warmup_steps, self.warmup_stride = warmup_steps, warmup_stride
        self.notes: dict[str, float] = {}
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))  # training batches seen
        self.norm = nn.LayerNorm(dim_in)
        self.output = nn.Linear(dim_in, dim_out)

    def forward(self, speech: Seq, ctc_logits: Seq | None = None) -> Seq:
        """Compress and project; ValueError without CTC logits."""
        if ctc_logits is None:
            raise ValueError("bridge ctc_compress: needs ctc_logits; give the model a head of kind ctc")
        assert ctc_logits.data.shape[:2] == speech.data.shape[:2], "CTC logits and speech must have the same steps"
        compressed = (
            self._compress(speech, ctc_logits) if self._compressing() else mean_pool(speech, self.warmup_stride)
        )
        self.notes["kept_ratio"] = compressed.lens.sum().item() / max(1, speech.lens.sum().item())
        return compressed.with_data(self.output(self.norm(compressed.data)))

    def _compressing(self) -> bool:
        """Count a training batch and tell whether the warm-up is over; a model that was never trained compresses."""
        seen = int(self.steps) if self.warmup_steps else 0
        if self.training and self.warmup_steps:
            self.steps += 1
        on = seen >= self.warmup_steps or (seen == 0 and not self.training)
        self.notes["compressing"] = float(on)
        return on

    def _compress(self, speech: Seq, ctc_logits: Seq) -> Seq:
        index, lens, rescued = segments(ctc_logits, self.mode, self.threshold)
        self.notes["all_blank"] = float(rescued.sum().item())
        return average_segments(speech, index, lens)
