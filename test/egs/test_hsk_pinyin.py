"""egs/hsk/asr1/run_pinyin.sh: sentences, words, texts, an encoder, text models, recognisers and tables; a few utterances and steps."""

import json
from itertools import permutations
from pathlib import Path

from test.egs.miniatures import record
from test.egs.recipe import copy_recipe, run

WORDS = {"train": ("广州", "城市", "情况", "市场"), "dev": ("分析",), "test": ("资源", "风险")}
STEPS = "--optim.steps 2 --optim.warmup 1 --train.valid_every 2 --train.trial false"


def words(folder: Path) -> Path:
    """Make a pack of spoken words, as the recipe is given it."""
    for split, said in WORDS.items():
        place = folder / "data" / split
        place.mkdir(parents=True)
        for index, word in enumerate(said):
            record(folder / f"audio/{split}-{index}.wav", word, 0.2)
        for name, value in (("wav.scp", "audio/{id}.wav"), ("text", "{word}"), ("utt2spk", "reader")):
            rows = [(f"{split}-{index}", word) for index, word in enumerate(said)]
            (place / name).write_text("".join(f"{i} {value.format(id=i, word=w)}\n" for i, w in rows), encoding="utf-8")
    return folder


def test_from_text_to_the_tables(tmp_path: Path) -> None:
    copy_recipe("mini", tmp_path)
    recipe = copy_recipe("hsk", tmp_path)
    spoken = ["".join(two) for two in permutations([word for said in WORDS.values() for word in said], 2)]
    (tmp_path / "news.txt").write_text("".join(f"{line}\n" for line in spoken), encoding="utf-8")
    (tmp_path / "more.txt").write_text("广州市场风险分析，资源过剩的环境。\n情况\n市场\n", encoding="utf-8")
    run(
        recipe, "--speech_text", "../../../news.txt", "--corpus_dir", str(words(tmp_path / "words")), "--lm_text", "../../../more.txt",
        "--num_encoder", "8", "--num_paired", "2 3 6", "--num_dev", "2", "--num_test", "3", "--num_voices", "2",
        "--num_generated", "40", "--encoder_options", f"{STEPS} --data.max_seconds 30",
        "--sweep_options", f"--rows pinyin10_small --seeds 1 {STEPS}", "--stop_stage", "4", "--nj", "1", script="run_pinyin.sh",
    )  # fmt: skip
    page = (recipe / "RESULTS.md").read_text(encoding="utf-8")
    assert page.count("| pinyin 10x, ") == 1 and "| 1 of 1 " in page
    leakage = json.loads((recipe / "data/pinyin/text_times10/leakage.json").read_text())
    assert (leakage["transcripts"], leakage["auxiliary"]) == (2, 18)
    assert leakage["left_out_of_sources"]["exact"]["data/pinyin/test"] == 3, "what is tested is in no text"
    assert json.loads((recipe / "data/pinyin/enc/encoder.json").read_text())["kind"] == "conformer"
    assert json.loads((recipe / "exp/pinyin/pinyin10_small-seed1/sweep.json").read_text())["state"] == "finished"
