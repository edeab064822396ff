"""Files appear under their final name only when they are complete."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from speechlm.core.errors import UserError
from speechlm.io import files
from speechlm.io.files import atomic_dir, atomic_open, atomic_path
from test.io.limits import largest_file


def test_file_is_there_only_after_the_body(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.txt"
    with atomic_open(path) as file:
        file.write("音\n")
        assert not path.exists()
    assert path.read_bytes() == "音\n".encode()
    assert os.listdir(path.parent) == ["a.txt"]


@pytest.mark.parametrize("old", [None, "old\n"])
def test_error_leaves_what_was_there(tmp_path: Path, old: str | None) -> None:
    path = tmp_path / "a.txt"
    if old:
        path.write_text(old)
    with pytest.raises(KeyError), atomic_open(path) as file:
        file.write("half")
        raise KeyError
    assert os.listdir(tmp_path) == (["a.txt"] if old else [])
    assert not old or path.read_text() == old


def test_rights_follow_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with atomic_open(tmp_path / "a", "wb") as file:
            file.write(b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    link = tmp_path / "a"
    link.symlink_to(tmp_path / "disk" / "a")
    with atomic_open(link) as file:
        file.write("new")
    assert link.is_symlink() and (tmp_path / "disk" / "a").read_text() == "new"


def test_full_device_is_a_user_error() -> None:
    what = "/dev/full: cannot be written: no space is left"
    with pytest.raises(UserError, match=what), atomic_open("/dev/full") as file:
        file.write("x" * 100_000)


def test_file_size_limit_leaves_nothing(tmp_path: Path) -> None:
    """The nearest to a full disk that needs no rights: the system itself refuses to write more."""
    path = tmp_path / "big.ark"
    what = "big.ark: cannot be written: the file is too large"
    with largest_file(1000), pytest.raises(UserError, match=what), atomic_open(path, "wb") as file:
        file.write(b"x" * 5000)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_disk_that_fills_at_the_last_step(tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(UserError, match="a.txt: cannot be written"), atomic_open(tmp_path / "a.txt") as file:
        file.write("x")
    assert os.listdir(tmp_path) == []


def test_reading_errors_of_the_body_are_not_blamed_on_the_file(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError), atomic_open(tmp_path / "a"):
        (tmp_path / "b").write_text("")
        (tmp_path / "b" / "c").read_text()


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "a.txt", tmp_path / ("n" * 300)):
        with pytest.raises(UserError, match="cannot be written"), atomic_open(path) as file:
            file.write("x")
    with pytest.raises(UserError, match="a folder or a device"), atomic_open(tmp_path) as file:
        file.write("x")
    with pytest.raises(ValueError, match="mode"), atomic_open(tmp_path / "a", "a"):
        pass


def test_no_device_is_replaced(tmp_path: Path) -> None:
    """A writer that opens the file itself would put a plain file in the place of the device."""
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", tmp_path):
        with pytest.raises(UserError, match="a folder or a device, not a file"), atomic_path(place) as temporary:
            temporary.write_text("x")
    assert os.listdir(tmp_path) == ["pipe"]


def test_path_for_other_writers(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a") as temporary:
        assert temporary.parent == tmp_path
        temporary.write_text("x")
        assert not (tmp_path / "a").exists()
    assert os.listdir(tmp_path) == ["a"]


def test_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    for content in ("one", "two"):
        with atomic_dir(tmp_path / "d") as folder:
            (folder / content).write_text(content)
    assert os.listdir(tmp_path) == ["d"] and os.listdir(tmp_path / "d") == ["two"]
    with pytest.raises(RuntimeError), atomic_dir(tmp_path / "d") as folder:
        (folder / "three").write_text("")
        raise RuntimeError
    assert os.listdir(tmp_path) == ["d"] and os.listdir(tmp_path / "d") == ["two"]


def test_killed_process_leaves_no_file(tmp_path: Path) -> None:
    """A process that is killed in the middle of writing leaves nothing under the final name."""
    code = (
        "import sys, time\nfrom speechlm.io.files import atomic_open\n"
        "with atomic_open(sys.argv[1]) as f:\n"
        "    f.write('half'); f.flush(); print('ready', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "a")], stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    process.kill()
    process.wait()
    process.stdout.close()
    assert not (tmp_path / "a").exists()


def test_longest_name(tmp_path: Path) -> None:
    with atomic_open(tmp_path / ("字" * 85)) as file:  # 255 bytes
        file.write("x")
    assert os.listdir(tmp_path) == ["字" * 85]
