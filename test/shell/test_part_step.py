"""steps/part.sh: a part of a data directory is made once, and again when what it is made of has changed."""

from __future__ import annotations

import os
from pathlib import Path

from test.paths import ROOT
from test.shell.helpers import run

STEP = ROOT / "egs/TEMPLATE/asr1/steps/part.sh"


def source(folder: Path) -> Path:
    (folder / "utils").symlink_to(ROOT / "utils")
    made = folder / "data/all"
    made.mkdir(parents=True)
    for name, value in (("wav.scp", "{}.wav"), ("text", "words of {}"), ("utt2spk", "s")):
        (made / name).write_text("".join(f"s-{utt} {value.format(utt)}\n" for utt in "abc"), encoding="utf-8")
    (made / "spk2utt").write_text("s s-a s-b s-c\n", encoding="utf-8")
    return made


def part(folder: Path, *options: str) -> str:
    done = run(str(STEP), *options, "data/all", "data/part", cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ids(folder: Path) -> list[str]:
    return [line.split()[0] for line in (folder / "data/part/text").read_text(encoding="utf-8").splitlines()]


def test_what_is_there_keeps_its_features_until_the_list_or_the_source_changes(tmp_path: Path) -> None:
    made = source(tmp_path)
    (tmp_path / "list").write_text("s-a with words\ns-c\n", encoding="utf-8")
    part(tmp_path, "--list", "list")
    assert ids(tmp_path) == ["s-a", "s-c"]
    features = tmp_path / "data/part/feats.scp"
    features.write_text("s-a x\ns-c x\n", encoding="utf-8")
    assert "nothing to do" in part(tmp_path, "--list", "list") and features.exists()

    later = (tmp_path / "data/part/wav.scp").stat().st_mtime + 5
    os.utime(made / "wav.scp", (later, later))
    assert "nothing to do" not in part(tmp_path, "--list", "list") and not features.exists(), "the source is newer"
    os.utime(made / "wav.scp", (later - 60, later - 60))

    features.write_text("s-a x\ns-c x\n", encoding="utf-8")
    (tmp_path / "list").write_text("s-a\ns-b\n", encoding="utf-8")
    part(tmp_path, "--list", "list")
    assert ids(tmp_path) == ["s-a", "s-b"] and not features.exists(), "other utterances"


def test_without_a_list_all_is_copied_and_a_table_that_was_added_comes_along(tmp_path: Path) -> None:
    made = source(tmp_path)
    part(tmp_path)
    assert ids(tmp_path) == ["s-a", "s-b", "s-c"] and "nothing to do" in part(tmp_path)
    (made / "segments").write_text("".join(f"s-{utt} s-{utt} 0 1\n" for utt in "abc"), encoding="utf-8")
    part(tmp_path)
    assert (tmp_path / "data/part/segments").exists()


def test_what_is_wrong_is_told(tmp_path: Path) -> None:
    source(tmp_path)
    (tmp_path / "list").write_text("s-x\n", encoding="utf-8")
    done = run(str(STEP), "--list", "list", "data/all", "data/part", cwd=tmp_path)
    assert done.returncode != 0 and "no utterance of data/all is in list" in done.stderr
    assert not (tmp_path / "data/part").exists()
    assert "part.sh [--list UTTERANCES]" in run(str(STEP), "data/all", cwd=tmp_path).stderr
