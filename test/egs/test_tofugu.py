"""egs/tofugu: real words and synthesised phrases in kana, parts that are trained first, then the ablation of 2312.03668."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from speechlm.core.errors import UserError
from speechlm.corpora.base import prepare
from speechlm.corpora.tofugu import TofuguCorpus
from speechlm.io.datadir import DataDir
from test.corpora.miniature import sound, write
from test.egs.recipe import copy_recipe, environment, run
from test.paths import shared

WORDS = {"荒々しい": "あらあらしい", "衣": "ころも", "便秘": "べんぴ", "面白い": "おもしろい", "気候": "きこう", "徐々": "じょじょ"}
SENTENCES = ("みずおまれえしあからかわなくてわならないのです", "もくよおび、てえせんかいだんわ、しゅうりょおしました", "アイウ、あい")
SYLLABLES = "あかさたなはまらわいきしちにみりうくすつぬふむゆる"


def _pack(place: Path) -> Path:
    """A pack as the real one: two words in each split, with their readings in manifest.tsv."""
    rows = ["utt\tsplit\ttext\treading"]
    for i, (word, reading) in enumerate(WORDS.items()):
        split, utt = ("train", "dev", "test")[i // 2], f"tofugu_{'fm'[i % 2]}-{i:05d}"
        sound(place / f"audio/{utt}.wav", seconds=0.5)
        folder = place / "data" / split
        for name, value in (("wav.scp", f"audio/{utt}.wav"), ("text", word), ("utt2spk", utt[:8])):
            old = (folder / name).read_text(encoding="utf-8").splitlines() if (folder / name).exists() else []
            write(folder / name, *old, f"{utt} {value}")
        rows.append(f"{utt}\t{split}\t{word}\t{reading}")
    write(place / "manifest.tsv", *rows)
    return place


def test_words_in_either_spelling(tmp_path: Path) -> None:
    pack = _pack(tmp_path / "pack")
    for reading, wanted in ((False, ["荒々しい", "衣"]), (True, ["あらあらしい", "ころも"])):
        corpus = TofuguCorpus(pack, reading=reading)
        prepare(corpus, ["train"], tmp_path / f"data{reading}")
        assert list(DataDir(tmp_path / f"data{reading}/train").text.values()) == wanted
    lines = (pack / "manifest.tsv").read_text(encoding="utf-8").splitlines()
    write(pack / "manifest.tsv", *lines[:2])
    with pytest.raises(UserError, match="manifest.tsv: no reading of utterance 'tofugu_m-00001'"):
        list(TofuguCorpus(pack, reading=True).utterances("train"))
    write(pack / "manifest.tsv", "utt\ttext")
    with pytest.raises(UserError, match="manifest.tsv:1: no column reading"):
        list(TofuguCorpus(pack, reading=True).utterances("train"))


def test_the_real_pack_has_a_reading_of_every_word() -> None:
    corpus = TofuguCorpus(shared("data/ja_tofugu_words"), reading=True)
    found = {split: list(corpus.utterances(split)) for split in corpus.splits}
    assert {split: len(utterances) for split, utterances in found.items()} == {"train": 900, "dev": 60, "test": 100}
    assert all("ぁ" <= letter <= "ー" for utterance in found["test"] for letter in utterance.text)


def test_sentences_become_phrases_of_hiragana(tmp_path: Path) -> None:
    recipe = copy_recipe("tofugu", tmp_path)
    done = subprocess.run(["local/phrases.pl", "4", "15"], cwd=recipe, input="\n".join(SENTENCES * 2) + "\n", capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert done.stdout.split() == ["もくよおび", "てえせんかいだんわ", "しゅうりょおしました"]


def test_from_words_and_readings_to_both_tables(tmp_path: Path) -> None:
    recipe, pack = copy_recipe("tofugu", tmp_path), _pack(tmp_path / "pack")
    phrases = [f"{a}{b}{c}{a}" for a in SYLLABLES for b in SYLLABLES[:3] for c in "んう"]
    write(tmp_path / "readings.txt", *phrases)
    short = "--optim.steps 2 --optim.warmup 1 --train.valid_every 2"
    output = run(
        recipe, "--corpus_dir", str(pack), "--readings", str(tmp_path / "readings.txt"), "--num_train", "24", "--num_held_out", "8",
        "--dim", "24", "--layers", "1", "--nj", "1", "--train_options", short,
        "--sweep_options", f"--rows lora_adapt --seeds 1 {short}",
    )  # fmt: skip
    page = (recipe / "RESULTS.md").read_text(encoding="utf-8")
    for row in ("conv, stride 4, source only: all frozen", "LoRA on the GPT, encoder and bridge frozen"):
        assert page.count(f"| {row}") == 2, "one line for each of the two sets"
    assert "\ntest:\n" in page and "\nsource_test:\n" in page
    for text in (output, page):
        rows = [line.split("|") for line in text.splitlines() if line.startswith("| start-seed1 -> lora_adapt-seed1")]
        assert [row[2].strip() for row in rows] == ["target", "source"]
    told = json.loads((recipe / "exp/ablation/lora_adapt-seed1/model.json").read_text(encoding="utf-8"))
    assert told["trained"] == 8 * ((24 + 72) + (24 + 24)), "adapters of q, k, v (one matrix in GPT-NeoX) and o, nothing else"
    held = {name: set((recipe / f"data/source_{name}/utt2spk").read_text().split("\n")) - {""} for name in ("train", "dev", "test")}
    assert [len(held[name]) for name in ("train", "dev", "test")] == [16, 3, 5]
    again = subprocess.run(["./run.sh", "--stage", "0", "--stop_stage", "0", "--corpus_dir", str(pack), "--readings",
                            str(tmp_path / "readings.txt"), "--num_train", "24", "--num_held_out", "8", "--nj", "1"],
                           cwd=recipe, env=environment(), capture_output=True, text=True)  # fmt: skip
    assert again.returncode == 0 and again.stdout.count("nothing to do") == 2, again.stdout + again.stderr
