"""Predict a text model's vector for a token from the speech and the tokens before it."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from speechlm.core.seq import Seq


class RegressionHead(nn.Module):
    """Look for token u in the speech with the predictor's state before u, then regress the teacher's vector of u.

    The regression network R of arXiv 2309.04031, one for each representation; its inside is not printed there. With
    g_u, which has read the tokens before u only: c_u = sum_t softmax_t(W_q g_u . W_k h_t / sqrt(d)) h_t, and
    r_u = MLP([c_u; g_u]). A state *after* u would name the token and leave nothing to learn from the speech.
    For training only; never part of what decodes.

    encoded (B, T, dim_in), states (B, U, dim_state) -> (B, U, dim_out).

    Options:
        inputs: what the MLP sees; both, or for ablation text_only (no speech at all) or acoustic_only (the state then
            only says where to look).
        attention_dim: width of the queries and keys.
        hidden: width between the two layers of the MLP, 0 for dim_out.
        dropout: share of the MLP's inputs set to zero while training.
    """

    def __init__(
        self,
        dim_in: int,
        dim_state: int,
        dim_out: int,
        *,
        inputs: Literal["both", "text_only", "acoustic_only"] = "both",
        attention_dim: int = 256,
        hidden: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if inputs not in ("both", "text_only", "acoustic_only"):
            raise ValueError(f"head regression: inputs must be both, text_only or acoustic_only, is {inputs!r}")
        self.inputs, self.attention_dim = inputs, attention_dim
        if inputs != "text_only":
            self.query = nn.Linear(dim_state, attention_dim)
            self.key = nn.Linear(dim_in, attention_dim, bias=False)  # the softmax would cancel a bias
        width = {"both": dim_in + dim_state, "text_only": dim_state, "acoustic_only": dim_in}[inputs]
        self.mlp = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(width, hidden or dim_out), nn.GELU(), nn.Linear(hidden or dim_out, dim_out)
        )

    def forward(self, encoded: Seq, states: Seq) -> Seq:
        """Regress one vector for each state; `states` must be those *before* each token (drop the last of U + 1)."""
        if self.inputs == "text_only":
            return states.with_data(self.mlp(states.data))
        context = self.look(encoded, states.data)
        seen = context if self.inputs == "acoustic_only" else torch.cat([context, states.data], dim=-1)
        return states.with_data(self.mlp(seen))

    def look(self, encoded: Seq, states: Tensor) -> Tensor:
        """Average the speech as each state (B, U, dim_state) asks for it: (B, U, dim_in)."""
        encoded = encoded.zero_padding()
        scores = self.query(states) @ self.key(encoded.data).transpose(1, 2)  # (B, U, T)
        scores = scores.float() / self.attention_dim**0.5
        # -1e9 and not -inf: a row without any speech then averages zeros instead of becoming NaN.
        weights = scores.masked_fill(~encoded.mask[:, None], -1e9).softmax(-1)
        return weights.to(encoded.data.dtype) @ encoded.data
