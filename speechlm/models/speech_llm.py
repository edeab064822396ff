"""Encoder, bridge and LLM: the speech stands in the LLM's prompt as a run of embeddings (2312.03668, 2409.16005, 2406.17272)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from speechlm.core.batch import Batch, Output
from speechlm.core.seq import Seq
from speechlm.text.prompt import Prompt


def join(parts: list[Seq]) -> Seq:
    """Put sequences (B, T_i, D) behind each other, row by row, and push the padding to the right end.

    The result is as if every row had been joined alone: no padding stays between two parts.
    """
    data = torch.cat([part.data for part in parts], dim=1)  # (B, sum T_i, D)
    mask = torch.cat([part.mask for part in parts], dim=1)
    lens = mask.sum(dim=1)
    order = torch.argsort(~mask, dim=1, stable=True)[:, : int(lens.max())]  # real steps first, in their order
    return Seq(torch.gather(data, 1, order[..., None].expand(-1, -1, data.shape[-1])), lens).zero_padding()


class SpeechLLM(nn.Module):
    """The answer's tokens follow prompt and speech: `before`, speech, `between`, answer, end.

    Logits are computed on the positions that predict the answer and its end, nowhere else: with a vocabulary of 151,936
    this is a quarter of the memory of all positions.
    """

    def __init__(
        self, encoder: nn.Module, bridge: nn.Module, llm: nn.Module, prompt: Prompt, head: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.bridge = bridge
        self.llm = llm
        self.head = head
        self.prompt = prompt

    def encode(self, speech: Seq) -> Output:
        """Give the encoder's output, the CTC logits where there is a head, and the speech in the LLM's width."""
        encoded = self.encoder(speech)
        ctc_logits = self.head(encoded) if self.head is not None else None
        embeddings = self.bridge(encoded, ctc_logits)
        notes = {**getattr(self.encoder, "notes", {}), **getattr(self.bridge, "notes", {})}
        return Output(encoded=encoded, ctc_logits=ctc_logits, speech_embeddings=embeddings, notes=notes)

    def prompts(self, speech_embeddings: Seq, hot: Seq | None = None) -> Seq:
        """Put the prompt's tokens around the speech: (B, T, D) embeddings that the answer follows.

        hot: (B, H) tokens of each utterance's list of phrases, for the prompt's slot {hot}; None leaves all lists empty.
        """
        if hot is not None and self.prompt.hot is None:
            raise ValueError(f"the prompt {self.prompt.template!r} has no place for a list of phrases")
        before, between = self._fixed("before", hot, speech_embeddings), self._fixed("between", hot, speech_embeddings)
        dtype = before[0].data.dtype
        return join([*before, Seq(speech_embeddings.data.to(dtype), speech_embeddings.lens), *between])

    def _fixed(self, part: Literal["before", "between"], hot: Seq | None, like: Seq) -> list[Seq]:
        """Embed the same ids in every row, (B, len(ids), D), and each row's list among them where its slot is here."""
        rows, device = len(like.lens), like.lens.device
        ids = self.prompt.before if part == "before" else self.prompt.between

        def same(ids: list[int]) -> Seq:
            tokens = torch.tensor(ids, dtype=torch.int64, device=device).expand(rows, -1)
            return Seq(self.llm.embed(tokens), torch.full((rows,), len(ids), dtype=torch.int64, device=device))

        slot = self.prompt.hot
        if hot is None or slot is None or slot.part != part:
            return [same(ids)]
        return [same(ids[: slot.at]), Seq(self.llm.embed(hot.data), hot.lens), same(ids[slot.at :])]

    def forward(self, batch: Batch) -> Output:
        """Give logits and labels of the answers' positions, and what the other losses read."""
        if batch.answers is None:
            raise ValueError("the batch has no answers: the dataset must be given the LLM's tokenizer")
        output = self.encode(batch.speech)
        assert output.speech_embeddings is not None
        prompts = self.prompts(output.speech_embeddings, batch.hot)
        answers = batch.answers
        embedded = Seq(self.llm.embed(answers.data.clamp(min=0)), answers.lens)
        read = Seq(embedded.data[:, :-1], answers.lens - 1)  # the last token is predicted, never read
        hidden = self.llm.hidden(join([prompts, read]))  # (B, T, D)
        output.answer_logits = self.llm.logits(_answer_rows(hidden, prompts.lens, answers))
        output.answer_labels = answers.data[answers.mask]
        words = answers.lens - len(self.prompt.end)
        output.text_embeddings = Seq(embedded.data, words).zero_padding()
        return output


def _answer_rows(hidden: Tensor, prompt_lens: Tensor, answers: Seq) -> Tensor:
    """Pick the states (N, D) that predict the answers' tokens: the one before each token, row after row."""
    steps = torch.arange(answers.data.shape[1], device=hidden.device)
    index = (prompt_lens - 1)[:, None] + steps[None, :]  # (B, U)
    rows = torch.arange(len(hidden), device=hidden.device)[:, None].expand_as(index)
    return hidden[rows[answers.mask], index[answers.mask]]
