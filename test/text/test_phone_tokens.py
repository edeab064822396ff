import pytest

from speechlm.core.errors import UserError
from speechlm.text.phone_tokens import PhoneTokenizer
from speechlm.text.tokens import load_tokenizer
from test.paths import shared

LEXICON = "READ\tR IY1 D\nREAD(2) R EH1 D\nIT'S IH1 T S\nNEW N UW1\nOLD OW1 L D\n"


@pytest.fixture
def lexicon(tmp_path):
    path = tmp_path / "lexicon.txt"
    path.write_text(LEXICON)
    return path


def test_first_pronunciation_stress_and_unknown_words(lexicon):
    texts = ["It's new.", "READ it's"]
    tokenizer = PhoneTokenizer.build(texts, lexicon=lexicon, language="en")
    assert tokenizer.units == ["<blank>", "<unk>", "D", "IH", "IY", "N", "R", "S", "T", "UW"]
    assert tokenizer.split("read it's") == ["R", "IY", "D", "IH", "T", "S"]
    assert tokenizer.encode("read nothing") == [6, 4, 2, 1]
    assert tokenizer.decode([6, 4, 2, 1]) == "R IY D"
    marked = PhoneTokenizer.build(texts, lexicon=lexicon, language="en", stress=True)
    assert marked.split("new") == ["N", "UW1"]


def test_the_folder_needs_no_other_file(lexicon, tmp_path):
    tokenizer = PhoneTokenizer.build(["new read"], lexicon=lexicon, language="en")
    tokenizer.save(tmp_path / "lang")
    lexicon.unlink()
    loaded = load_tokenizer(tmp_path / "lang")
    assert loaded.encode("READ new old") == tokenizer.encode("read new old")
    assert not loaded.spells_text


def test_users_mistakes(lexicon):
    with pytest.raises(UserError, match="has none of the 1 words"):
        PhoneTokenizer.build(["strange"], lexicon=lexicon, language="en")
    lexicon.write_text("read\n")
    with pytest.raises(UserError, match=r"lexicon.txt:1"):
        PhoneTokenizer.build(["read"], lexicon=lexicon, language="en")


def test_cmudict_covers_read_speech():
    path = shared("data/text_corpora/en/librispeech_dev_clean_transcripts.txt")
    texts = [line.split(" ", 1)[1] for line in path.read_text("utf-8").splitlines() if " " in line]
    tokenizer = PhoneTokenizer.build(
        texts, lexicon=shared("data/text_corpora/lexicons/cmudict-en-us.dict"), language="en"
    )
    assert tokenizer.size == 2 + 39
    ids = [i for text in texts for i in tokenizer.encode(text)]
    assert ids.count(1) < 0.01 * len(ids)
