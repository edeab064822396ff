from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechlm.core.config import Config, override, parse_value, read_config
from speechlm.core.errors import UserError


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-4", 1e-4), ("5E3", 5e3), ("-2e-5", -2e-5), ("3", 3), ("0.5", 0.5), (".5", 0.5), ("1.", 1.0), ("true", True), ("null", None),
     ("e5", "e5"), ("0-4", "0-4"), ("[a, 1e-3]", ["a", 1e-3]), ("exp/x", "exp/x"), ("1:30", "1:30"), (".", ".")],
)  # fmt: skip
def test_numbers_are_numbers(text: str, value: object) -> None:
    got = parse_value(text)
    assert got == value and type(got) is type(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_as_python_writes_it_is_read(value: float) -> None:
    assert parse_value(repr(value)) == value


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_origin_is_file_and_line(tmp_path: Path) -> None:
    config = read_config(write(tmp_path / "x.yaml", "text: {language: zh}\noptim:\n  lr: 1e-4\nlosses:\n- kind: lm\n"))
    assert config.place("optim.lr") == f"{tmp_path}/x.yaml:3"
    assert config.place("losses.0.kind") == f"{tmp_path}/x.yaml:5"
    assert config.place("optim.nothing") == f"{tmp_path}/x.yaml:2"


def test_overrides(tmp_path: Path) -> None:
    config = read_config(write(tmp_path / "x.yaml", "optim: {lr: 1}\nlosses: [{kind: lm}]\n"))
    override(
        config, ["--optim.lr", "3e-4", "--train.seed=7", "--losses.0.weight", "0.3", "--decode.length_penalty", "-1.5"]
    )
    assert config.values["optim"]["lr"] == 3e-4 and config.values["train"] == {"seed": 7}
    assert (
        config.values["losses"] == [{"kind": "lm", "weight": 0.3}] and config.values["decode"]["length_penalty"] == -1.5
    )
    assert config.place("optim.lr") == "command line"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--lr", "3"], "written --section.option"), (["optim.lr", "3"], "unknown option"), (["--optim.lr"], "has no value"),
     (["--optim.lr", "--train.seed", "1"], "has no value"), (["--losses.5.weight", "1"], "list of 1"), (["--optim.lr.x", "1"], "not a section")],  # noqa: E501
)  # fmt: skip
def test_faulty_overrides_are_one_clear_line(arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        override(Config({"optim": {"lr": 1}, "losses": [{}]}, {}), arguments)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", ":2: 'a' stands twice"),
        ("a: [1\n", ":2: not YAML"),
        ("- 1\n", ":1: an experiment is a mapping"),
        ("a:\n\tb: 1\n", ":2: not YAML"),
    ],
)
def test_faulty_files_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_config(write(tmp_path / "x.yaml", text))


def test_not_utf8_and_missing(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(UserError, match="x.yaml:2: not UTF-8"):
        read_config(tmp_path / "x.yaml")
    with pytest.raises(UserError, match="no such file"):
        read_config(tmp_path / "y.yaml")


def test_no_python_objects(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not YAML"):
        read_config(write(tmp_path / "x.yaml", "a: !!python/object/apply:os.system [echo]\n"))
