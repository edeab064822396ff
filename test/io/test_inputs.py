"""Files, folders and lists in order; nothing is taken twice, nothing is written over."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from speechlm.core.errors import UserError
from speechlm.io.inputs import Input, find_inputs, output_paths


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_a_folder_gives_its_audio_sorted_and_hidden_files_stay_out(tmp_path: Path) -> None:
    touch(tmp_path, "b/2.WAV", "b/1.flac", "a.mp3", "Z.ogg", "notes.txt", ".x.wav", ".cache/y.wav", "b/deep/er/k.opus")
    found = find_inputs([str(tmp_path)])
    assert [one.name for one in found] == [
        str(tmp_path / name) for name in ("Z.ogg", "a.mp3", "b/1.flac", "b/2.WAV", "b/deep/er/k.opus")
    ]
    assert [str(path) for path in output_paths(found, Path("o"), ".srt")] == [
        "o/Z.srt", "o/a.srt", "o/b/1.srt", "o/b/2.srt", "o/b/deep/er/k.srt",
    ]  # fmt: skip


def test_files_keep_the_order_and_a_named_file_may_be_called_anything(tmp_path: Path) -> None:
    touch(tmp_path, "b.bin", "a.wav")
    words = [str(tmp_path / "b.bin"), str(tmp_path / "a.wav"), "-"]
    assert [one.name for one in find_inputs(words)] == words


def test_a_list_of_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "\ufeffa b.wav\r\n\nc/d.flac\r\n"
    (tmp_path / "list").write_text(text, encoding="utf-8")
    expected = [Input("a b.wav", Path("a b.wav")), Input("c/d.flac", Path("d.flac"))]
    assert find_inputs([], str(tmp_path / "list")) == expected
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert find_inputs([], "-") == expected


def test_two_of_one_name_keep_their_suffixes_or_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "x/a.wav", "x/a.flac", "x/b.wav", "y/a.wav")
    found = find_inputs([str(tmp_path / "x")])
    assert [path.name for path in output_paths(found, tmp_path, ".txt")] == ["a.flac.txt", "a.wav.txt", "b.txt"]
    found = find_inputs([str(tmp_path / "x" / "a.wav"), str(tmp_path / "y" / "a.wav")])
    with pytest.raises(UserError, match=r"x/a\.wav and .*y/a\.wav would both be written to"):
        output_paths(found, tmp_path, ".txt")


def test_mistakes_are_told(tmp_path: Path) -> None:
    touch(tmp_path, "empty/readme.txt")
    (tmp_path / "latin").write_bytes(b"a.wav\n\xe9.wav\n")
    for words, listed, rule in (
        ([], None, "no audio given"),
        ([str(tmp_path / "none.wav")], None, r"none\.wav: no such audio file"),
        ([str(tmp_path / "empty")], None, "no audio file in this folder"),
        (["-", "-"], None, "stdin .* can be read once"),
        (["-"], "-", "stdin .* can be read once"),
        ([], str(tmp_path / "none"), "--list .*none: no such file"),
        ([], str(tmp_path / "latin"), "latin:2: not UTF-8"),
    ):
        with pytest.raises(UserError, match=rule):
            find_inputs(words, listed)
