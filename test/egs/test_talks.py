"""egs/talks/asr1/run.sh: chapters read aloud, two small BERTs, an encoder's start, a taught transducer; a few utterances and steps."""

import json
from pathlib import Path

import pytest

from test.corpora import miniature
from test.egs.miniatures import EN
from test.egs.recipe import copy_recipe, run


def test_from_chapters_to_the_table(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader")
    recipe = copy_recipe("talks", tmp_path)
    lines = [f"{reader}-{chapter}-{i:04d} {text}" for reader in range(4) for chapter in (1, 2) for i, text in enumerate(EN)]
    (tmp_path / "chapters.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    more = sorted({f"{a} {b}" for text in EN for a, b in zip(text.split(), text.split()[1:])})
    (tmp_path / "more.txt").write_text("".join(f"{line}\n" for line in more), encoding="utf-8")
    (tmp_path / "dict.txt").write_text(
        "".join(f"{word} {' '.join(c for c in word if c.isalpha())}\n" for word in sorted({w for t in EN for w in t.split()})),
        encoding="utf-8",
    )
    miniature.speechocean(tmp_path / "speechocean")
    few = "--optim.steps 2 --optim.warmup 1 --train.valid_every 2 --data.batch_seconds 30"
    tiny = "--dim 16 --layers 2 --heads 2 --pieces 80 --steps 2 --batch 192"
    run(
        recipe, "--text_file", str(tmp_path / "chapters.txt"), "--more_text", str(tmp_path / "more.txt"),
        "--corpus_dir", str(tmp_path / "speechocean"), "--lexicon", str(tmp_path / "dict.txt"),
        "--num_train", "16", "--num_small", "8", "--num_dev", "4", "--num_test", "4", "--num_start", "8", "--num_voices", "1",
        "--bert", tiny, "--bert2", f"{tiny} --seed 2", "--sweeps", "kd", "--train_options", few,
        "--sweep_options", f"--rows second --seeds 1 {few}", timeout=600,
    )  # fmt: skip
    page = (recipe / "RESULTS.md").read_text(encoding="utf-8")
    assert page.count("| uniform 2 of each of two teachers") == 2 and "\nspeechocean_test_phones:\n" in page
    point = recipe / "exp/kd/second-seed1"
    assert json.loads((point / "sweep.json").read_text())["state"] == "finished"
    assert "teacher_coverage_1" in (point / "metrics.jsonl").read_text()
    held = {line.split("-")[0] for name in ("dev", "test") for line in (recipe / f"data/{name}/spk2utt").read_text().splitlines()}
    read = (recipe / "data/teacher.txt").read_text(encoding="utf-8").splitlines()
    assert len(held) == 2 and len(read) == 2 * 2 * len(EN)
