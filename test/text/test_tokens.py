import json
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechlm.core.errors import UserError
from speechlm.core.signature import read_signature
from speechlm.text import KINDS
from speechlm.text.bpe import BpeTokenizer
from speechlm.text.normalize import normalize
from speechlm.text.phone_tokens import PhoneTokenizer
from speechlm.text.pinyin_tokens import PinyinTokenizer
from speechlm.text.tokens import CharTokenizer, WordTokenizer, load_tokenizer, tokenizer_class
from test.paths import shared

ENGLISH = [
    "HELLO WORLD",
    "the cat's tail, and the dog",
    "a dog sat on the mat",
    "the world of cats and dogs says hello",
]
CHINESE = ["我们今天去公园。", "今天天气很好", "WiFi 很 好 use it"]


def make(kind):
    if kind == "bpe":
        return BpeTokenizer.build(ENGLISH, size=60, language="en")
    if kind == "pinyin":
        return PinyinTokenizer.build(CHINESE)
    if kind == "phone":
        words = {word for text in ENGLISH for word in normalize(text, "en").split()}
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as lexicon:
            lexicon.writelines(f"{word} {' '.join(word.upper())}\n" for word in sorted(words))
            lexicon.flush()
            return PhoneTokenizer.build(ENGLISH, lexicon=lexicon.name, language="en")
    return tokenizer_class(kind).build(ENGLISH, language="en")


def test_char_keeps_no_spaces_in_chinese_but_between_latin_words():
    tokenizer = CharTokenizer.build(CHINESE, language="zh")
    assert tokenizer.units[:2] == ["<blank>", "<unk>"]
    assert tokenizer.units[2:] == sorted(tokenizer.units[2:])
    assert tokenizer.split("很好USE IT") == ["很", "好", "U", "S", "E", "▁", "I", "T"]
    assert tokenizer.encode("今天，去公园") == [tokenizer.ids[c] for c in "今天去公园"]
    assert tokenizer.decode(tokenizer.encode("WiFi 很 好 use it")) == "WIFI很好USE IT"
    assert "▁" not in CharTokenizer.build(["今天 天气"], language="zh").units


def test_unknown_units_and_blanks_leave_nothing():
    tokenizer = CharTokenizer.build(["今天"], language="zh")
    assert tokenizer.encode("今年天") == [tokenizer.ids["今"], 1, tokenizer.ids["天"]]
    assert tokenizer.decode([0, tokenizer.ids["今"], 1, tokenizer.ids["天"], 0]) == "今天"


def test_rare_units_are_left_out_and_the_list_can_be_cut():
    texts = ["a a a b b c"]
    assert WordTokenizer.build(texts, min_count=2).units == ["<blank>", "<unk>", "a", "b"]
    assert WordTokenizer.build(texts, max_size=3).units == ["<blank>", "<unk>", "a"]
    assert WordTokenizer.build(texts).encode("c x a") == [4, 1, 2]


def test_bpe_is_deterministic_and_its_ids_follow_the_blank():
    first, second = make("bpe"), make("bpe")
    assert first.model == second.model
    assert first.units[:2] == ["<blank>", "<unk>"]
    assert first.size <= 60
    assert first.encode("the dogs") == [i + 1 for i in first.processor.encode("the dogs")]
    assert first.encode("中") == [first.ids["▁"], 1]


def test_bpe_on_real_text_restores_every_transcript():
    path = shared("data/text_corpora/en/librispeech_dev_clean_transcripts.txt")
    texts = [line.split(" ", 1)[1] for line in path.read_text("utf-8").splitlines()][:800]
    tokenizer = BpeTokenizer.build(texts, size=500, language="en")
    assert tokenizer.size == 500
    for text in texts:
        assert tokenizer.decode(tokenizer.encode(text)) == normalize(text, "en")


def test_bpe_says_why_it_cannot_be_made():
    with pytest.raises(UserError, match="no text"):
        BpeTokenizer.build(["...", ""], size=50, language="en")
    with pytest.raises(UserError, match="5 units cannot be made of 4 lines of text"):
        BpeTokenizer.build(ENGLISH, size=5, language="en")


@settings(max_examples=100, deadline=None)
@given(st.text("abc 'x", max_size=20))
def test_decode_undoes_encode(text):
    for tokenizer in (CharTokenizer.build(["abc'a x"], language="en"), ENGLISH_BPE):
        assert tokenizer.decode(tokenizer.encode(text)) == normalize(text, "en")


ENGLISH_BPE = BpeTokenizer.build(["abc x a'b cab bac xx ab ba ca ac bc x'x", "abc'x x'a"], size=40, language="en")


@pytest.mark.parametrize("kind", KINDS)
def test_save_and_load_give_the_same(kind, tmp_path):
    tokenizer = make(kind)
    tokenizer.save(tmp_path / "lang")
    loaded = load_tokenizer(tmp_path / "lang")
    assert type(loaded) is type(tokenizer)
    assert (loaded.units, loaded.language, loaded.options()) == (
        tokenizer.units,
        tokenizer.language,
        tokenizer.options(),
    )
    for text in [*ENGLISH, *CHINESE]:
        assert loaded.encode(text) == tokenizer.encode(text)
    lines = (tmp_path / "lang" / "tokens.txt").read_text("utf-8").splitlines()
    assert lines[:2] == ["<blank> 0", "<unk> 1"]
    assert [int(line.split(" ")[1]) for line in lines] == list(range(tokenizer.size))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a 3", r"tokens.txt:3: must be a unit without spaces and the id 2, is 'a 3'"),
        ("a", r"tokens.txt:3: must be a unit"),
        ("a b 2", r"tokens.txt:3: must be a unit"),
        ("<unk> 2", r"tokens.txt:3: unit '<unk>' stands twice"),
    ],
)
def test_broken_token_list(line, message, tmp_path):
    make("char").save(tmp_path)
    (tmp_path / "tokens.txt").write_text(f"<blank> 0\n<unk> 1\n{line}\n", encoding="utf-8")
    with pytest.raises(UserError, match=message):
        load_tokenizer(tmp_path)


def test_broken_folder(tmp_path):
    with pytest.raises(UserError, match="tokenizer.json: no such file; make it with: speechlm tokens"):
        load_tokenizer(tmp_path)
    make("bpe").save(tmp_path)
    description = json.loads((tmp_path / "tokenizer.json").read_text())
    (tmp_path / "tokenizer.json").write_text(json.dumps({**description, "kind": "bpee"}))
    with pytest.raises(UserError, match="kind 'bpee' is unknown; use one of char, word, bpe, phone, pinyin"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(UserError, match="tokenizer.json: not a tokenizer's description"):
        load_tokenizer(tmp_path)
    make("bpe").save(tmp_path)
    BpeTokenizer.build(CHINESE, size=60, language="zh").save(tmp_path / "other")
    (tmp_path / "bpe.model").write_bytes((tmp_path / "other" / "bpe.model").read_bytes())
    with pytest.raises(UserError, match="does not list the pieces of bpe.model"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_table_resolves(kind):
    assert tokenizer_class(kind).kind == kind
    assert read_signature(KINDS[kind]).summary.endswith(".")
