from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from transformers import AutoModel

from speechlm.core.errors import UserError
from speechlm.core.seq import Seq
from speechlm.encoders.plm import PlmEncoder
from speechlm.nn.adapt import LoraOptions, adapt, trainable_parameters
from speechlm.nn.attention import attention_mask
from speechlm.nn.pretrained import transformer_layers, weights_hash
from speechlm.nn.subsample import stack_steps
from test.families.checkpoints import TEXT, tiny_checkpoint

MELS = 10
every_model = pytest.mark.parametrize("kind", TEXT)
both_ways = pytest.mark.parametrize("attention", ["sdpa", "eager"])


def build(kind: str = "qwen2", **options: Any) -> PlmEncoder:
    torch.manual_seed(0)
    return PlmEncoder(MELS, checkpoint=str(tiny_checkpoint(kind)), channels=2, **options).eval()


def feats(*lengths: int) -> Seq:
    return Seq.of([torch.randn(n, MELS, generator=torch.Generator().manual_seed(n)) for n in lengths])


def change_last(speech: Seq) -> Seq:
    """Change the last true frame of every row."""
    data = speech.data.clone()
    for row, length in enumerate(speech.lens.tolist()):
        data[row, length - 1] += 3
    return Seq(data, speech.lens)


def change_first(speech: Seq) -> Seq:
    data = speech.data.clone()
    data[:, 0] += 3
    return Seq(data, speech.lens)


@every_model
@both_ways
@pytest.mark.parametrize("lengths", [(80,), (80, 33)], ids=["alone", "padded"])
@torch.no_grad()
def test_every_step_sees_every_other(kind, attention, lengths):
    encoder, speech = build(kind, attention=attention), feats(*lengths)
    before, after = encoder(speech), encoder(change_last(speech))
    back = encoder(change_first(speech))
    for row, length in enumerate(before.lens.tolist()):
        assert not torch.equal(before.data[row, 0], after.data[row, 0])
        assert not torch.equal(before.data[row, length - 1], back.data[row, length - 1])


@every_model
@both_ways
@pytest.mark.parametrize("lengths", [(80,), (80, 33)], ids=["alone", "padded"])
@torch.no_grad()
def test_a_causal_step_sees_earlier_ones_only(kind, attention, lengths):
    encoder, speech = build(kind, attention=attention, causal=True), feats(*lengths)
    before, after = encoder(speech), encoder(change_last(speech))
    back = encoder(change_first(speech))
    for row, length in enumerate(before.lens.tolist()):
        assert torch.equal(before.data[row, : length - 1], after.data[row, : length - 1])
        assert not torch.equal(before.data[row, length - 1], after.data[row, length - 1])
        assert not torch.equal(before.data[row, length - 1], back.data[row, length - 1])


@every_model
@torch.no_grad()
def test_causal_layers_compute_what_the_language_model_computes(kind):
    encoder = build(kind, causal=True)
    model = AutoModel.from_pretrained(tiny_checkpoint(kind)).eval()
    vectors = 0.02 * torch.randn(1, 9, 32)
    expected = model(inputs_embeds=vectors).last_hidden_state
    ours = encoder._run(Seq(vectors, torch.tensor([9]))).data
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)


@every_model
@pytest.mark.parametrize("causal", [True, False])
def test_a_model_that_goes_its_own_way_is_refused(kind, causal, monkeypatch):
    wrong = attention_mask(torch.tensor([4]), 4, causal=not causal).expand(1, 1, 4, 4)
    monkeypatch.setattr(PlmEncoder, "_mask", lambda self, lens, size, dtype: wrong)
    with pytest.raises(UserError, match=f"it cannot serve with causal: {causal}"):
        build(kind, causal=causal)


@torch.no_grad()
def test_input_has_the_size_of_token_embeddings():
    model = AutoModel.from_pretrained(tiny_checkpoint("qwen2"))
    expected = model.embed_tokens.weight.square().mean().sqrt().item()
    for scale in (0.25, 1.0, 4.0):
        encoder = build(input_scale=scale)
        encoder(feats(50, 7))
        assert encoder.notes["embedding_rms"] == pytest.approx(expected)
        assert encoder.notes["input_rms"] == pytest.approx(scale * expected, rel=1e-3)
        assert encoder.notes["update_ratio"] > 0


