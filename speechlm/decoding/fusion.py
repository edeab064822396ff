"""Another LM's opinion in the LLM's beam search (shallow fusion, Gulcehre et al. 2015, section 4.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from speechlm.core.errors import UserError
from speechlm.decoding.reader import Reader, plain_model


class LMFusion:
    """Shallow fusion: `weight` times the log probability that another causal LM of the same tokens gives.

    model: a transformers causal LM in eval mode. embed: its token embeddings. prompt: tokens it reads before the answer
    (its start token); at least one. ends: the LLM's end token -> the one that ends the other LM's texts, where it is another:
    the text may end with either, so the sum of both probabilities counts.
    """

    def __init__(
        self,
        model: nn.Module,
        embed: Callable[[Tensor], Tensor],
        prompt: list[int],
        weight: float,
        ends: Mapping[int, int] | None = None,
    ) -> None:
        if not prompt:
            raise UserError("lm prompt: must hold at least one token, the LM's start token")
        self.model = plain_model(model)
        self.embed = embed
        self.prompt = prompt
        self.weight = weight
        self.ends = {one: other for one, other in (ends or {}).items() if one != other}
        self.device = torch.device("cpu")

    def reweighted(self, weight: float) -> LMFusion:
        """Give the same LM with another weight."""
        return LMFusion(self.model, self.embed, self.prompt, weight, self.ends)

    def reader(self, slots: int, beam: int, device: torch.device, *, graphs: bool = False) -> Reader:
        """Make the state of one stream."""
        self.device = device
        return Reader(self.model, self.embed, slots, beam, device, graphs=graphs)

    def prompts(self, count: int) -> list[Tensor]:
        """Give the start (T, D) of `count` answers."""
        return [self.embed(torch.tensor(self.prompt, device=self.device))] * count

    def weigh(self, logits: Tensor, size: int) -> Tensor:
        """Turn logits (..., V) into what is added to the LLM's (..., size); tokens the LM lacks are ruled out."""
        scores = logits.float().log_softmax(-1)
        for end, own in self.ends.items():
            scores[..., end] = torch.logaddexp(scores[..., end], scores[..., own])
        scores = self.weight * scores[..., :size]
        return pad(scores, (0, size - scores.shape[-1]), value=-torch.inf)
