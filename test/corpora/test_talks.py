"""The corpus of chapters read aloud: order, readers apart, one voice a chapter, and what a user can get wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechlm.bin.main import main
from speechlm.core.errors import UserError
from speechlm.corpora.talks import Line, TalksCorpus, even_pieces, share_readers
from speechlm.io.datadir import DataDir
from speechlm.text.context import ConversationContext, conversation_sides

SENTENCE = "the old man went to the market and bought a fish for his wife who was ill at home"


def transcripts(path: Path) -> Path:
    """Six readers with two chapters of three sentences each."""
    rows = [
        f"{reader}-{chapter}-{number:04d} {' '.join(SENTENCE.split()[: 3 + (reader + chapter + 5 * number) % 16]).upper()} {number}"
        for reader in range(10, 16) for chapter in (1, 2) for number in range(3)
    ]  # fmt: skip
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


@given(st.lists(st.sampled_from("abc"), max_size=60), st.integers(1, 13))
def test_pieces_are_few_even_and_the_whole_text(words: list[str], longest: int) -> None:
    pieces = [piece.split() for piece in even_pieces(" ".join(words), longest)]
    assert [word for piece in pieces for word in piece] == words
    sizes = [len(piece) for piece in pieces]
    assert len(sizes) == -(-len(words) // longest)
    assert not sizes or (max(sizes) <= longest and max(sizes) - min(sizes) <= 1)


def test_readers_are_in_one_split_only() -> None:
    lines = [Line(f"{reader}-1-{i}", f"{reader}-1", "a") for reader in "abcdefgh" for i in range(4)]
    shared = share_readers(lines, {"train": 9, "dev": 3, "test": 5}, seed=1)
    assert {split: len(found) for split, found in shared.items()} == {"train": 9, "dev": 3, "test": 5}
    readers = [{line.chapter for line in found} for found in shared.values()]
    assert sum(map(len, readers)) == len(set().union(*readers)) == 6
    assert shared == share_readers(lines, {"train": 9, "dev": 3, "test": 5}, seed=1)
    assert any(share_readers(lines, {"train": 9, "dev": 3, "test": 5}, seed=s) != shared for s in (2, 3))
    with pytest.raises(UserError, match="32 utterances of 8 readers are too few: train has 20 of 40"):
        share_readers(lines, {"train": 40, "dev": 3, "test": 5}, seed=1)


def test_context_is_what_was_read_before_and_after(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader")
    counts = ["--num_train", "12", "--num_dev", "2", "--num_test", "3", "--max_words", "6", "--num_voices", "2", "--nj", "1"]
    place = ["--data", str(tmp_path / "data"), "--text_file", str(transcripts(tmp_path / "t"))]
    assert main(["prepare", "talks", *place, *counts]) == 0
    data = DataDir(tmp_path / "data" / "train")
    assert len(data.text) == 12 and max(len(text.split()) for text in data.text.values()) <= 6
    assert len(list((tmp_path / "data/wav/synthetic_train").glob("*.wav"))) == 12
    sides = conversation_sides(data.text, utt2spk=data.utt2spk)
    longest = max(sides, key=len)
    context = ConversationContext(sides, data.text, str.split, budget=100)
    found = context.of(longest[1])
    assert found.past == data.text[longest[0]].split()
    assert found.future == [word for name in longest[2:] for word in data.text[name].split()]


def test_a_chapter_has_one_voice_and_all_splits_have_the_same_ones(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader")
    corpus = TalksCorpus(
        tmp_path, text_file=str(transcripts(tmp_path / "t")), num_train=12, num_dev=6, num_test=6, num_voices=2, nj=1
    )
    voices = {}
    for split, lines in corpus.plan().items():
        jobs = corpus._jobs(split, lines, tmp_path)
        voices[split] = {job.speaker for job in jobs}
        assert all(len({job.speaker for job in jobs if job.id.startswith(chapter)}) == 1 for chapter in {x.chapter for x in lines})
    assert voices["train"] == voices["test"] == voices["dev"] and len(voices["train"]) == 2


@pytest.mark.parametrize("options, message", [
    ({}, "--text_file: what shall be read"),
    ({"text_file": "nowhere"}, "nowhere: no such text file"),
    ({"text_file": "nowhere", "max_words": 0}, "each must be at least 1"),
    ({"text_file": "nowhere", "noise": 1.5}, "must be a share from 0 to 1"),
])  # fmt: skip
def test_mistakes_are_told(options: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        TalksCorpus(tmp_path, **options).plan()


def test_ids_without_chapters_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("a-1 some words\n", encoding="utf-8")
    with pytest.raises(UserError, match="'a-1' is not READER-CHAPTER-NUMBER"):
        TalksCorpus(tmp_path, text_file=str(tmp_path / "t")).plan()