@torch.no_grad()
def test_update_ratio_is_what_the_layers_add():
    encoder, speech = build(), feats(40)
    given, last = [], []
    encoder.layers()[0].register_forward_pre_hook(lambda module, args: given.append(args[0]))
    encoder.layers()[-1].register_forward_hook(lambda module, args, out: last.append(out))
    encoder(speech)
    ratio = (last[0] - given[0]).norm() / given[0].norm()
    assert encoder.notes["update_ratio"] == pytest.approx(ratio.item(), rel=1e-4)


@every_model
@torch.no_grad()
def test_a_slice_keeps_these_layers_and_the_final_norm(kind):
    encoder, whole = build(kind, layer_slice="0,2"), AutoModel.from_pretrained(tiny_checkpoint(kind))
    kept = [transformer_layers(whole)[i].state_dict() for i in (0, 2)]
    for layer, expected in zip(encoder.layers(), kept, strict=True):
        assert all(torch.equal(value, expected[name]) for name, value in layer.state_dict().items())
    norms = ("norm", "ln_f", "final_layer_norm")
    norm = next(module for name, module in encoder.model.named_children() if name in norms)
    seen: list[torch.Tensor] = []
    norm.register_forward_hook(lambda module, args, out: seen.append(out))
    out = encoder(feats(20))
    assert out.data.shape == (1, 5, 32)
    assert torch.equal(out.data, seen[0])


def test_the_embedding_is_dropped():
    encoder = build()
    assert not any("embed_tokens" in name for name in encoder.state_dict())
    per_layer = sum(p.numel() for p in encoder.layers()[0].parameters())
    assert sum(p.numel() for p in encoder.model.parameters()) == 3 * per_layer + 32


def test_parameters_of_qwen15_05b_are_the_closed_form():
    """2409.17750: 308.4 M without the embedding."""
    from transformers import Qwen2Config, Qwen2Model

    config = Qwen2Config(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, num_key_value_heads=16,
                         intermediate_size=2816, vocab_size=151936)  # fmt: skip
    with torch.device("meta"):
        model = Qwen2Model(config)
    model.set_input_embeddings(torch.nn.Identity())
    attention, mlp = 4 * 1024 * 1024 + 3 * 1024, 3 * 1024 * 2816
    count = sum(p.numel() for p in model.parameters())
    assert count == 24 * (attention + mlp + 2 * 1024) + 1024
    assert round(count / 1e6, 1) == 308.4


def test_random_weights_come_from_the_seed_alone():
    torch.manual_seed(1)
    first = build(init="random", init_seed=5)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    second = PlmEncoder(MELS, checkpoint=str(tiny_checkpoint("qwen2")), channels=2, init="random", init_seed=5)
    assert weights_hash(first.model) == weights_hash(second.model)
    assert weights_hash(first.model) != weights_hash(build(init="random", init_seed=6).model)
    assert weights_hash(first.model) != weights_hash(build().model)
    assert first.embedding_rms == build().embedding_rms  # the control gets inputs of the same size
    torch.set_rng_state(state)


def test_shuffled_has_the_same_layers_in_another_order():
    plain, mixed = build("llama"), build("llama", init="shuffled", init_seed=1)
    hashes = [[weights_hash(layer) for layer in encoder.layers()] for encoder in (plain, mixed)]
    assert hashes[0] != hashes[1] and sorted(hashes[0]) == sorted(hashes[1])


def test_scrambled_keeps_every_tensors_values_and_no_tensor():
    plain, mixed = build("gpt2"), build("gpt2", init="scrambled")
    for (name, ours), (_, theirs) in zip(plain.layers()[1].named_parameters(), mixed.layers()[1].named_parameters()):
        assert torch.equal(ours.flatten().sort().values, theirs.flatten().sort().values)
        assert torch.equal(ours, theirs) == (ours.flatten().unique().numel() == 1), name


