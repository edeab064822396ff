"""Hand the LLM what the CTC head heard, as the unit embeddings that the LLM learnt to read before any speech."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from speechlm.bridges.ctc_compress import average_segments, segments
from speechlm.core.seq import Seq


class CtcLookupBridge(nn.Module):
    """Weight a table of unit embeddings by the CTC head's posteriors, one vector for each run of a unit.

    After pinyin-to-character pre-training (arXiv 2409.16005) the LLM reads a table of pinyin embeddings. Where a CTC
    head on the same units stands on the encoder, its posteriors say what to look up: with the table taken over
    (`train.start_names: [encoder.table=bridge.table]`) the model is a cascade before its first step, but one that
    hands on doubt, since a vector is a mean over the units in question, and that can be trained on. Runs are found as
    in `ctc_compress` (arXiv 2312.03668). The encoder's own vectors are added through a projection that starts near zero.

    (B, T, dim_in) -> (B, T', dim_out), 1 <= T' <= T for rows with any step. Needs CTC logits with the same lengths.
    Notes: `kept_ratio` (steps out / steps in), `all_blank` (rows that only the never-empty rule saved), `certainty`
    (mean probability of a run's best unit).

    Options:
        mode: avg_runs_drop_blank gives a vector to every run of one best unit but blank; drop_blank to every frame
            whose best unit is not blank; prob_threshold to every frame with a blank probability below threshold.
        threshold: of prob_threshold, above 0 and at most 1.
        temperature: divides the logits before the softmax; above 0; larger hands on more doubt.
        features: add the encoder's own vectors, projected.
        init_std: standard deviation of a fresh table.
    """

    uses_ctc: bool = True
    wants_units: bool = True

    def __init__(
        self,
        dim_in: int,
        dim_out: int,
        num_units: int,
        *,
        mode: Literal["avg_runs_drop_blank", "drop_blank", "prob_threshold"] = "avg_runs_drop_blank",
        threshold: float = 0.95,
        temperature: float = 1.0,
        features: bool = True,
        init_std: float = 0.02,
    ) -> None:
        super().__init__()
        if not 0 < threshold <= 1 or temperature <= 0:
            what = f"threshold must be above 0 and at most 1, is {threshold}; temperature above 0, is {temperature}"
            raise ValueError(f"bridge ctc_lookup: {what}")
        self.mode: Literal["avg_runs_drop_blank", "drop_blank", "prob_threshold"] = mode
        self.threshold, self.temperature = threshold, temperature
        self.notes: dict[str, float] = {}
        self.table = nn.Embedding(num_units, dim_out)
        nn.init.normal_(self.table.weight, std=init_std)
        self.norm = nn.LayerNorm(dim_in) if features else None
        self.project = nn.Linear(dim_in, dim_out) if features else None
        if self.project is not None:
            nn.init.normal_(self.project.weight, std=1e-3 * init_std)
            nn.init.zeros_(self.project.bias)

    def forward(self, speech: Seq, ctc_logits: Seq | None = None) -> Seq:
        """Look up and compress; ValueError without CTC logits of this table's units."""
        if ctc_logits is None:
            raise ValueError("bridge ctc_lookup: needs ctc_logits; give the model a head of kind ctc")
        assert ctc_logits.data.shape[:2] == speech.data.shape[:2], "CTC logits and speech must have the same steps"
        index, lens, rescued = segments(ctc_logits, self.mode, self.threshold)
        units = average_segments(ctc_logits.with_data(self._posteriors(ctc_logits.data)), index, lens)
        self.notes["all_blank"] = float(rescued.sum().item())
        self.notes["kept_ratio"] = lens.sum().item() / max(1, speech.lens.sum().item())
        self.notes["certainty"] = units.data.detach().amax(-1)[units.mask].mean().item() if len(lens) else 0.0
        looked_up = units.data.to(self.table.weight.dtype) @ self.table.weight
        if self.norm is not None and self.project is not None:
            looked_up = looked_up + self.project(self.norm(average_segments(speech, index, lens).data))
        return Seq(looked_up, lens).zero_padding()

    def _posteriors(self, logits: Tensor) -> Tensor:
        """(B, T, units) -> the same in fp32: probabilities of the units other than blank, which sum to 1."""
        scores = logits.float() / self.temperature
        blank = torch.zeros_like(scores, dtype=torch.bool)
        blank[..., 0] = True
        return scores.masked_fill(blank, -torch.inf).softmax(-1)
