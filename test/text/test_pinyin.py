import pytest

from speechlm.text.pinyin import LETTERS_AND_DIGITS, Scheme, all_readings, split_syllable, words
from test.paths import shared


def readings(text):
    return [reading for word in words(text) for reading in word.readings]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("银行行长走了", "yin2 hang2 hang2 zhang3 zou3 le5"),
        ("重庆很重要", "chong2 qing4 hen3 zhong4 yao4"),
        ("慢慢地走", "man4 man4 de5 zou3"),
        ("土地", "tu3 di4"),
        ("绿色女人", "lv4 se4 nv3 ren2"),
        ("WIFI和3个", "W I F I he2 3 ge4"),
    ],
)
def test_readings_by_phrase(text, expected):
    assert readings(text) == expected.split()


def test_every_character_belongs_to_one_word_and_says_how_it_was_read():
    found = words("银行x地藏ッ 人")
    assert "".join(word.text for word in found) == "银行x地藏ッ人"
    assert all(len(word.readings) == len(word.text) for word in found)
    known = {word.text: word.known for word in found}
    assert (known["银行"], known["x"], known["ッ"], known["人"]) == ("phrase", "letter", "none", "single")
    assert {word.text: word.known for word in words("地")} == {"地": "heteronym"}


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        (Scheme(), "zhong1 guo2 ren2 A 3 er5"),
        (Scheme(tones=False), "zhong guo ren A 3 er"),
        (Scheme("initial_final"), "zh ong1 g uo2 r en2 A 3 er5"),
        (Scheme("initial_final", tones=False), "zh ong g uo r en A 3 er"),
    ],
)
def test_schemes(scheme, expected):
    given = ["zhong1", "guo2", "ren2", "A", "3", "er5", ""]
    assert [unit for reading in given for unit in scheme.units(reading)] == expected.split()


def test_initial_and_final_name_one_syllable():
    syllables = {reading[:-1] for reading in all_readings()}
    assert len(syllables) > 400
    assert len({split_syllable(syllable) for syllable in syllables}) == len(syllables)
    assert split_syllable("ju") == ("j", "v")
    assert split_syllable("liu") == ("l", "iou")
    assert split_syllable("yan") == ("", "ian")


def test_all_readings_hold_every_neutral_tone():
    found = all_readings()
    assert 1400 < len(found) < 2200
    assert {reading[:-1] + "5" for reading in found} <= found
    assert not found & set(LETTERS_AND_DIGITS)


@pytest.mark.parametrize(
    ("name", "text_column", "lowest"), [("aishell1_dev_test_transcripts", 1, 0.993), ("thchs30_sentences", 0, 0.993)]
)
def test_agreement_with_published_pinyin(name, text_column, lowest):
    """The published column has no digit for the neutral tone; it is automatic itself, about 1 % wrong."""
    same = total = 0
    for line in shared(f"data/text_corpora/zh/{name}.tsv").read_text("utf-8").splitlines():
        text, published = line.split("\t")[text_column : text_column + 2]
        theirs = [reading if reading[-1].isdigit() else reading + "5" for reading in published.split()]
        ours = readings(text)
        assert len(ours) == len(theirs), text
        same += sum(a == b for a, b in zip(ours, theirs, strict=True))
        total += len(theirs)
    print(f"{name}: {same / total:.4%} of {total} syllables agree")
    assert same / total > lowest
