"""Cross entropy of the LLM on the answers' tokens."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from speechlm.core.batch import Batch, Output


class LmLoss:
    """Sum of -log p(token) over the answers' tokens, the end token included; the count is their number.

    Prompt and speech positions are not in `answer_logits`, so they cannot enter (arXiv 2312.03668). The
    softmax is done in fp32 whatever the model computes in. Notes `token_accuracy`: the share of tokens that are the
    most probable one, given the right tokens before.

    Options:
        label_smoothing: share of the target's probability spread evenly over the vocabulary, 0 <= value < 1.
        chunk: rows of logits that are brought to fp32 at once, 0 for all; the backward pass then computes each chunk's
            softmax again instead of keeping it (rows * vocabulary * 4 bytes).
    """

    def __init__(self, *, label_smoothing: float = 0.0, chunk: int = 0) -> None:
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"loss lm: label_smoothing must be from 0 to below 1, is {label_smoothing}")
        if chunk < 0:
            raise ValueError(f"loss lm: chunk must be >= 0, is {chunk}")
        self.label_smoothing, self.chunk = label_smoothing, chunk

    def __call__(self, output: Output, batch: Batch) -> tuple[Tensor, Tensor]:
        """Give (sum over tokens, number of tokens); ValueError if the model gives no answer logits."""
        logits, labels = output.answer_logits, output.answer_labels
        if logits is None or labels is None:
            raise ValueError("loss lm: the model gives no answer_logits; it needs model speech_llm")
        with torch.no_grad():
            count = torch.tensor(len(labels), device=labels.device)
            output.notes["token_accuracy"] = (logits.argmax(-1) == labels).float().mean().item() if len(labels) else 0.0
        if not self.chunk or len(labels) <= self.chunk:
            return self._sum(logits, labels), count
        parts = zip(logits.split(self.chunk), labels.split(self.chunk), strict=True)
        sums = [checkpoint(self._sum, part, label, use_reentrant=False) for part, label in parts]
        return torch.stack(sums).sum(), count

    def _sum(self, logits: Tensor, labels: Tensor) -> Tensor:
        if not len(labels):
            return logits.float().sum()  # 0, tied to the graph
        wide = logits if logits.dtype == torch.float64 else logits.float()
        return F.cross_entropy(wide, labels, reduction="sum", label_smoothing=self.label_smoothing)
