"""Teachers: which layers, which words, which context, and no way for a gradient."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from speechlm.core.batch import Batch, Output
from speechlm.core.errors import UserError
from speechlm.core.seq import Seq
from speechlm.llms.teacher import Teachers, TextTeacher, layer_map, pieces_of, unit_ends, words_of
from speechlm.losses.distill import DistillLoss
from test.families.checkpoints import tiny_checkpoint

VOCAB = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "the",
    "cat",
    "##s",
    "sat",
    "on",
    "mat",
    "don",
    "'",
    "t",
    "very",
    "a",
]
UNITS = {letter: i for i, letter in enumerate(" abcdefghijklmnopqrstuvwxyz'", start=2)}


def spell(text: str) -> list[int]:
    """A recogniser whose units are characters."""
    return [UNITS.get(letter, 1) for letter in text]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny BERT with WordPieces, in Hugging Face's layout."""
    from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    (folder / "vocab.txt").write_text("\n".join(VOCAB) + "\n")
    BertTokenizerFast(vocab={word: i for i, word in enumerate(VOCAB)}, do_lower_case=True).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(VOCAB), hidden_size=8, num_hidden_layers=4, num_attention_heads=2,
                        intermediate_size=12, max_position_embeddings=40)  # fmt: skip
    BertForMaskedLM(config).save_pretrained(folder)
    return str(folder)


def batch(texts: dict[str, str]) -> Batch:
    lens = torch.zeros(len(texts), dtype=torch.int64)
    return Batch(list(texts), Seq(torch.zeros(len(texts), 0), lens), torch.zeros(len(texts)), list(texts.values()))


def test_layer_maps_of_a_12_layer_teacher() -> None:
    assert [layer_map("uniform", 12, k) for k in (1, 2, 3, 4)] == [[12], [6, 12], [4, 8, 12], [3, 6, 9, 12]]
    assert layer_map("uniform", 12, 6) == [2, 4, 6, 8, 10, 12] and layer_map("uniform", 12, 12) == list(range(1, 13))
    assert layer_map("last", 12, 2) == [11, 12] and layer_map("first", 12, 3) == [1, 2, 3]
    drawn = [layer_map("random", 12, 3) for _ in range(40)]
    assert all(layers == sorted(set(layers)) and len(layers) == 3 for layers in drawn)
    assert {i for layers in drawn for i in layers} == set(range(1, 13))
    for strategy, count in (("last", 0), ("last", 13), ("middle", 1)):
        with pytest.raises(UserError, match="^teacher: "):
            layer_map(strategy, 12, count)


def test_words_and_their_units() -> None:
    assert [("don't 你好 ok")[a:b] for a, b in words_of("don't 你好 ok")] == ["don't", "你", "好", "ok"]
    text = "the cats"
    assert unit_ends(text, words_of(text), spell) == [2, 7]
    merged = {"": [], "the": [5], "the cats": [9]}  # one unit for both words: only the last word ends with a unit
    assert unit_ends(text, words_of(text), lambda part: merged[part]) == [None, 0]
    assert unit_ends("ab ab", [(0, 2), (3, 5)], lambda part: [4]) == [0, None]


def test_pieces_that_overlap_a_word() -> None:
    offsets = [(0, 3), (3, 4), (5, 5), (5, 9), (9, 12)]
    assert pieces_of([(0, 4), (5, 7), (7, 12), (20, 22)], offsets) == [[0, 1], [3], [3, 4], []]


@torch.no_grad()
def test_vectors_are_those_of_the_model_at_the_words(bert: str) -> None:
    teacher = TextTeacher(spell, checkpoint=bert, layers="uniform", num_layers=2)
    taught = teacher(batch({"u1": "the cats sat", "u2": "a mat"}))
    ids = torch.tensor([[2, 5, 6, 7, 8, 3]])
    states = teacher.model(ids, output_hidden_states=True).hidden_states
    assert len(taught) == 2 and teacher.dims == [8, 8]
    for (positions, values), layer in zip(taught, (2, 4), strict=True):
        assert positions.rows()[0].tolist() == [2, 7, 11] and positions.rows()[1].tolist() == [0, 4]
        wanted = torch.stack([states[layer][0, 1], states[layer][0, 2:4].mean(0), states[layer][0, 4]])
        torch.testing.assert_close(values.rows()[0], wanted, atol=1e-5, rtol=1e-4)
    first = TextTeacher(spell, checkpoint=bert, layers="last", num_layers=1, pool="first")
    torch.testing.assert_close(
        first(batch({"u": "the cats sat"}))[0][1].data[0, 1], states[4][0, 2], atol=1e-5, rtol=1e-4
    )


def test_words_that_one_side_does_not_know_are_left_out_and_counted(bert: str) -> None:
    teacher = TextTeacher(spell, checkpoint=bert, num_layers=1)
    positions, _ = teacher(batch({"u": "the zebra sat don't", "v": ""}))[0]
    assert positions.rows()[0].tolist() == [2, 12, 18] and positions.lens.tolist() == [3, 0]
    assert teacher.coverage == 0.75 and teacher.notes == {"teacher_coverage": 0.75}


