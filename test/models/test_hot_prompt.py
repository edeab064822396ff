"""The list of phrases in the prompt: its place among the tokens, alone = in a batch, and that a trained model reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from speechlm.bridges.linear import LinearBridge
from speechlm.core.batch import Batch
from speechlm.core.seq import Seq
from speechlm.data.collate import collate
from speechlm.data.dataset import Example
from speechlm.decoding.constraints import SearchOptions
from speechlm.decoding.llm import LLMBeamSearch
from speechlm.encoders.conv import ConvEncoder
from speechlm.llms.causal import CausalLLM
from speechlm.llms.tiny import make_tiny_llm
from speechlm.llms.tokenizer import encode_text, load_llm_tokenizer, prompt_of
from speechlm.losses.lm import LmLoss
from speechlm.models.speech_llm import SpeechLLM
from speechlm.text.hot_list import HotListOptions, HotLists

SECTION = {"hot_share": 0.5, "hot_template": "w: {words}.", "hot_join": ","}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("llm")
    make_tiny_llm(place, ["letters"], dim=32, layers=2, heads=4, ffn_dim=64, seed=0)
    return place


def model_of(folder: Path, template: str) -> SpeechLLM:
    torch.manual_seed(0)
    options = SECTION if "{hot}" in template else {}
    prompt = prompt_of(load_llm_tokenizer(str(folder)), {"prompt": template, **options})
    encoder, llm = ConvEncoder(20), CausalLLM(checkpoint=str(folder))
    return SpeechLLM(encoder, LinearBridge(encoder.dim, llm.dim, stride=2), llm, prompt).eval()


def batch_of(lens: list[int], answers: list[list[int]], hot: list[list[int]] | None) -> Batch:
    generator = torch.Generator().manual_seed(0)
    speech = [torch.randn(n, 20, generator=generator) for n in lens]
    return collate([
        Example(f"u{i}", speech[i].numpy(), lens[i] * 0.01, "", None, answers[i], "s", hot[i] if hot else None)
        for i in range(len(lens))
    ])  # fmt: skip


@pytest.mark.parametrize(
    "template", ["<s>ab{hot}c{speech}d{text}</s>", "<s>ab{speech}c{hot}d{text}</s>", "{hot}{speech}{text}</s>"]
)
def test_the_list_stands_in_its_slot(folder: Path, template: str) -> None:
    """A plain loop over the utterances, through Hugging Face's own forward, gives the same logits."""
    model, tokenizer = model_of(folder, template), load_llm_tokenizer(str(folder))

    def tokens(text: str) -> list[int]:
        return [tokenizer.bos_token_id] * text.startswith("<s>") + encode_text(tokenizer, text.removeprefix("<s>"))

    written = [["p", "qr"], [], ["s"]]
    hot = [model.prompt.hot.write(phrases, tokens) for phrases in written]
    answers = [[40, 41, 3], [42, 3], [3]]
    batch = batch_of([37, 80, 9], answers, hot)
    output = model(batch)
    expected = []
    for row, phrases, answer in zip(output.speech_embeddings.rows(), written, answers, strict=True):
        text = f"w: {','.join(phrases)}." if phrases else ""
        before, after = (
            tokens(part) for part in template.replace("{hot}", text).removesuffix("{text}</s>").split("{speech}")
        )
        embed = model.llm.embed
        left, right = (torch.tensor(ids, dtype=torch.int64) for ids in (before, [*after, *answer]))
        inputs = torch.cat([embed(left), row, embed(right)])
        logits = model.llm.model(inputs_embeds=inputs[None]).logits[0]
        expected.append(logits[len(inputs) - len(answer) - 1 : -1])
    torch.testing.assert_close(output.answer_logits, torch.cat(expected), atol=2e-5, rtol=1e-4)
    assert output.answer_labels.tolist() == [token for answer in answers for token in answer]


