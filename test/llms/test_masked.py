"""The small BERT that a recipe trains: its masks, its windows, its files, and that it learns and can teach."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from speechlm.bin.main import main
from speechlm.core.errors import UserError
from speechlm.llms.masked import (
    IGNORED,
    SPECIAL,
    MaskedOptions,
    hide,
    make_piece_tokenizer,
    neighbour_vectors,
    train_masked_lm,
    windows,
)
from speechlm.llms.teacher import TextTeacher, words_of

LINES = ["the cat sat on the mat", "a dog's bone lay on the floor", "the mat lay on the floor"] * 20
SMALL = {"dim": 16, "layers": 2, "heads": 2, "pieces": 60, "window": 24, "batch": 96}


def test_masks_are_eight_one_one_of_ten_and_never_at_the_ends() -> None:
    generator = torch.Generator().manual_seed(1)
    ids = torch.full((2000, 30), 7)
    seen, labels = hide(ids, 0.2, 4, 50, generator)
    asked = labels != IGNORED
    assert not asked[:, [0, -1]].any() and (labels[asked] == 7).all()
    assert abs(float(asked[:, 1:-1].float().mean()) - 0.2) < 0.01
    shares = [float((part & asked).sum() / asked.sum()) for part in (seen == 4, seen == 7)]
    assert abs(shares[0] - 0.8) < 0.02 and abs(shares[1] - 0.1) < 0.02
    assert (seen[~asked] == 7).all() and int(seen.min()) == 4 and not (seen[asked & (seen != 4)] < len(SPECIAL)).any()


def test_windows_are_running_text_between_special_ids() -> None:
    cut = windows(torch.arange(10, 200), (2, 3), MaskedOptions(**SMALL), torch.Generator().manual_seed(1))
    for ids in [next(cut) for _ in range(6)]:
        assert ids.shape == (4, 24) and (ids[:, 0] == 2).all() and (ids[:, -1] == 3).all()
        assert (ids[:, 2:-1] - ids[:, 1:-2] == 1).all() and int(ids[:, 1:-1].max()) < 200


def test_pieces_with_the_same_neighbours_have_like_vectors() -> None:
    generator = torch.Generator().manual_seed(1)
    middle = torch.randint(0, 4, (3000,), generator=generator)  # 0 and 1 stand between 4 and 5, 2 and 3 between 6 and 7
    stream = torch.stack([4 + 2 * (middle // 2), middle, 5 + 2 * (middle // 2)], dim=1).flatten()
    torch.manual_seed(1)
    vectors = torch.nn.functional.normalize(neighbour_vectors(stream, 9, 5, reach=1), dim=1)
    assert vectors.shape == (9, 5) and vectors[8].isnan().logical_not().all()
    assert float(vectors[0] @ vectors[1]) > 0.9 and float(vectors[2] @ vectors[3]) > 0.9 > abs(float(vectors[0] @ vectors[2])) + 0.4


def test_words_are_cut_into_pieces_whose_places_are_known() -> None:
    tokenizer = make_piece_tokenizer(LINES, 60)
    found = tokenizer("the dog's mat", return_offsets_mapping=True, add_special_tokens=False)
    assert tokenizer.is_fast and tokenizer.unk_token_id not in found["input_ids"]
    assert tokenizer("the")["input_ids"][:: 2] == [tokenizer.cls_token_id, tokenizer.sep_token_id]
    assert {end for _, end in found["offset_mapping"]} >= {3, 9, 13}


def test_it_learns_is_the_same_from_the_same_seed_and_teaches(tmp_path: Path) -> None:
    for name, seed, steps in (("a", 1, 400), ("b", 1, 2), ("c", 1, 2), ("d", 2, 2)):
        train_masked_lm(tmp_path / name, LINES, LINES, MaskedOptions(**{**SMALL, "dim": 32}, steps=steps, seed=seed, lr=5e-3))
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in "bcd"]
    assert weights[0] == weights[1] != weights[2]
    facts = {name: json.loads((tmp_path / name / "masked.json").read_text()) for name in "ab"}
    assert facts["a"]["held_out_loss"] < 0.85 * facts["b"]["held_out_loss"]
    assert facts["a"]["held_out_accuracy"] > facts["b"]["held_out_accuracy"] + 0.05
    teacher = TextTeacher(lambda text: [ord(letter) for letter in text], checkpoint=str(tmp_path / "a"), num_layers=2)
    assert teacher.dims == [32, 32] and teacher.measure(LINES) == 1.0
    assert len(words_of(LINES[1])) == 7


def test_the_command_reads_kaldi_text(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("".join(f"u{i:03d} {line.upper()}!\n" for i, line in enumerate(LINES)), encoding="utf-8")
    sizes = ["--dim", "16", "--layers", "1", "--heads", "2", "--pieces", "60", "--steps", "2", "--batch", "192"]
    text = str(tmp_path / "text")
    assert main(["make_masked_lm", "--kaldi", "--text", text, "--held_out", text, "--out", str(tmp_path / "lm"), *sizes]) == 0
    vocab = json.loads((tmp_path / "lm/tokenizer.json").read_text())["model"]["vocab"]
    assert "cat" in vocab and not any("u0" in piece or "!" in piece for piece in vocab)
    assert json.loads((tmp_path / "lm/config.json").read_text())["num_hidden_layers"] == 1


@pytest.mark.parametrize("options, message", [
    ({"dim": 15}, "dim a multiple of heads"), ({"steps": 0}, "must be at least 1"), ({"window": 600}, "window must be 24 to 512"),
    ({"mask": 1.0}, "mask between 0 and 1"),
])  # fmt: skip
def test_sizes_that_do_not_fit_are_told(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        MaskedOptions(**{**SMALL, **options})


def test_too_little_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a text of 0 pieces is too short"):
        train_masked_lm(tmp_path / "lm", LINES, [], MaskedOptions(**SMALL))
