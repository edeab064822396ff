"""Pull the bridge's output towards the LLM's own token embeddings of the transcript."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechlm.core.batch import Batch, Output
from speechlm.core.seq import Seq

Attention = Literal["dot", "scaled", "normalised", "projection"]


class MatchingLoss(nn.Module):
    """Read the speech with the transcript's token embeddings, and compare what is read with them.

    The matching loss of arXiv 2406.17272: cross attention with the tokens as queries and the bridge's output as keys
    and values makes a speech sequence A of the transcript's length; the loss of a token is mse * MSE(A, E) +
    cosine * (1 - cos(A, E)). All of it in fp32; the text side E is detached, or moving E would be the easiest way
    down. Token embeddings are small (RMS about 0.01 to 0.02), so dots divided by the root of the width are all alike
    and nothing is aligned: `normalised` compares directions instead. Utterances without text or speech are skipped.

    For training only: it needs the transcript. Notes: `matching_entropy`, the mean entropy of the attention in nats,
    and `matching_entropy_uniform`, what it would be if every step were read alike.

    dim: width of the LLM.

    Options:
        attention: scores of step against token: dot, scaled (dot / sqrt(width)), normalised (cosine) or projection
            (learned queries and keys).
        temperature: divides the scores, above 0; 0 takes 0.1 for normalised and 1 for the others.
        mse: weight a of the mean squared error.
        mse_over: the squared error of a token is the mean or the sum over the width, or relative to the mean square of
            its embedding.
        cosine: weight b of one minus the cosine.
        attention_dim: width of the learned queries and keys of projection, 0 for 256; must be 0 for the others.
    """

    needs_dim: bool = True

    def __init__(
        self,
        dim: int,
        *,
        attention: Literal["dot", "scaled", "normalised", "projection"] = "normalised",
        temperature: float = 0.0,
        mse: float = 1.0,
        mse_over: Literal["mean", "sum", "relative"] = "mean",
        cosine: float = 1.0,
        attention_dim: int = 0,
    ) -> None:
        super().__init__()
        if attention not in ("dot", "scaled", "normalised", "projection"):
            raise ValueError(
                f"loss matching: attention must be dot, scaled, normalised or projection, is {attention!r}"
            )
        if mse_over not in ("mean", "sum", "relative"):
            raise ValueError(f"loss matching: mse_over must be mean, sum or relative, is {mse_over!r}")
        if temperature < 0 or mse < 0 or cosine < 0 or mse + cosine == 0:
            raise ValueError("loss matching: temperature, mse and cosine must be >= 0, and one of the weights above 0")
        if attention_dim and attention != "projection":
            raise ValueError(f"loss matching: attention_dim is for attention: projection, not for {attention}")
        self.attention, self.mse, self.mse_over, self.cosine = attention, mse, mse_over, cosine
        self.temperature = temperature or (0.1 if attention == "normalised" else 1.0)
        if attention == "projection":
            self.query = nn.Linear(dim, attention_dim or 256, bias=False)
            self.key = nn.Linear(dim, attention_dim or 256, bias=False)

    def forward(self, output: Output, batch: Batch) -> tuple[Tensor, Tensor]:
        """Give (sum over the transcripts' tokens, number of tokens); ValueError without speech and text embeddings."""
        speech, text = _both(output)
        weights = self.weights(speech, text)
        # Utterances without speech or text have no weights and no valid token.
        valid = text.mask & (speech.lens > 0)[:, None]  # (B, U)
        read = (weights @ speech.data)[valid]  # (N, D)
        wanted = text.data[valid]
        total = self.mse * self._squared_error(read, wanted) + self.cosine * (
            1 - F.cosine_similarity(read, wanted, dim=-1)
        )
        self._note(output, weights.detach()[valid], speech.lens, valid)
        return total.sum(), valid.sum()

    def weights(self, speech: Seq, text: Seq) -> Tensor:
        """Attention (B, U, T) of each token over the speech; real tokens' rows sum to 1 over real steps."""
        queries, keys = text.data, speech.data
        if self.attention == "normalised":
            queries, keys = F.normalize(queries, dim=-1), F.normalize(keys, dim=-1)
        elif self.attention == "projection":
            queries, keys = self.query(queries), self.key(keys)
        scores = queries @ keys.transpose(1, 2) / self.temperature
        if self.attention in ("scaled", "projection"):
            scores = scores / queries.shape[-1] ** 0.5
        # -1e9 and not -inf: rows without any speech must not become NaN.
        return scores.masked_fill(~speech.mask[:, None], -1e9).softmax(-1)

    @torch.no_grad()
    def maps(self, output: Output) -> list[Tensor]:
        """Give each utterance's attention (U_b, T_b), for a picture."""
        speech, text = _both(output)
        rows = zip(self.weights(speech, text), text.lens.tolist(), speech.lens.tolist(), strict=True)
        return [row[:tokens, :steps] for row, tokens, steps in rows]

    def _squared_error(self, read: Tensor, wanted: Tensor) -> Tensor:
        error = (read - wanted).square()
        if self.mse_over == "sum":
            return error.sum(-1)
        if self.mse_over == "relative":
            return error.mean(-1) / wanted.square().mean(-1).clamp(min=1e-12)
        return error.mean(-1)

    def _note(self, output: Output, weights: Tensor, steps: Tensor, valid: Tensor) -> None:
        """Write the attention's mean entropy down, from the weights (N, T) of real tokens."""
        if not len(weights):
            return
        entropy = -(weights * weights.clamp(min=1e-20).log()).sum(-1).mean()
        uniform = steps[:, None].expand_as(valid)[valid].float().log().mean()
        output.notes["matching_entropy"] = entropy.item()
        output.notes["matching_entropy_uniform"] = uniform.item()


def _both(output: Output) -> tuple[Seq, Seq]:
    """Give speech and detached text embeddings with zero padding, in fp32 (fp64 stays)."""
    if output.speech_embeddings is None or output.text_embeddings is None:
        raise ValueError("loss matching: the model gives no speech and text embeddings; it needs model speech_llm")
    speech, text = output.speech_embeddings.zero_padding(), output.text_embeddings.zero_padding()
    wide = torch.promote_types(speech.data.dtype, torch.float32)
    return speech.with_data(speech.data.to(wide)), text.with_data(text.data.detach().to(wide))