def test_alone_is_as_in_a_padded_batch(folder: Path) -> None:
    model = model_of(folder, "<s>{hot}{speech}{text}</s>")
    lens, answers, hot = [9, 80, 33], [[40, 3], [41, 42, 43, 3], [3]], [[50, 51, 52, 53, 54], [], [50]]
    whole = batch_of(lens, answers, hot)
    prompts = model.prompts(model.encode(whole.speech).speech_embeddings, whole.hot)
    together = model(whole).answer_logits.split([2, 4, 1])
    for i, row in enumerate(whole.speech.rows()):
        one = Batch(["u"], Seq.of([row]), torch.ones(1), [""], answers=Seq.of([torch.tensor(answers[i])]),
                    hot=Seq.of([torch.tensor(hot[i], dtype=torch.int64)]))  # fmt: skip
        torch.testing.assert_close(model(one).answer_logits, together[i], atol=2e-5, rtol=1e-4)
        alone = model.prompts(model.encode(one.speech).speech_embeddings, one.hot).data[0]
        torch.testing.assert_close(alone, prompts.rows()[i], atol=2e-5, rtol=1e-4)


def test_without_lists_all_is_as_without_a_slot(folder: Path) -> None:
    slot, plain = model_of(folder, "<s>{hot}{speech}{text}</s>"), model_of(folder, "<s>{speech}{text}</s>")
    lens, answers = [9, 30], [[40, 3], [41, 42, 3]]
    none = batch_of(lens, answers, None)
    assert none.hot is None
    truth = plain(none).answer_logits
    assert torch.equal(slot(none).answer_logits, truth)
    assert torch.equal(slot(batch_of(lens, answers, [[], []])).answer_logits, truth)
    with pytest.raises(ValueError, match="has no place for a list"):
        plain(batch_of(lens, answers, [[5], []]))


LETTERS = "bcdfghjk"


class Deaf(nn.Module):
    """Hears the same in every utterance."""

    dim = 20

    def forward(self, speech: Seq) -> Seq:
        return speech


def test_a_trained_model_says_what_the_list_says(folder: Path) -> None:
    """The sound tells nothing; the phrase of a list is right in more than half of the utterances that have one."""
    model, tokenizer = model_of(folder, "<s>{hot}{speech}{text}</s>").train(), load_llm_tokenizer(str(folder))
    model.encoder, model.bridge = Deaf(), LinearBridge(20, model.llm.dim, stride=2)
    for weight in model.llm.parameters():
        if weight.dim() > 1:
            nn.init.normal_(weight, std=0.15)

    def encode(text: str) -> list[int]:
        return encode_text(tokenizer, text)

    def write(phrases: list[str]) -> list[int]:
        return model.prompt.hot.write(phrases, encode)

    lists = HotLists(HotListOptions(0.9, 1), [(len(LETTERS), LETTERS.__getitem__)], write)
    optimizer = torch.optim.Adam(model.parameters(), lr=6e-3)

    def batch(texts: str, hot: list[list[int]]) -> Batch:
        return collate([Example("u", np.ones((4, 20), np.float32), 0.2, "", None, encode(text) + model.prompt.end, "s", row)
                        for text, row in zip(texts, hot, strict=True)])  # fmt: skip

    for step in range(200):
        texts = LETTERS * 4
        drawn = [lists.tokens(text, f"{step}/{i}") for i, text in enumerate(texts)]
        given = batch(texts, drawn)
        total, count = LmLoss()(model(given), given)
        optimizer.zero_grad()
        (total / count).backward()
        optimizer.step()
    model.eval()
    with torch.inference_mode():
        given = batch(LETTERS, [write([letter]) for letter in LETTERS])
        prompts = model.prompts(model.encode(given.speech).speech_embeddings, given.hot)
        search = LLMBeamSearch(model.llm.model, model.llm.embed, model.prompt.end, SearchOptions(beam=2))
        found = search.search(prompts, [4] * len(LETTERS))
    assert [tokenizer.decode(rows[0].tokens) for rows in found] == list(LETTERS)
