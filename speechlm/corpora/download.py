"""Fetch archives: resumed where they broke off, checked by their published sum; unpacked without leaving the folder."""

from __future__ import annotations

import hashlib
import http.client
import logging
import os
import shutil
import stat
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from speechlm.core.errors import UserError
from speechlm.io.files import REFUSED, told

log = logging.getLogger("speechlm")

CHUNK = 1 << 20
TIMEOUT = 60.0
FOR_GOOD = (400, 401, 403, 404, 410, 451)
"""HTTP states that another try does not mend."""


@dataclass(frozen=True)
class Archive:
    """A published archive: its address, its checksum "md5:…" or "sha256:…" ("" if none is published), and where its
    content is found after unpacking, relative to the corpus's folder."""

    url: str
    checksum: str
    holds: str

    @property
    def name(self) -> str:
        """File name."""
        return PurePosixPath(self.url).name


def fetch(archive: Archive, folder: Path) -> None:
    """Download and unpack an archive into `folder`, unless its content is there."""
    mark = folder / f".{archive.name}.unpacked"
    if mark.exists() or ((folder / archive.holds).exists() and not (folder / archive.name).exists()):
        log.info("%s: is there", folder / archive.holds)
        return
    path = download(archive.url, folder / archive.name, archive.checksum)
    log.info("%s: unpacking", path)
    unpack(path, folder)
    mark.touch()


def download(url: str, path: Path, checksum: str = "", *, tries: int = 8, wait: float = 5.0) -> Path:
    """Load `url` to `path`; what an earlier try left in `path.part` is kept and continued.

    The file appears under its name only with the right checksum. Raises UserError if the address is wrong, if `tries`
    tries in a row bring nothing, or if the checksum is another.
    """
    if not url.startswith(("http://", "https://")):
        raise UserError(f"{url}: only http and https are loaded")
    if path.exists():
        check(path, checksum)
        return path
    part = path.with_name(path.name + ".part")
    with told(part, REFUSED):
        part.parent.mkdir(parents=True, exist_ok=True)
        left, before = tries, _size(part)
        while not _continue(url, part, last=left == 1):
            left = tries if _size(part) > before else left - 1
            before = _size(part)
            log.info("%s: broke off at %.1f MB, going on", url, before / 1e6)
            time.sleep(wait)
    check(part, checksum)
    os.replace(part, path)
    return path


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _continue(url: str, part: Path, *, last: bool) -> bool:
    """Load what is missing of `part`; False if it broke off and may be tried again."""
    have = _size(part)
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            resumed = answer.status == 206
            expected = answer.headers.get("Content-Length")
            start = have if resumed else 0
            with open(part, "ab" if resumed else "wb") as file:
                for block in _blocks(answer):
                    file.write(block)
            got = _size(part) - start
        if expected is None or got == int(expected):
            return True
        why = f"{got} of {expected} bytes came"
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is left to load
            return True
        why = f"HTTP {error.code} {error.reason}"
        last = last or error.code in FOR_GOOD
    except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
        why = str(getattr(error, "reason", error)) or type(error).__name__
    if last:
        raise UserError(f"{url}: cannot be loaded ({why}); load it by hand into {part.parent}")
    return False


def _blocks(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """Read an answer to its end; a line about progress every 30 seconds."""
    total = int(answer.headers.get("Content-Length") or 0)
    done, told_at = 0, time.monotonic()
    while block := answer.read(CHUNK):
        yield block
        done += len(block)
        if time.monotonic() - told_at > 30:
            told_at = time.monotonic()
            log.info("%s: %.0f of %.0f MB", answer.url, done / 1e6, total / 1e6)


def check(path: Path, checksum: str) -> None:
    """Compare a file with its published sum; UserError (and the file put aside as `.bad`) if it differs."""
    if not checksum:
        log.warning("%s: no checksum is published for it; its sha256 is %s", path, digest(path, "sha256"))
        return
    kind, _, wanted = checksum.partition(":")
    found = digest(path, kind)
    if found != wanted:
        bad = path.with_name(path.name + ".bad")
        os.replace(path, bad)
        raise UserError(f"{path}: {kind} is {found}, must be {wanted}; it is now {bad.name}, load it again")


def digest(path: Path, kind: str) -> str:
    """Compute the md5 or sha256 of a file."""
    counted = hashlib.new(kind)
    with open(path, "rb") as file:
        while block := file.read(CHUNK):
            counted.update(block)
    return counted.hexdigest()


def unpack(path: Path, folder: Path) -> None:
    """Unpack a tar (plain, gz, bz2, xz) or zip archive into `folder`.

    Only files, folders and (from a tar) symbolic links that stay below `folder` are made: an archive with another kind
    of member, an absolute path, one with `..`, or a link that leads outside is refused before anything is written for
    that member. Raises UserError for that and for a broken archive.
    """
    try:
        with told(folder, REFUSED):
            folder.mkdir(parents=True, exist_ok=True)
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as opened:
                    _unpack_zip(opened, path, folder)
            else:
                with tarfile.open(path) as opened_tar:
                    _unpack_tar(opened_tar, path, folder)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise UserError(f"{path}: a broken archive ({error}); remove it and load it again") from error


def _unpack_tar(archive: tarfile.TarFile, path: Path, folder: Path) -> None:
    for member in archive:
        target = _inside(member.name, path, folder)
        if member.isdir():
            target.mkdir(parents=True, exist_ok=True)
        elif member.isreg():
            source = archive.extractfile(member)
            assert source is not None, "a regular file has content"
            _write(source, target)
        elif member.issym():
            _link(folder / member.name, member.linkname, path, folder)
        else:
            raise UserError(f"{path}: member {member.name} is no file, folder or link; such an archive is refused")


def _link(place: Path, linkname: str, path: Path, folder: Path) -> None:
    """Make a symbolic link if it leads to a place below `folder`."""
    leads_to = (place.parent / linkname).resolve()
    if PurePosixPath(linkname).is_absolute() or not leads_to.is_relative_to(folder.resolve()):
        raise UserError(f"{path}: link {place.name} leads outside of the archive's folder; such an archive is refused")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(linkname)


def _unpack_zip(archive: zipfile.ZipFile, path: Path, folder: Path) -> None:
    for member in archive.infolist():
        target = _inside(member.filename, path, folder)
        kind = stat.S_IFMT(member.external_attr >> 16)
        if member.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        elif kind in (0, stat.S_IFREG):
            with archive.open(member) as source:
                _write(source, target)
        else:
            raise UserError(f"{path}: member {member.filename} is no file or folder; such an archive is refused")


def _inside(name: str, path: Path, folder: Path) -> Path:
    """Give the place of a member; UserError if it would lie outside, be it through a link that is there already."""
    root = folder.resolve()
    target = (folder / name).resolve()
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or not target.is_relative_to(root):
        raise UserError(f"{path}: member {name} lies outside of the archive's folder; such an archive is refused")
    return target


def _write(source: IO[bytes], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, "wb") as file:
        shutil.copyfileobj(source, file, CHUNK)