@torch.no_grad()
def test_context_changes_the_vectors_and_not_the_places(bert: str) -> None:
    texts = {"u1": "the cat", "u2": "sat on", "u3": "the mat"}
    sides = [["u1", "u2", "u3"]]
    plain = TextTeacher(spell, checkpoint=bert, num_layers=1)
    around = TextTeacher(spell, sides, texts, checkpoint=bert, num_layers=1, context=60)
    one = batch({"u2": "sat on"})
    (places, bare), (same, rich) = plain(one)[0], around(one)[0]
    assert torch.equal(places.data, same.data) and (bare.data - rich.data).abs().max() > 1e-4
    ids = torch.tensor([[2, 5, 6, 8, 9, 5, 10, 3]])
    wanted = around.model(ids).last_hidden_state[0, 3:5]
    torch.testing.assert_close(rich.data[0], wanted, atol=1e-5, rtol=1e-4)


def test_masking_hits_the_context_only_and_only_while_training(bert: str) -> None:
    texts = {"u1": "the cat sat on a very very mat", "u2": "sat on", "u3": "the mat sat"}
    teacher = TextTeacher(spell, [["u1", "u2", "u3"]], texts, checkpoint=bert, num_layers=1, context=20, mask=0.5)
    torch.manual_seed(0)
    pieces = [8, 9]
    drawn = [teacher._input("u2", pieces, True) for _ in range(20)]
    assert all(ids[start : start + 2] == pieces for ids, start in drawn)
    masks = [ids.count(4) for ids, _ in drawn]
    assert min(masks) < max(masks) and 3 < sum(masks) / len(masks) < 8  # 11 context tokens, half of them
    seen = []
    teacher.model.register_forward_pre_hook(lambda _, args: seen.append(args[0].clone()))
    with torch.no_grad():
        teacher(batch({"u2": "sat on"}))
    assert 4 not in seen[0]
    torch.manual_seed(0)
    teacher(batch({"u2": "sat on"}))
    assert 4 in seen[1]


def test_a_long_transcript_fits_the_positions(bert: str) -> None:
    teacher = TextTeacher(spell, [["u", "v"]], {"v": "the cat " * 9}, checkpoint=bert, num_layers=1, context=30)
    positions, values = teacher(batch({"u": "very " * 60, "w": "a"}))[0]
    assert positions.lens.tolist() == [38, 1] and values.data.isfinite().all()  # 40 positions less [CLS] and [SEP]
    positions, _ = teacher(batch({"u": "very " * 20}))[0]
    assert positions.lens.tolist() == [20]


def test_eval_no_gradient_no_module(bert: str) -> None:
    teacher = TextTeacher(spell, checkpoint=bert, num_layers=2)
    assert not teacher.model.training and not isinstance(teacher, torch.nn.Module)
    _, values = teacher(batch({"u": "the cat"}))[0]
    assert not values.data.requires_grad and not any(p.requires_grad for p in teacher.model.parameters())
    one, again = (teacher(batch({"u": "the cat"}))[1][1].data for _ in range(2))
    assert torch.equal(one, again)


def test_a_causal_teacher_and_a_masked_one_together(bert: str) -> None:
    causal = TextTeacher(spell, [["u"]], {}, checkpoint=str(tiny_checkpoint("qwen2")), layers="last", num_layers=1,
                         context=10, direction="past")  # fmt: skip
    both = Teachers([TextTeacher(spell, checkpoint=bert, num_layers=2), causal])
    assert both.dims == [8, 8, 32]
    given = batch({"u": "the cat"})
    taught = both(given)
    assert [values.data.shape[-1] for _, values in taught] == both.dims
    assert both.notes == {"teacher_coverage_0": 1.0, "teacher_coverage_1": 1.0}
    said = [Seq(torch.randn(1, 7, dim, requires_grad=True), torch.tensor([7])) for dim in both.dims]
    total, count = DistillLoss(both)(Output(representations=said), given)
    total.backward()
    assert count.item() == 2 and all(seq.data.grad is not None and seq.data.grad.abs().sum() > 0 for seq in said)


@pytest.mark.parametrize("options, words", [
    ({"num_layers": 5}, "num_layers must be from 1 to the model's 4"),
    ({"context": 10}, "needs to know which utterances follow each other"),
    ({"mask": 1.0}, "mask must be from 0 to below 1"),
])  # fmt: skip
def test_impossible_options_are_refused(options: dict[str, Any], words: str, bert: str) -> None:
    with pytest.raises(UserError, match=words):
        TextTeacher(spell, checkpoint=bert, **options)


@pytest.mark.parametrize("options, words", [
    ({"context": 10}, "never sees the future"),
    ({"mask": 0.1}, "has no mask token"),
])  # fmt: skip
def test_what_a_causal_teacher_cannot(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        TextTeacher(spell, [["u"]], {}, checkpoint=str(tiny_checkpoint("gpt2")), **options)


def test_a_recogniser_of_words_for_chinese(tmp_path: Path) -> None:
    """Every Chinese character is a word; characters that the recogniser joins are aligned where its unit ends."""
    teacher = TextTeacher(lambda text: [2] * (len(text) // 2), checkpoint=str(tiny_checkpoint("llama")), num_layers=1)
    positions, _ = teacher(batch({"u": "你好天地"}))[0]
    assert positions.data.tolist() == [[0, 1]] and teacher.coverage == 0.5
