"""Tables: what is refused, with file and line; and that everything written can be read."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechlm.core.errors import UserError
from speechlm.io.tables import Fault, iter_table, parse_line, read_table, write_table

SIGNS = st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp", "Cs"], exclude_characters="/\ufeff")
IDS = st.text(SIGNS, min_size=1)
VALUES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20)


def write(path: Path, data: bytes | str) -> Path:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.mark.parametrize(
    ("data", "place", "what"),
    [
        (b"a 1\nb \xff\n", "t:2", "not UTF-8: byte 0xff at column 3"),
        (b"a 1\r\n", "t:1", "Windows line end"),
        (b"\xef\xbb\xbfa 1\n", "t:1", "byte order mark"),
        (b"a 1\n\nb 2\n", "t:2", "empty line"),
        (b"a 1\n \t\n", "t:2", "empty line"),
        (b"a 1\nb 2\na 3\n", "t:3", "duplicate id 'a' (first in line 1)"),
        (b"a/b 1\n", "t:1", "slash in the id 'a/b'"),
        (b"a\x01b 1\n", "t:1", "control character in the id"),
        (b"a x\x00y\n", "t:1", "control character in the line of 'a'"),
    ],
)
def test_faults_name_file_and_line(tmp_path: Path, data: bytes, place: str, what: str) -> None:
    path = write(tmp_path / "t", data)
    with pytest.raises(UserError) as error:
        read_table(path)
    assert f"{place}: " in str(error.value) and what in str(error.value) and "\n" not in str(error.value)


def test_options_refuse_more(tmp_path: Path) -> None:
    path = write(tmp_path / "t", "b 1\na\n")
    assert read_table(path) == {"b": "1", "a": ""}
    with pytest.raises(UserError, match="t:2: 'a' has no value"):
        read_table(path, values=True)
    with pytest.raises(UserError, match="t:2: 'a' after 'b': not sorted in C order"):
        read_table(path, ordered=True)
    with pytest.raises(UserError, match="t:2: 'a' has no value"):
        list(iter_table(path, values=True))


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_table(tmp_path / "none")
    with pytest.raises(UserError, match="cannot be read"):
        read_table(tmp_path)


def test_only_ascii_blanks_part_the_id(tmp_path: Path) -> None:
    path = write(tmp_path / "t", "u1\t今天　天气 好  \nu2　x y\nu3   a  b\n")
    assert read_table(path) == {"u1": "今天　天气 好", "u2　x": "y", "u3": "a  b"}


def test_last_line_needs_no_newline_and_duplicates_are_iterated(tmp_path: Path) -> None:
    path = write(tmp_path / "t", "a 1\na 2")
    assert list(iter_table(path)) == [("a", "1"), ("a", "2")]


@given(st.dictionaries(IDS, VALUES, max_size=8))
@settings(max_examples=60, deadline=None)
def test_round_trip_in_c_order(tmp_path_factory: pytest.TempPathFactory, table: dict[str, str]) -> None:
    path = tmp_path_factory.mktemp("t") / "t"
    write_table(path, table)
    kept = {key: value.strip(" \t") for key, value in table.items()}
    assert read_table(path, ordered=True) == kept
    lines = path.read_bytes().splitlines(keepends=True) if table else []
    assert b"".join(sorted(path.read_bytes().split(b"\n")[:-1])) == b"".join(path.read_bytes().split(b"\n")[:-1])
    assert len(lines) >= len(table)


def test_order_is_that_of_sort(tmp_path: Path) -> None:
    ids = ["a-b", "a", "ab", "A", "a.b", "é", "字", "a_b", "10", "9", "😀", "～"]
    write_table(tmp_path / "t", dict.fromkeys(ids, "x"))
    data = (tmp_path / "t").read_bytes()
    done = subprocess.run(["sort", "-c"], input=data, env={**os.environ, "LC_ALL": "C"}, check=False)
    assert done.returncode == 0


@given(st.binary(max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_bytes_give_a_row_or_a_fault(raw: bytes) -> None:
    row = parse_line(raw.replace(b"\n", b""), 7, "t")
    if isinstance(row, Fault):
        assert str(row).startswith("t:7: ") and row.fix and row.rule and "\n" not in str(row)
    else:
        assert row.key and "/" not in row.key and not row.key.isspace()


@pytest.mark.parametrize("rows", [{"a b": "1"}, {"a/b": "1"}, {"": "1"}, {"a": "1\n2"}, {"a": "1\x00"}, {"a\r": ""}])
def test_what_could_not_be_read_is_not_written(tmp_path: Path, rows: dict[str, str]) -> None:
    with pytest.raises(UserError, match="t:1"):
        write_table(tmp_path / "t", rows)
    assert os.listdir(tmp_path) == []