@every_model
def test_dropout_is_residual_and_acts_where_the_model_has_none(kind):
    encoder, speech = build(kind, dropout=0.5, input_dropout=0.0).train(), feats(40)
    for layer in encoder.layers():
        for module in layer.modules():
            if hasattr(module, "attention_dropout"):
                module.attention_dropout = 0.0
        if kind == "gpt2":
            layer.attn.attn_dropout.p = layer.attn.config.attn_pdrop = 0.0
    assert not torch.equal(encoder(speech).data, encoder(speech).data)
    off = build(kind, dropout=0.0, input_dropout=0.0).train()
    if kind != "gpt2":  # whose attention dropout is 0.1 by its configuration
        assert torch.equal(off(speech).data, off(speech).data)


def test_dropout_of_one_leaves_the_input_to_the_final_norm():
    encoder = build("qwen3", dropout=1.0, input_dropout=0.0).train()
    encoder(feats(40))
    assert encoder.notes["update_ratio"] == 0


@torch.no_grad()
def test_form_b_takes_another_encoders_output():
    encoder = PlmEncoder(24, checkpoint=str(tiny_checkpoint("llama")), front="none").eval()
    speech = Seq.of([torch.randn(9, 24), torch.randn(4, 24)])
    out = encoder(speech)
    assert out.lens.tolist() == [9, 4]
    torch.testing.assert_close(out.rows()[1], encoder(Seq.of([speech.rows()[1]])).data[0], atol=1e-5, rtol=1e-4)


def test_trained_parameters_of_the_four_rows():
    """Frozen, random-frozen: front end only; full: all; LoRA: the closed form besides the front end."""
    front = 2 * 9 + 2 + 2 * 2 * 9 + 2 + (2 * 3 * 32 + 32) + 32
    layer = 2 * (32 * 32) + 32 + 2 * (32 * 16 + 16) + 32 * 32 * 0 + 3 * 32 * 48 + 2 * 32
    for options in ({}, {"init": "random"}):
        assert sum(trainable_parameters(adapt(build(**options), "frozen")).values()) == front
    assert sum(trainable_parameters(adapt(build(), "full")).values()) == front + 3 * layer + 32
    lora = adapt(build(), "lora", LoraOptions(rank=4))
    assert sum(trainable_parameters(lora).values()) == front + 3 * 4 * (2 * (32 + 32) + 2 * (32 + 16))


@pytest.mark.parametrize("kind", ["qwen2", "gpt2"])
def test_recomputed_activations_give_the_same_gradient(kind):
    found = []
    for recompute in (False, True):
        encoder = build(kind, gradient_checkpointing=recompute).train()
        torch.manual_seed(0)
        encoder(feats(30, 20)).data.square().sum().backward()
        found.append([p.grad for p in encoder.parameters() if p.grad is not None])
    assert len(found[0]) == len(found[1])
    for one, other in zip(*found):
        torch.testing.assert_close(one, other)


def test_more_steps_than_learned_positions_are_told():
    with pytest.raises(UserError, match="512 learned positions, an utterance needs 513"):
        build("gpt2", subsampling=2)(feats(1025))


def test_a_slice_that_is_not_there_is_told():
    with pytest.raises(UserError, match="has 3 layers, 0 to 2"):
        build(layer_slice="0-3")


def test_a_copy_works_alone():
    encoder = build()
    other = copy.deepcopy(encoder)
    other(feats(20))
    assert other.notes and not encoder.notes


def test_configuration_tells_the_direction():
    assert build().model.config.is_causal is False
    assert build(causal=True).model.config.is_causal is True


def test_stacking_takes_a_step_for_its_neighbours_and_is_not_for_convolutions():
    encoder, speech = build(front="none", stack=3), feats(7, 4)
    assert encoder(speech).lens.tolist() == [3, 2] and encoder.seconds_per_step == 0.03
    changed = speech.data.clone()
    changed[0, 6] += 3  # the last step, alone in its group
    first = [encoder.linear(stack_steps(Seq(data, speech.lens), 3).data)[0] for data in (speech.data, changed)]
    assert torch.equal(first[0][:2], first[1][:2]) and not torch.equal(first[0][2], first[1][2])
    with pytest.raises(UserError, match="encoder.stack 2: .* convolutions, which have subsampling"):
        build(stack=2)
    with pytest.raises(UserError, match="encoder.stack 0"):
        build(front="none", stack=0)
