"""The LLM's wrapper gives what the Hugging Face model gives, causally, and the same alone and in a batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from speechlm.core.errors import UserError
from speechlm.core.registry import signature
from speechlm.core.seq import Seq
from speechlm.llms import KINDS
from speechlm.llms.causal import CausalLLM
from test.families.checkpoints import TEXT, tiny_checkpoint

ARCHITECTURES = list(TEXT)


def llm(kind: str, **options: object) -> CausalLLM:
    return CausalLLM(checkpoint=str(tiny_checkpoint(kind)), **options).eval()


def prompt(model: CausalLLM, lens: list[int]) -> Seq:
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randn(n, model.dim, generator=generator) * 0.02 for n in lens]
    return Seq.of(rows, 7.0)


@pytest.mark.parametrize("kind", ARCHITECTURES)
@torch.no_grad()
def test_logits_are_those_of_the_hugging_face_model(kind: str) -> None:
    model = llm(kind)
    ids = torch.randint(5, model.vocab_size, (2, 9), generator=torch.Generator().manual_seed(0))
    hidden = model.hidden(Seq(model.embed(ids), torch.tensor([9, 9])))
    torch.testing.assert_close(
        model.logits(hidden[:, 3:6].flatten(0, 1)), model.model(ids).logits[:, 3:6].flatten(0, 1)
    )


@pytest.mark.parametrize("kind", ARCHITECTURES)
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@torch.no_grad()
def test_causal_and_the_same_alone_as_in_a_padded_batch(kind: str, attention: str) -> None:
    model = llm(kind, attention=attention)
    prompts = prompt(model, [12, 5, 1])
    states = model.hidden(prompts)
    for row, found in zip(prompts.rows(), Seq(states, prompts.lens).rows(), strict=True):
        torch.testing.assert_close(model.hidden(Seq.of([row]))[0], found, atol=1e-5, rtol=1e-4)
    push = torch.randn(model.dim, generator=torch.Generator().manual_seed(1))
    changed = prompts.data.clone()
    changed[0, -1] += push
    difference = (model.hidden(Seq(changed, prompts.lens)) - states)[0].abs().amax(-1)
    assert (difference[:-1] < 1e-6).all() and difference[-1] > 1e-3
    changed = prompts.data.clone()
    changed[0, 0] += push
    assert (model.hidden(Seq(changed, prompts.lens)) - states)[0, -1].abs().max() > 1e-5


def test_facts_of_the_checkpoint() -> None:
    model = llm("qwen2")
    weight = model.model.get_input_embeddings().weight
    assert (model.vocab_size, model.dim) == tuple(weight.shape) and model.dim == 32
    assert model.embedding_rms == pytest.approx(weight.square().mean().sqrt().item(), rel=1e-5)
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_dtype_of_the_weights() -> None:
    model = llm("qwen2", dtype="bfloat16")
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert model.hidden(Seq(model.embed(torch.tensor([[6, 7]])), torch.tensor([2]))).isfinite().all()


def test_gradient_flows_through_frozen_weights_with_and_without_checkpointing() -> None:
    gradients = []
    for checkpointing in (False, True):
        model = llm("qwen2", gradient_checkpointing=checkpointing).train()
        model.requires_grad_(False)
        prompts = prompt(model, [6, 3])
        prompts.data.requires_grad_()
        calls = []
        for layer in model.model.model.layers:
            layer.mlp.register_forward_pre_hook(lambda *_: calls.append(1))  # noqa: B023
        model.hidden(prompts)[0, -1].sum().backward()
        assert len(calls) == len(model.model.model.layers) * (2 if checkpointing else 1)
        gradients.append(prompts.data.grad)
    assert gradients[0].abs().sum() > 0
    torch.testing.assert_close(gradients[0], gradients[1])


def test_wrapped_by_peft_it_gives_the_same_and_trains_the_adapters() -> None:
    from peft import LoraConfig, get_peft_model

    model = llm("llama")
    prompts = prompt(model, [6, 3])
    before = model.hidden(prompts).detach()
    model.model = get_peft_model(model.model, LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))
    torch.testing.assert_close(model.hidden(prompts), before)
    model.logits(model.hidden(prompts)[0]).sum().backward()
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert len(trained) == 3 * 2 * 2
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for name, p in trained.items() if "lora_B" in name)


def test_more_steps_than_positions_is_told() -> None:
    model = llm("gpt2")
    with pytest.raises(ValueError, match="the LLM has 512 positions, prompt and answer need 513"):
        model.hidden(Seq(torch.zeros(1, 513, 32), torch.tensor([513])))


@pytest.mark.parametrize("name, value, change", [
    ("logits_scaling", 4.0, lambda x: x / 4.0),
    ("logit_scale", 0.5, lambda x: x * 0.5),
    ("final_logit_softcapping", 0.1, lambda x: torch.tanh(x / 0.1) * 0.1),
])  # fmt: skip
@torch.no_grad()
def test_scaling_of_the_logits_by_the_configuration(name: str, value: float, change: object) -> None:
    model = llm("llama")
    hidden = torch.randn(3, 32)
    plain = model.logits(hidden)
    setattr(model.model.config, name, value)
    torch.testing.assert_close(model.logits(hidden), change(plain))  # type: ignore[operator]


@pytest.mark.parametrize("architecture", ["granite", "cohere", "gemma2"])
@torch.no_grad()
def test_architectures_that_scale_their_logits(architecture: str, tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = dict(vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2)
    scaling = {
        "granite": {"logits_scaling": 3.0},
        "cohere": {"logit_scale": 0.5},
        "gemma2": {"final_logit_softcapping": 0.5},
    }
    extra = {"num_key_value_heads": 2, "head_dim": 8} if architecture == "gemma2" else {"num_key_value_heads": 2}
    torch.manual_seed(0)
    config = AutoConfig.for_model(architecture, **sizes, **extra, **scaling[architecture], pad_token_id=0)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    model = CausalLLM(checkpoint=str(tmp_path)).eval()
    ids = torch.tensor([[5, 9, 30, 7]])
    hidden = model.hidden(Seq(model.embed(ids), torch.tensor([4])))
    torch.testing.assert_close(model.logits(hidden[0]), model.model(ids).logits[0])


def test_a_folder_that_is_not_there_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for name, words in (
        ("exp/none", "cannot be reached"),
        ("./exp/none", "no such folder"),
        ("/exp/a/b/c", "no such folder"),
    ):
        with pytest.raises(UserError, match=words) as found:
            CausalLLM(checkpoint=name)
        assert name in str(found.value) and "\n" not in str(found.value) and "give a folder" in str(found.value)


def test_an_incomplete_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="cannot be loaded") as found:
        CausalLLM(checkpoint=str(tmp_path))
    assert "\n" not in str(found.value)


def test_no_pickled_weights(tmp_path: Path) -> None:
    """A folder that has pytorch_model.bin only is refused: unpickling runs code."""
    import shutil

    source = tiny_checkpoint("llama")
    shutil.copy(source / "config.json", tmp_path)
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match="safetensors"):
        CausalLLM(checkpoint=str(tmp_path))


def test_the_table_and_the_docstring() -> None:
    assert KINDS == {"causal": "speechlm.llms.causal:CausalLLM"}
    found = signature("llm", "causal")
    assert [option.name for option in found.options] == ["checkpoint", "dtype", "attention", "gradient_checkpointing"]
    assert all(option.sentence.endswith(".") for option in found.options)
