"""Archives: kaldiio and Kaldi's own files are the oracle; broken ones are told with file and offset."""

from __future__ import annotations

import gzip
import io
import os
from pathlib import Path

import kaldiio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from speechlm.core.errors import UserError
from speechlm.io import matrices
from speechlm.io.archive import ArkWriter, matrix_shape, read_ark, read_matrix, split_location, write_matrix
from speechlm.io.tables import read_table
from test.paths import shared

RANDOM = np.random.default_rng(0)
ORACLES = ["fbank80", "fbank80_compressed1", "fbank80_compressed2", "fbank80_compressed3", "cmvn_per_spk", "fbank40_8k"]


def example(folder: Path, compress: int = 0) -> tuple[Path, dict[str, np.ndarray]]:
    rows = {f"u{i}": RANDOM.standard_normal((3 + 7 * i, 5)).astype(np.float32) for i in range(4)}
    with ArkWriter(folder / "a.ark", folder / "a.scp", compress) as writer:
        for key, matrix in rows.items():
            writer.write(key, matrix)
    return folder / "a.ark", rows


@pytest.mark.parametrize("name", ORACLES)
def test_kaldi_files_are_read_as_kaldiio_reads_them(name: str) -> None:
    path = shared(f"oracle/kaldi/{name}.ark")
    ours, theirs = dict(read_ark(path)), dict(kaldiio.load_ark(str(path)))
    assert list(ours) == list(theirs)
    for key, matrix in theirs.items():
        np.testing.assert_array_equal(ours[key], matrix)
        assert ours[key].dtype == (np.float64 if "cmvn" in name else np.float32)


def test_compressed_files_are_near_the_plain_one() -> None:
    plain = dict(read_ark(shared("oracle/kaldi/fbank80.ark")))
    for method, near in ((1, 0.3), (2, 0.3), (3, 0.001)):
        packed = dict(read_ark(shared(f"oracle/kaldi/fbank80_compressed{method}.ark")))
        assert max(np.abs(packed[key] - plain[key]).max() for key in plain) < near


def test_kaldi_text_form_is_read(tmp_path: Path) -> None:
    text = gzip.decompress(shared("oracle/kaldi/fbank80.txt.gz").read_bytes())
    (tmp_path / "t.ark").write_bytes(text)
    plain = dict(read_ark(shared("oracle/kaldi/fbank80.ark")))
    for key, matrix in read_ark(tmp_path / "t.ark"):
        np.testing.assert_allclose(matrix, plain.pop(key), atol=1e-4)
    assert not plain


@pytest.mark.parametrize("compress", [0, 1, 2, 3, 5])
def test_kaldiio_reads_what_is_written(tmp_path: Path, compress: int) -> None:
    _, rows = example(tmp_path, compress)
    theirs = kaldiio.load_scp(str(tmp_path / "a.scp"))
    assert list(theirs) == list(rows)
    for key, matrix in rows.items():
        np.testing.assert_allclose(theirs[key], matrix, atol=0.06 if compress else 0)
        location = read_table(tmp_path / "a.scp")[key]
        np.testing.assert_array_equal(read_matrix(location), theirs[key])
        assert matrix_shape(location) == matrix.shape


SHAPES = hnp.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=5)


@given(hnp.arrays(st.sampled_from([np.float32, np.float64]), SHAPES))
@settings(max_examples=80, deadline=None)
def test_round_trip(matrix: np.ndarray) -> None:
    buffer = io.BytesIO()
    matrices.write_values(buffer, matrix)
    buffer.seek(0)
    found = matrices.read_values(buffer)
    assert found.dtype == matrix.dtype and found.shape == matrix.shape and not buffer.read()
    np.testing.assert_array_equal(found, matrix)


@pytest.mark.parametrize("shape", [(3, 4), (4,), (1, 1)])
def test_one_matrix_in_a_file_binary_and_text(tmp_path: Path, shape: tuple[int, ...]) -> None:
    matrix = RANDOM.standard_normal(shape).astype(np.float32) * 1e-5
    for binary in (True, False):
        write_matrix(tmp_path / "m", matrix, binary)
        np.testing.assert_array_equal(read_matrix(str(tmp_path / "m")), matrix)
        np.testing.assert_allclose(kaldiio.load_mat(str(tmp_path / "m")), matrix, rtol=1e-6)


@pytest.mark.parametrize("compress", [0, 1, 3, 5])
def test_cut_short_anywhere_is_told(tmp_path: Path, compress: int) -> None:
    """Every length of the file but those that end behind a matrix is a UserError with path and offset."""
    path, rows = example(tmp_path, compress)
    data = path.read_bytes()
    ends = {0}
    with open(path, "rb") as file:
        for _ in rows:
            file.read(3)
            matrices.read_values(file)
            ends.add(file.tell())
    assert len(data) in ends
    cut = tmp_path / "cut.ark"
    for size in sorted({*range(0, len(data), 7), *ends, *(end - 1 for end in ends if end), *(end + 4 for end in ends)}):
        cut.write_bytes(data[:size])
        if min(size, len(data)) in ends:
            assert len(list(read_ark(cut))) == sorted(ends).index(min(size, len(data)))
            continue
        with pytest.raises(UserError, match=r"cut\.ark:\d+: "):
            list(read_ark(cut))
    cut.write_bytes(data[:20])
    for read in (read_matrix, matrix_shape):
        with pytest.raises(UserError, match=r"cut\.ark:3: cut short inside this matrix"):
            read(f"{cut}:3")


@given(st.binary(max_size=80))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("a") / "a"
    for prefix in (b"", b"\0B", b"\0BFM ", b"\0BCM ", b"\0BFM \4\3\0\0\0\4\xff\xff\xff\xff", b" [ "):
        path.write_bytes(prefix + data)
        try:
            read_matrix(str(path))
        except UserError as error:
            assert str(error).startswith(f"{path}:0: ")


def test_places(tmp_path: Path) -> None:
    assert split_location("a:b/c.ark:12") == ("a:b/c.ark", 12)
    assert split_location("c.ark") == ("c.ark", 0)
    with pytest.raises(UserError, match="no such archive"):
        read_matrix(f"{tmp_path}/none.ark:3")
    with pytest.raises(UserError, match="no such archive"):
        list(read_ark(tmp_path / "none.ark"))
    with pytest.raises(UserError, match="cannot be read"):
        read_matrix(str(tmp_path))
    with pytest.raises(UserError, match="no location"):
        read_matrix("")


def test_error_leaves_neither_file(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), ArkWriter(tmp_path / "a.ark", tmp_path / "a.scp") as writer:
        writer.write("u", np.ones((2, 2)))
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == []
    with pytest.raises(UserError, match="holds a blank"), ArkWriter(tmp_path / "a.ark", None) as writer:
        writer.write("u v", np.ones((2, 2)))
    assert os.listdir(tmp_path) == []
    with pytest.raises(UserError, match="compress"):
        ArkWriter(tmp_path / "a.ark", compress=4)


def test_full_disk(tmp_path: Path) -> None:
    scp = tmp_path / "a.scp"
    with pytest.raises(UserError, match="/dev/full: cannot be written"), ArkWriter("/dev/full", scp) as writer:
        writer.write("u", np.zeros((1000, 80), np.float32))
    assert os.listdir(tmp_path) == []
