"""The assembly of prompt, speech and answer: exact positions, exact labels, alone = in a padded batch (PAPERS 6, T1 T2 T5)."""


import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from speechlm.bridges.linear import LinearBridge
from speechlm.core.batch import Batch
from speechlm.core.seq import Seq
from speechlm.encoders.conv import ConvEncoder
from speechlm.heads.ctc import CtcHead
from speechlm.llms.causal import CausalLLM
from speechlm.llms.tiny import make_tiny_llm
from speechlm.losses.lm import LmLoss
from speechlm.models.speech_llm import SpeechLLM, join
from speechlm.text.prompt import Prompt

PROMPT = Prompt(before=[1, 7], between=[9], end=[2])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SpeechLLM:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("llm")
    make_tiny_llm(folder, ["some text of letters"], dim=32, layers=2, heads=4, ffn_dim=64, seed=0)
    encoder = ConvEncoder(20)
    llm = CausalLLM(checkpoint=str(folder))
    bridge = LinearBridge(encoder.dim, llm.dim, stride=2)
    return SpeechLLM(encoder, bridge, llm, PROMPT, CtcHead(encoder.dim, 11)).eval()


def batch_of(lens: list[int], answers: list[list[int]], seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    speech = [torch.randn(n, 20, generator=generator) for n in lens]
    return Batch([f"u{i}" for i in range(len(lens))], Seq.of(speech), torch.tensor(lens) * 0.01, [""] * len(lens),
                 answers=Seq.of([torch.tensor(a) for a in answers]))  # fmt: skip


@settings(max_examples=50)
@given(st.lists(st.lists(st.integers(0, 5), min_size=3, max_size=3), min_size=1, max_size=4))
def test_join_is_as_if_every_row_were_joined_alone(lens: list[list[int]]) -> None:
    parts = [Seq.of([torch.randn(row[i], 2) + 5 for row in lens]) for i in range(3)]
    if max(sum(row) for row in lens) == 0:
        return
    whole = join(parts)
    for row, rows in zip(whole.rows(), zip(*(part.rows() for part in parts), strict=True), strict=True):
        assert torch.equal(row, torch.cat(rows))
    assert whole.data[~whole.mask].eq(0).all()


def test_logits_are_the_llms_own_at_the_answer_positions(model: SpeechLLM) -> None:
    """A plain loop over one utterance, through Hugging Face's own forward, gives the same logits and labels."""
    batch = batch_of([37, 12], [[4, 5, 6, 2], [8, 2]])
    output = model(batch)
    speech = model.encode(batch.speech).speech_embeddings
    expected, labels = [], []
    for row, answer in zip(speech.rows(), batch.answers.rows(), strict=True):
        embed = model.llm.embed
        inputs = torch.cat(
            [embed(torch.tensor(PROMPT.before)), row, embed(torch.tensor(PROMPT.between)), embed(answer)]
        )
        logits = model.llm.model(inputs_embeds=inputs[None]).logits[0]
        first = len(PROMPT.before) + len(row) + len(PROMPT.between)
        for i, token in enumerate(answer.tolist()):
            expected.append(logits[first + i - 1])
            labels.append(token)
    assert output.answer_labels.tolist() == labels == [4, 5, 6, 2, 8, 2]
    torch.testing.assert_close(output.answer_logits, torch.stack(expected), atol=2e-5, rtol=1e-4)


def test_alone_is_as_in_a_padded_batch(model: SpeechLLM) -> None:
    lens, answers = [9, 80, 33], [[4, 2], [5, 6, 7, 8, 2], [2]]
    together = model(batch_of(lens, answers))
    speech = batch_of(lens, answers).speech.rows()
    start = 0
    for row, answer in zip(speech, answers, strict=True):
        alone = model(Batch(["u"], Seq.of([row]), torch.tensor([1.0]), [""], answers=Seq.of([torch.tensor(answer)])))
        torch.testing.assert_close(
            together.answer_logits[start : start + len(answer)], alone.answer_logits, atol=2e-5, rtol=1e-4
        )
        start += len(answer)


def test_prompts_are_what_training_reads_before_the_answer(model: SpeechLLM) -> None:
    output = model.encode(batch_of([37, 12], [[2], [2]]).speech)
    prompts = model.prompts(output.speech_embeddings)
    assert prompts.lens.tolist() == [n + 3 for n in output.speech_embeddings.lens.tolist()]
    torch.testing.assert_close(prompts.rows()[1][:2], model.llm.embed(torch.tensor([1, 7])))
    torch.testing.assert_close(prompts.rows()[1][-1], model.llm.embed(torch.tensor(9)))


def test_the_answer_never_sees_what_comes_later(model: SpeechLLM) -> None:
    """Causality probe: the last answer token is predicted, never read; an earlier logit does not move with a later token."""
    first = model(batch_of([37], [[4, 5, 6, 2]])).answer_logits
    second = model(batch_of([37], [[4, 5, 10, 2]])).answer_logits
    torch.testing.assert_close(first[:3], second[:3])
    assert not torch.allclose(first[3], second[3])


def test_text_embeddings_leave_the_end_out(model: SpeechLLM) -> None:
    output = model(batch_of([37, 12], [[4, 5, 2], [2]]))
    assert output.text_embeddings.lens.tolist() == [2, 0]


def test_loss_reaches_every_parameter_but_the_unused_head(model: SpeechLLM) -> None:
    batch = batch_of([37, 12], [[4, 5, 2], [8, 2]])
    model.zero_grad()
    total, count = LmLoss()(model(batch), batch)
    assert int(count) == 5
    total.backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None]
    assert all(name.startswith("head.") for name in missing), missing
    model.zero_grad()
