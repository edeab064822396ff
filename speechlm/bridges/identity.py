"""No bridge at all, for encoders that already speak in the LLM's width."""

from __future__ import annotations

from torch import nn

from speechlm.core.seq import Seq


class IdentityBridge(nn.Module):
    """Hand the encoder's output on unchanged, as for pinyin embeddings made in the LLM's width (arXiv 2409.16005).

    (B, T, D) -> (B, T, D). Raises ValueError when the widths differ: choose `linear` with stride 1 then.

    Options:
        none.
    """

    uses_ctc: bool = False

    def __init__(self, dim_in: int, dim_out: int) -> None:
        super().__init__()
        if dim_in != dim_out:
            raise ValueError(
                f"bridge identity: the encoder's width {dim_in} must be the LLM's {dim_out}; use linear with stride 1"
            )
        self.notes: dict[str, float] = {}

    def forward(self, speech: Seq, ctc_logits: Seq | None = None) -> Seq:
        """Return `speech`; CTC logits are not used."""
        return speech
