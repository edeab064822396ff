import hashlib
import io
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from speechlm.core.errors import UserError
from speechlm.corpora.download import Archive, download, fetch, unpack

CONTENT = bytes(range(256)) * 2000
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()


class Publisher:
    """A server on this machine that may break off, ignore ranges, or answer with a state."""

    def __init__(self, files):
        self.files, self.asked, self.limit, self.ranges, self.state = files, [], None, True, None
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                publisher.answer(self)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, handler):
        content = self.files.get(handler.path)
        wanted = handler.headers.get("Range")
        self.asked.append(wanted)
        if content is None or self.state:
            handler.send_error(self.state or 404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        if start >= len(content):
            handler.send_error(416)
            return
        handler.send_response(206 if wanted and self.ranges else 200)
        handler.send_header("Content-Length", str(len(content) - start))
        handler.end_headers()
        handler.wfile.write(content[start : None if self.limit is None else start + self.limit])


@pytest.fixture
def publisher():
    made = Publisher({"/a.bin": CONTENT})
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_download_and_keep(publisher, tmp_path):
    path = download(publisher.url + "/a.bin", tmp_path / "new" / "a.bin", MD5)
    assert path.read_bytes() == CONTENT
    assert not (tmp_path / "new" / "a.bin.part").exists()
    download(publisher.url + "/a.bin", path, MD5)
    assert publisher.asked == [None]
    download(publisher.url + "/a.bin", tmp_path / "b", "sha256:" + hashlib.sha256(CONTENT).hexdigest())


def test_resumes_what_an_earlier_try_left(publisher, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(CONTENT[:1000])
    assert download(publisher.url + "/a.bin", tmp_path / "a.bin", MD5).read_bytes() == CONTENT
    assert publisher.asked == ["bytes=1000-"]


def test_goes_on_when_the_server_breaks_off(publisher, tmp_path):
    publisher.limit = 100_000
    assert download(publisher.url + "/a.bin", tmp_path / "a.bin", MD5, tries=2, wait=0).read_bytes() == CONTENT
    assert publisher.asked == [None, *(f"bytes={100_000 * i}-" for i in range(1, 6))]


def test_server_without_ranges_starts_again(publisher, tmp_path):
    publisher.ranges = False
    (tmp_path / "a.bin.part").write_bytes(b"x" * 1000)
    assert download(publisher.url + "/a.bin", tmp_path / "a.bin", MD5).read_bytes() == CONTENT


def test_part_that_is_complete_already(publisher, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(CONTENT)
    assert download(publisher.url + "/a.bin", tmp_path / "a.bin", MD5).read_bytes() == CONTENT


def test_wrong_checksum_puts_the_file_aside(publisher, tmp_path):
    with pytest.raises(UserError, match="md5 is .* must be 0123; it is now a.bin.part.bad"):
        download(publisher.url + "/a.bin", tmp_path / "a.bin", "md5:0123")
    assert not (tmp_path / "a.bin").exists()
    assert not (tmp_path / "a.bin.part").exists()


def test_gives_up_with_the_reason(publisher, tmp_path):
    with pytest.raises(UserError, match="/b.bin: cannot be loaded .HTTP 404"):
        download(publisher.url + "/b.bin", tmp_path / "b.bin", wait=0)
    assert len(publisher.asked) == 1
    publisher.state = 503
    with pytest.raises(UserError, match="HTTP 503"):
        download(publisher.url + "/a.bin", tmp_path / "a.bin", tries=3, wait=0)
    assert len(publisher.asked) == 4
    with pytest.raises(UserError, match="cannot be loaded .*refused"):
        download("http://127.0.0.1:9/a.bin", tmp_path / "a.bin", tries=1)
    with pytest.raises(UserError, match="only http and https"):
        download("file:///etc/passwd", tmp_path / "a.bin")


def make_tar(path, members, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def link(name, kind, target):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_unpack_tar(mode, tmp_path):
    folder = tarfile.TarInfo("top/empty")
    folder.type = tarfile.DIRTYPE
    path = make_tar(tmp_path / "a.tar", {"top/in/a.txt": b"one", "b.txt": b"two", "d": folder}, mode)
    unpack(path, tmp_path / "out")
    assert (tmp_path / "out/top/in/a.txt").read_bytes() == b"one"
    assert (tmp_path / "out/b.txt").read_bytes() == b"two"
    assert (tmp_path / "out/top/empty").is_dir()


def test_unpack_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("top/a.txt", "one")
        archive.writestr("top/empty/", "")
    unpack(tmp_path / "a.zip", tmp_path / "out")
    assert (tmp_path / "out/top/a.txt").read_text() == "one"
    assert (tmp_path / "out/top/empty").is_dir()


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "a/../../evil.txt"])
def test_members_outside_are_refused(name, tmp_path):
    out = tmp_path / "in" / "out"
    with pytest.raises(UserError, match="lies outside of the archive's folder"):
        unpack(make_tar(tmp_path / "a.tar.gz", {name: b"x"}), out)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, "x")
    with pytest.raises(UserError, match="lies outside of the archive's folder"):
        unpack(tmp_path / "a.zip", out)
    assert not list(tmp_path.rglob("evil.txt"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(kind, tmp_path):
    path = make_tar(tmp_path / "a.tar.gz", {"l": link("l", kind, str(tmp_path)), "l/evil.txt": b"x"})
    message = "link l leads outside" if kind == tarfile.SYMTYPE else "member l is no file, folder or link"
    with pytest.raises(UserError, match=message):
        unpack(path, tmp_path / "out")
    assert not list(tmp_path.rglob("evil.txt"))


def test_links_inside_are_made_and_cannot_be_used_to_get_out(tmp_path):
    inner = link("top/new/data", tarfile.SYMTYPE, "../data")
    path = make_tar(tmp_path / "a.tar.gz", {"top/data/a.txt": b"one", "l": inner})
    for _ in range(2):
        unpack(path, tmp_path / "out")
        assert (tmp_path / "out/top/new/data/a.txt").read_bytes() == b"one"
    # First a link that leads to a folder still to come, then that folder as a link: together they would lead outside.
    steps = {"1": link("way", tarfile.SYMTYPE, "later/../far"), "2": link("later", tarfile.SYMTYPE, "."), "way/x": b"x"}
    (tmp_path / "far").mkdir()
    with pytest.raises(UserError, match="way/x lies outside"):
        unpack(make_tar(tmp_path / "b.tar.gz", steps), tmp_path / "bad")
    assert not list(tmp_path.rglob("x"))


def test_a_link_that_is_there_already_is_not_followed_outside(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "l").symlink_to(tmp_path)
    with pytest.raises(UserError, match="lies outside"):
        unpack(make_tar(tmp_path / "a.tar.gz", {"l/evil.txt": b"x"}), tmp_path / "out")
    assert not (tmp_path / "evil.txt").exists()


def test_broken_archive(tmp_path):
    whole = make_tar(tmp_path / "a.tar.gz", {"a": bytes(50_000)}).read_bytes()
    (tmp_path / "a.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="a.tar.gz: a broken archive"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "out")


def test_fetch_unpacks_once_and_not_what_is_there(publisher, tmp_path):
    packed = make_tar(tmp_path / "x.tgz", {"top/a.txt": b"one"}).read_bytes()
    publisher.files["/x.tgz"] = packed
    archive = Archive(publisher.url + "/x.tgz", "md5:" + hashlib.md5(packed).hexdigest(), "top")
    fetch(archive, tmp_path / "out")
    assert (tmp_path / "out/top/a.txt").read_bytes() == b"one"
    (tmp_path / "out/top/a.txt").write_bytes(b"mine")
    fetch(archive, tmp_path / "out")
    assert (tmp_path / "out/top/a.txt").read_bytes() == b"mine"
    (tmp_path / "own/top").mkdir(parents=True)
    fetch(archive, tmp_path / "own")
    assert len(publisher.asked) == 1
