"""steps/text.sh: text-only directories that hold nothing of what is tested on, whatever the punctuation."""

from __future__ import annotations

from pathlib import Path

from test.paths import ROOT
from test.shell.helpers import run

STEP = ROOT / "egs/TEMPLATE/asr1/steps/text.sh"


def make(folder: Path, *options: str) -> tuple[list[str], str]:
    (folder / "utils").symlink_to(ROOT / "utils")
    (folder / "data/dev").mkdir(parents=True)
    (folder / "data/train").mkdir()
    (folder / "data/train/text").write_text("u1 我们。走吧\nu2 Hello, World\n", encoding="utf-8")
    (folder / "data/dev/text").write_text("d1 你好，世界！\nd2 It's Éva\n", encoding="utf-8")
    (folder / "more").write_text("你好世界\nhello world\n\n好 的\n你好世 界。\nITS éva\n好 的\n", encoding="utf-8")
    done = run(str(STEP), *options, "data/train/text", "more", "data/train_text", cwd=folder)
    assert done.returncode == 0, done.stderr
    rows = (folder / "data/train_text/text").read_text(encoding="utf-8").splitlines()
    keys = [row.split()[0] for row in (folder / "data/train_text/utt2spk").read_text().splitlines()]
    assert keys == [row.split(" ", 1)[0] for row in rows] == sorted(set(keys))
    return sorted(row.split(" ", 1)[1] for row in rows), done.stderr


def test_each_sentence_once(tmp_path: Path) -> None:
    sentences, told = make(tmp_path)
    assert sentences == sorted(["Hello, World", "hello world", "ITS éva", "你好世 界。", "你好世界", "好 的", "我们。走吧"])
    assert not told


def test_held_out_sentences_are_left_out_and_counted(tmp_path: Path) -> None:
    sentences, told = make(tmp_path, "--held_out", "data/dev")
    assert sentences == sorted(["Hello, World", "hello world", "好 的", "我们。走吧"])
    assert "3 sentences of held-out sets left out of data/train_text/text" in told
