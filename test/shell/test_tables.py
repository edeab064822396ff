"""split_scp.pl, filter_scp.pl and the two of utt2spk: as Kaldi's, but every fault is said and has a status."""

from __future__ import annotations

import random

import pytest

from test.shell.helpers import run


def table(path, rows):
    path.write_text("".join(f"{row}\n" for row in rows))
    return path


def parts(tmp_path, count):
    return [tmp_path / f"part{i}" for i in range(1, count + 1)]


@pytest.mark.parametrize(("lines", "count"), [(10, 3), (3, 3), (7, 1), (11, 4)])
def test_split_is_consecutive_and_even_the_larger_parts_first(tmp_path, lines, count):
    rows = [f"u{i:02} x {i}" for i in range(lines)]
    files = parts(tmp_path, count)
    assert run("split_scp.pl", table(tmp_path / "a", rows), *files, cwd=tmp_path).returncode == 0
    found = [file.read_text().splitlines() for file in files]
    assert sum(found, []) == rows
    # as Kaldi: the remainder goes to the first parts
    assert [len(part) for part in found] == [lines // count + (i < lines % count) for i in range(count)]


def test_split_one_part_to_standard_output(tmp_path):
    file = table(tmp_path / "a", [f"u{i}" for i in range(5)])
    assert run("split_scp.pl", "-j", "2", "0", file, cwd=tmp_path).stdout == "u0\nu1\nu2\n"
    assert run("split_scp.pl", "-j", "2", "2", "--one-based", file, cwd=tmp_path).stdout == "u3\nu4\n"
    assert run("split_scp.pl", "-j", "2", "1", "-", cwd=tmp_path, stdin="a\nb").stdout == "b\n"
    assert run("split_scp.pl", "-j", "2", "1", file, "out", cwd=tmp_path).returncode == 0
    assert (tmp_path / "out").read_text() == "u3\nu4\n"


def test_split_keeps_speakers_whole_and_parts_balanced(tmp_path):
    rng = random.Random(1)
    for trial in range(30):
        sizes = [rng.randint(1, 20) for _ in range(rng.randint(3, 15))]
        rows = [f"s{s:02}-{u:02} s{s:02}" for s, size in enumerate(sizes) for u in range(size)]
        count = rng.randint(1, len(sizes))
        file, files = table(tmp_path / "utt2spk", rows), parts(tmp_path, count)
        done = run("split_scp.pl", f"--utt2spk={file}", file, *files, cwd=tmp_path)
        assert done.returncode == 0, (trial, done.stderr)
        found = [part.read_text().splitlines() for part in files]
        assert sum(found, []) == rows
        speakers = [{row.split()[1] for row in part} for part in found]
        assert all(speakers) and sum(map(len, speakers)) == len(sizes)  # none empty, none torn
        # no part is further from an even share than the largest speaker and what later parts must be left
        if count * 3 <= len(sizes):
            assert max(map(len, found)) <= len(rows) / count + max(sizes)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a", "p1", "p2", "p3"], "a has 2 lines, too few for 3 parts"),
        (["--utt2spk=u", "a", "p1", "p2"], "a has 1 speakers, too few for 2 parts"),
        (["--utt2spk=none", "a", "p1"], "none: No such file"),
        (["--utt2spk=half", "a", "p1"], "a: no speaker in half for the line: u2 x"),
        (["none", "p1"], "none: No such file"),
        (["empty", "p1"], "empty has 0 lines, too few"),
        (["-j", "3", "3", "a"], "there is no job 3 of 3"),
        (["-j", "x", "3", "a"], "-j needs two whole numbers"),
        (["--foo", "a", "p1"], "no such option"),
        (["a", "none/p1"], "none/p1: No such file"),
        (["a", "/dev/full"], "/dev/full: cannot write: No space left"),
        ([], "Usage:"),
        (["a"], "Usage:"),
    ],
)
def test_split_faults(tmp_path, words, message):
    table(tmp_path / "a", ["u1 x", "u2 x"])
    table(tmp_path / "u", ["u1 s", "u2 s"])
    table(tmp_path / "half", ["u1 s"])
    table(tmp_path / "empty", [])
    done = run("split_scp.pl", *words, cwd=tmp_path)
    assert done.returncode != 0
    assert message in done.stderr


def test_filter(tmp_path):
    table(tmp_path / "list", ["b words that do not matter", "d"])
    text = "a 1 b\nb  2   b \nc 3 d\n"
    assert run("filter_scp.pl", "list", cwd=tmp_path, stdin=text).stdout == "b  2   b \n"
    assert run("filter_scp.pl", "--exclude", "list", "-", cwd=tmp_path, stdin=text).stdout == "a 1 b\nc 3 d\n"
    assert (
        run("filter_scp.pl", "-f", "3", "list", table(tmp_path / "t", ["a 1 x", "c 3 d"]), cwd=tmp_path).stdout
        == "c 3 d\n"
    )
    assert run("filter_scp.pl", "/dev/null", cwd=tmp_path, stdin=text).stdout == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none", "t"], "none: No such file"),
        (["t", "none"], "none: No such file"),
        (["holes", "t"], "holes:2: empty line"),
        (["t", "holes"], "holes:2: the line has no word 1"),
        (["-f", "9", "t", "t"], "t:1: the line has no word 9"),
        (["-f", "0", "t", "t"], "-f needs the number of a word"),
        (["--foo", "t"], "no such option: --foo"),
        ([], "Usage:"),
    ],
)
def test_filter_faults(tmp_path, words, message):
    table(tmp_path / "t", ["a 1"])
    table(tmp_path / "holes", ["a 1", "", "b"])
    done = run("filter_scp.pl", *words, cwd=tmp_path)
    assert done.returncode != 0
    assert message in done.stderr


def test_speakers_and_back(tmp_path):
    rows = ["b1 b", "a1 a", "b2 b", "é1 é"]
    done = run("utt2spk_to_spk2utt.pl", table(tmp_path / "utt2spk", rows), cwd=tmp_path)
    assert done.stdout == "b b1 b2\na a1\né é1\n"
    back = run("spk2utt_to_utt2spk.pl", cwd=tmp_path, stdin=done.stdout)
    assert sorted(back.stdout.splitlines()) == sorted(rows)


@pytest.mark.parametrize(
    ("script", "text", "message"),
    [
        ("utt2spk_to_spk2utt.pl", "a b\na c\n", "standard input:2: utterance a occurs twice"),
        ("utt2spk_to_spk2utt.pl", "a b c\n", "standard input:1: expected 'utterance speaker', found 3 words"),
        ("utt2spk_to_spk2utt.pl", "a b\n\n", "standard input:2: expected 'utterance speaker', found 0 words"),
        ("spk2utt_to_utt2spk.pl", "a\n", "standard input:1: expected 'speaker utterance ...'"),
        ("spk2utt_to_utt2spk.pl", "a x\nb x\n", "standard input:2: utterance x occurs twice"),
    ],
)
def test_speaker_faults(tmp_path, script, text, message):
    done = run(script, cwd=tmp_path, stdin=text)
    assert done.returncode != 0
    assert message in done.stderr


@pytest.mark.parametrize("script", ["utt2spk_to_spk2utt.pl", "spk2utt_to_utt2spk.pl"])
def test_a_missing_file_has_a_status(tmp_path, script):
    done = run(script, "none", cwd=tmp_path)
    assert done.returncode != 0  # perl's <> would only warn
    assert "none: No such file" in done.stderr
