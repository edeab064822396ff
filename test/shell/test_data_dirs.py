"""The scripts that make data directories of others, with Kaldi's options and formats."""

from __future__ import annotations

import shutil
import wave
from pathlib import Path

import pytest

from test.shell.helpers import run

SPEAKERS = {"a": 4, "b": 2, "c": 5}  # utterances of each


def write(folder: Path, **tables: list[str]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, rows in tables.items():
        (folder / name.replace("__", ".")).write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    return folder


def read(path: Path) -> dict[str, str]:
    rows = path.read_text(encoding="utf-8").splitlines()
    assert rows == sorted(rows)
    return {row.split(" ", 1)[0]: row.split(" ", 1)[1] for row in rows}


@pytest.fixture
def data(tmp_path):
    """Eleven utterances of three speakers; the n-th of a speaker lasts n tenths of a second."""
    folder = tmp_path / "d"
    ids = [f"{spk}-{n}" for spk, count in SPEAKERS.items() for n in range(1, count + 1)]
    write(
        folder, text=[f"{utt} 你好 {utt}" for utt in ids], utt2spk=[f"{utt} {utt[0]}" for utt in ids],
        wav__scp=[f"{utt} {folder}/{utt}.wav" for utt in ids], utt2dur=[f"{utt} {int(utt[2:]) / 10:.4f}" for utt in ids],
        spk2gender=[f"{spk} m" for spk in SPEAKERS],
        spk2utt=[" ".join([spk, *(utt for utt in ids if utt[0] == spk)]) for spk in SPEAKERS],
    )  # fmt: skip
    for utt in ids:
        with wave.open(f"{folder}/{utt}.wav", "wb") as file:
            file.setparams((1, 2, 16000, 0, "NONE", ""))
            file.writeframes(b"\1\2" * (1600 * int(utt[2:])))
    return folder


def with_segments(data: Path) -> Path:
    """The same utterances as halves of recordings r-..."""
    ids = list(read(data / "utt2spk"))
    write(data, segments=[f"{utt} r-{utt} 0.00 {int(utt[2:]) / 20:.4f}" for utt in ids])
    write(
        data,
        wav__scp=[f"r-{utt} {data}/{utt}.wav" for utt in ids],
        utt2dur=[f"{utt} {int(utt[2:]) / 20:.4f}" for utt in ids],
    )
    return data


def ids_of(folder: Path) -> list[str]:
    """The utterances of a directory, whose tables must agree."""
    ids = list(read(folder / "utt2spk"))
    assert list(read(folder / "text")) == ids
    assert set(read(folder / "spk2gender")) == {utt[0] for utt in ids}
    assert " ".join(read(folder / "spk2utt").values()).split() == ids
    return ids


def test_split_data_by_speaker_and_by_utterance(data, tmp_path):
    assert run("split_data.sh", data, "3", cwd=tmp_path).returncode == 0
    assert [ids_of(data / f"split3/{part}") for part in (1, 2, 3)] == [
        ["a-1", "a-2", "a-3", "a-4"], ["b-1", "b-2"], ["c-1", "c-2", "c-3", "c-4", "c-5"],
    ]  # fmt: skip
    assert run("split_data.sh", "--per-utt", data, "4", cwd=tmp_path).returncode == 0
    assert [len(ids_of(data / f"split4utt/{part}")) for part in (1, 2, 3, 4)] == [3, 3, 3, 2]
    assert read(data / "split4utt/4/wav.scp") == {utt: f"{data}/{utt}.wav" for utt in ("c-4", "c-5")}
    done = run("split_data.sh", data, "4", cwd=tmp_path)
    assert done.returncode == 1
    assert "3 speakers, too few for 4 parts" in done.stderr
    assert "--per-utt splits speakers too" in done.stderr
    assert not (data / "split4").exists()


def test_split_data_is_made_again_only_if_a_table_has_changed(data, tmp_path):
    run("split_data.sh", data, "2", cwd=tmp_path)
    before = (data / "split2/1/text").stat().st_ino
    run("split_data.sh", data, "2", cwd=tmp_path)
    assert (data / "split2/1/text").stat().st_ino == before
    text = (data / "text").read_text(encoding="utf-8").replace("a-1 ", "a-1 new ", 1)
    (data / "text").write_text(text, encoding="utf-8")
    run("split_data.sh", data, "2", cwd=tmp_path)
    assert read(data / "split2/1/text")["a-1"].startswith("new")


def test_split_data_with_segments_gives_each_part_its_recordings(data, tmp_path):
    run("split_data.sh", with_segments(data), "3", cwd=tmp_path)
    assert list(read(data / "split3/2/wav.scp")) == ["r-b-1", "r-b-2"]
    assert list(read(data / "split3/2/segments")) == ["b-1", "b-2"]


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        (["4"], ["a-1", "a-3", "b-2", "c-3"]),
        (["--first", "3"], ["a-1", "a-2", "a-3"]),
        (["--last", "2"], ["c-4", "c-5"]),
        (["--shortest", "4"], ["a-1", "a-2", "b-1", "c-1"]),
        (["--per-spk", "3"], ["a-1", "a-2", "a-3", "b-1", "b-2", "c-1", "c-2", "c-4"]),
        (["--utt-list", "list"], ["a-2", "c-1"]),
        (["--spk-list", "spk"], ["b-1", "b-2"]),
        (["11"], [f"{spk}-{n}" for spk, count in SPEAKERS.items() for n in range(1, count + 1)]),
    ],
)
def test_subset(data, tmp_path, words, chosen):
    (tmp_path / "list").write_text("c-1 and more\na-2\n")
    (tmp_path / "spk").write_text("b\n")
    *options, number = words
    call = [*options, data, number, "new/e"] if number.isdigit() else [*words, data, "new/e"]
    done = run("subset_data_dir.sh", *call, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert ids_of(tmp_path / "new/e") == chosen


def test_subset_of_random_speakers_is_always_the_same(data, tmp_path):
    for name in ("e", "f"):
        assert run("subset_data_dir.sh", "--speakers", data, "5", name, cwd=tmp_path).returncode == 0
    ids = ids_of(tmp_path / "e")
    assert ids == ids_of(tmp_path / "f")
    assert len(ids) >= 5
    for speaker in {utt[0] for utt in ids}:
        assert sum(utt[0] == speaker for utt in ids) == SPEAKERS[speaker]  # whole


def test_subset_warns_of_unknown_ids_and_replaces_old_tables(data, tmp_path):
    write(tmp_path / "e", text=["old x"], segments=["old r 0 1"], feats__scp=["old x.ark:1"])
    (tmp_path / "list").write_text("a-1\nnobody\n")
    done = run("subset_data_dir.sh", "--utt-list", "list", data, "e", cwd=tmp_path)
    assert done.returncode == 0
    assert "warning: 1 ids of list are not in" in done.stderr
    assert ids_of(tmp_path / "e") == ["a-1"]
    assert not (tmp_path / "e/segments").exists()
    assert not (tmp_path / "e/feats.scp").exists()


def test_copy_renames_utterances_and_speakers(data, tmp_path):
    done = run(
        "copy_data_dir.sh", "--utt-prefix", "x-", "--spk-prefix=x-", "--utt-suffix", "-&", data, "e", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert read(tmp_path / "e/utt2spk") == {f"x-{u}-&": f"x-{s}" for u, s in read(data / "utt2spk").items()}
    assert read(tmp_path / "e/text") == {f"x-{u}-&": text for u, text in read(data / "text").items()}
    assert read(tmp_path / "e/wav.scp") == {f"x-{u}-&": path for u, path in read(data / "wav.scp").items()}
    assert read(tmp_path / "e/spk2gender") == {f"x-{spk}": "m" for spk in SPEAKERS}
    assert read(tmp_path / "e/utt2uniq")["x-b-1-&"] == "b-1"
    assert read(tmp_path / "e/spk2utt")["x-b"] == "x-b-1-& x-b-2-&"


def test_copy_without_options_is_the_same_and_segments_keep_recordings(data, tmp_path):
    assert run("copy_data_dir.sh", data, "e", cwd=tmp_path).returncode == 0
    for name in ("text", "utt2spk", "spk2utt", "wav.scp", "utt2dur", "spk2gender"):
        assert (tmp_path / "e" / name).read_bytes() == (data / name).read_bytes()
    assert not (tmp_path / "e/utt2uniq").exists()
    run("copy_data_dir.sh", "--utt-prefix", "x-", "--spk-prefix", "x-", with_segments(data), "f", cwd=tmp_path)
    assert read(tmp_path / "f/segments")["x-b-1"] == "r-b-1 0.00 0.0500"
    assert list(read(tmp_path / "f/wav.scp"))[0] == "r-a-1"


def test_combine(data, tmp_path):
    run("copy_data_dir.sh", "--utt-prefix", "x-", "--spk-prefix", "x-", data, "e", cwd=tmp_path)
    done = run("combine_data.sh", "f", data, "e", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "utt2uniq is left out, 1 of 2 sources have none" in done.stderr
    assert list(read(tmp_path / "f/text")) == sorted([*read(data / "text"), *read(tmp_path / "e/text")])
    assert read(tmp_path / "f/spk2utt")["x-b"] == "x-b-1 x-b-2"
    assert not (tmp_path / "f/utt2uniq").exists()


def test_combine_gives_segments_to_sources_without(data, tmp_path):
    run("copy_data_dir.sh", "--utt-prefix", "x-", "--spk-prefix", "x-", data, "e", cwd=tmp_path)
    done = run("combine_data.sh", "--skip-fix", "true", "f", with_segments(data), "e", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert read(tmp_path / "f/segments")["a-2"] == "r-a-2 0.00 0.1000"
    assert read(tmp_path / "f/segments")["x-a-2"] == "x-a-2 0.00 0.2000"


def test_combine_extra_files_and_conflicts(data, tmp_path):
    shutil.copytree(data, tmp_path / "e")
    (tmp_path / "e/phones").write_text("a-1 n i\n")
    done = run("combine_data.sh", "--extra-files", "phones", "f", data, "e", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, f"combine_data.sh: {data}/phones: no such file, or it is empty\n")
    text = (tmp_path / "e/text").read_text(encoding="utf-8").replace("a-2 ", "a-2 other ", 1)
    (tmp_path / "e/text").write_text(text, encoding="utf-8")
    done = run("combine_data.sh", "f", data, "e", cwd=tmp_path)
    assert done.returncode == 1
    assert "text: the id a-2 stands for different things" in done.stderr
    assert not (tmp_path / "f").exists()


def test_speed(data, tmp_path):
    rows = (data / "wav.scp").read_text().splitlines()
    rows[0] = "a-1 cat 'x y.sph' |"
    rows[1] = "a-2 /some where/it's.wav"
    rows[2] = "a-3 /x.flac"
    write(data, wav__scp=rows)
    done = run("perturb_data_dir_speed.sh", "0.9", data, "e", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "pass --allow_pipes true" in done.stdout
    found = read(tmp_path / "e/wav.scp")
    assert found["sp0.9-a-1"] == "cat 'x y.sph' | sox -t wav - -t wav - speed 0.9 |"
    assert found["sp0.9-a-2"] == "sox -t wav '/some where/it'\\''s.wav' -t wav - speed 0.9 |"
    assert found["sp0.9-a-3"] == "sox /x.flac -t wav - speed 0.9 |"
    assert found["sp0.9-b-1"] == f"sox -t wav {data}/b-1.wav -t wav - speed 0.9 |"  # Kaldi's line
    assert read(tmp_path / "e/utt2dur")["sp0.9-c-3"] == "0.3333"
    assert read(tmp_path / "e/utt2spk")["sp0.9-c-3"] == "sp0.9-c"
    assert read(tmp_path / "e/utt2uniq")["sp0.9-c-3"] == "c-3"
    assert read(tmp_path / "e/text")["sp0.9-c-3"] == "你好 c-3"


def test_speed_with_segments(data, tmp_path):
    assert run("perturb_data_dir_speed.sh", "2", with_segments(data), "e", cwd=tmp_path).returncode == 0
    assert read(tmp_path / "e/segments")["sp2-c-4"] == "sp2-r-c-4 0.00 0.1000"


@pytest.mark.skipif(not shutil.which("sox"), reason="needs sox (tools/install_audio.sh)")
def test_speed_really_changes_the_audio(data, tmp_path):
    run("perturb_data_dir_speed.sh", "0.5", data, "e", cwd=tmp_path)
    (tmp_path / "e/utt2dur").unlink()
    done = run("get_utt2dur.sh", "--allow_pipes", "true", "e", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert float(read(tmp_path / "e/utt2dur")["sp0.5-c-3"]) == pytest.approx(0.6, abs=0.01)


def test_validate_and_fix(data, tmp_path):
    assert run("validate_data_dir.sh", "--no-feats", data, cwd=tmp_path).returncode == 0
    text = (data / "text").read_text(encoding="utf-8").splitlines()
    write(data, text=[*text[1:], "z-1 nobody"])
    done = run("validate_data_dir.sh", data, cwd=tmp_path)
    assert done.returncode == 1
    assert f"{data}/text" in done.stderr
    assert f"{data}/text:11" in done.stderr  # every fault, with its line
    assert run("fix_data_dir.sh", data, cwd=tmp_path).returncode == 0
    assert run("validate_data_dir.sh", data, cwd=tmp_path).returncode == 0
    assert "a-1" not in read(data / "utt2spk")


def test_validate_takes_kaldis_options(data, tmp_path):
    (data / "text").unlink()
    assert run("validate_data_dir.sh", data, cwd=tmp_path).returncode == 1
    assert run("validate_data_dir.sh", "--no-text", "--no-feats", "--no-spk-sort", data, cwd=tmp_path).returncode == 0
    assert run("validate_data_dir.sh", "--no-text", "--need-feats", data, cwd=tmp_path).returncode == 1
    (data / "wav.scp").unlink()
    assert run("validate_data_dir.sh", "--no-text", "--no-wav", data, cwd=tmp_path).returncode == 0
    assert run("validate_data_dir.sh", "--non-print", data, cwd=tmp_path).returncode == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["split_data.sh", "d", "0"], "must be a whole number from 1, not '0'"),
        (["split_data.sh", "none", "2"], "none/utt2spk: no such file"),
        (["split_data.sh", "--foo", "d", "2"], "--foo: no such option"),
        (["subset_data_dir.sh", "d", "12", "e"], "d has 11 utterances, fewer than 12"),
        (["subset_data_dir.sh", "--first", "d", "-1", "e"], "must be a whole number from 1"),
        (["subset_data_dir.sh", "--first", "--last", "d", "1", "e"], "exclude each other"),
        (["subset_data_dir.sh", "--utt-list", "none", "d", "e"], "none: cannot read this list"),
        (["subset_data_dir.sh", "--spk-list", "d/text", "d", "e"], "no utterance of d is in d/text"),
        (["subset_data_dir.sh", "d", "3", "d/"], "source and destination are one folder"),
        (["copy_data_dir.sh", "d", "d"], "source and destination are one folder"),
        (["copy_data_dir.sh", "none", "e"], "none/utt2spk: no such file"),
        (["copy_data_dir.sh", "--utt-prefix", "a/", "d", "e"], "must not contain blanks or slashes"),
        (["copy_data_dir.sh", "--prefix", "a", "d", "e"], "--prefix: no such option"),
        (["combine_data.sh", "d", "d"], "d is also a source"),
        (["combine_data.sh", "e", "d", "none"], "none/utt2spk: no such file"),
        (["perturb_data_dir_speed.sh", "fast", "d", "e"], "must be a number above 0, not 'fast'"),
        (["perturb_data_dir_speed.sh", "1.0", "d", "e"], "nothing changes"),
        (["perturb_data_dir_speed.sh", "0", "d", "e"], "must be a number above 0"),
        (["get_utt2dur.sh", "none"], "none: no such data directory"),
    ],
)
def test_faults_leave_nothing_behind(data, tmp_path, words, message):
    before = sorted(tmp_path.rglob("*"))
    done = run(*words, cwd=tmp_path)
    assert done.returncode != 0
    assert message in done.stderr
    assert sorted(tmp_path.rglob("*")) == before
