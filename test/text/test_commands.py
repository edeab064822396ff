import json

import pytest

from speechlm.bin.main import main
from speechlm.text.lexicon import read_lexicon
from speechlm.text.tokens import load_tokenizer


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text"
    path.write_text("a-1 今天天气很好\na-2 我有WIFI\na-3\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("options", "size"),
    [
        (["--kind", "char"], 2 + 5 + 2 + 3),
        (["--kind", "word"], 2 + 2),
        (["--kind", "bpe", "--size", "20"], None),
        (["--kind", "pinyin"], 2 + 7 + 36),
        (["--kind", "pinyin", "--tones", "false", "--units", "initial_final"], None),
        (["--kind", "char", "--size", "8"], 8),
    ],
)
def test_tokens(options, size, text, tmp_path, capsys):
    out = str(tmp_path / "lang")
    assert main(["tokens", "--text", str(text), "--language", "zh", "--out", out, *options]) == 0
    tokenizer = load_tokenizer(out)
    assert tokenizer.size == size or size is None
    assert f"{out}: {tokenizer.size} {options[1]} units from 3 lines" in capsys.readouterr().err
    assert (1 in tokenizer.encode("今天天气很好")) == (size == 8)


def test_tokens_tells_the_share_of_unknown_units(text, tmp_path, capsys):
    words = ["tokens", "--kind", "char", "--text", str(text), "--language", "zh", "--out", str(tmp_path / "lang")]
    assert main([*words, "--min_count", "2"]) == 0
    assert "66.667 % unknown" in capsys.readouterr().err  # only 天 and I come twice


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tokens", "--kind", "bpe", "--text", "{text}"], "--size: subword units need a number of units"),
        (["tokens", "--kind", "char", "--text", "{text}x"], "textx: no such file"),
        (["tokens", "--kind", "char", "--text", "{empty}"], "no text in it; a token list needs transcripts"),
        (["lexicon", "--text", "{empty}"], "no text in it; a lexicon needs transcripts"),
    ],
)
def test_mistakes(words, message, text, tmp_path, capsys):
    (tmp_path / "empty").write_text("a-1\n")
    filled = [word.format(text=text, empty=tmp_path / "empty") for word in words]
    assert main([*filled, "--out", str(tmp_path / "lang")]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "lang").exists()


def test_lexicon(text, tmp_path, capsys):
    text.write_text("a-1 银行今天开门\na-2 我有WIFI\n", encoding="utf-8")
    out = tmp_path / "lang"
    assert main(["lexicon", "--text", str(text), str(text), "--out", str(out), "--by", "word", "--noise_units"]) == 0
    assert read_lexicon(out / "lexicon.txt")["银行"] == [["yin2", "hang2"]]
    assert json.loads((out / "lexicon.json").read_text("utf-8"))["sentences"] == 4
    tokenizer = load_tokenizer(out)
    assert {"jin1", "jing1", "jin5"} <= set(tokenizer.units)
    told = capsys.readouterr().err
    assert "from 4 sentences of 24 characters" in told
    assert "by phrase" in told
