import numpy as np
import pytest

from speechlm.core.errors import UserError
from speechlm.corpora import espeak
from speechlm.corpora.espeak import Espeak, Voice, in_child, with_phonemes
from speechlm.corpora.mini_sentences import sentences
from speechlm.corpora.mini_voices import VOICES, spoken


@pytest.fixture(scope="module")
def library():
    pytest.importorskip("espeakng_loader")
    return Espeak()


def test_same_samples_in_every_order(library):
    texts = ["王先生说他再做作业", "今天天气很好"]
    voices = [Voice("zh", "f3", 150, 60, 40), Voice("zh", "Alex", 200, 40, 70)]
    cases = [(text, voice) for text in texts for voice in voices]
    first = [library.speak(*case) for case in cases]
    again = [library.speak(*case) for case in reversed(cases)][::-1]
    for one, other in zip(first, again, strict=True):
        assert one.dtype == np.int16
        assert 0.5 < len(one) / library.rate < 5
        assert np.array_equal(one, other)
    assert len({len(one) for one in first}) > 1
    assert np.array_equal(Espeak().speak(*cases[0]), first[0])


def test_every_voice_speaks(library):
    heard = {}
    for variant in " ".join(VOICES.values()).split():
        samples = library.speak("你好", Voice("zh", variant))
        assert np.sqrt(np.mean(samples.astype(float) ** 2)) > 300, variant
        heard[samples.tobytes()] = variant
    assert len(heard) == 55
    assert len(set(" ".join(VOICES.values()).lower().split())) == 55


def test_unknown_voice_is_refused(library):
    with pytest.raises(UserError, match="no voice 'cmn[+]nobody'"):
        library.speak("你好", Voice("zh", "nobody"))


def test_what_cannot_be_said(library):
    assert library.sayable(["你好", "英雄", "A", "这儿", "三"], "zh") == [True, False, False, False, True]
    assert library.sayable(["hello", "it's a bear"], "en") == [True, True]
    assert library.sayable(["おはよう", "今日は"], "ja") == [True, False]


def test_unsayable_syllables_become_phonemes(library):
    assert with_phonemes("英雄", ["ying1", "xiong2"]) == "英[[S;yu35N]]"
    written = [spoken(text, "zh") for text in ("英雄", "贫穷的熊", "窘", "兄弟")]
    assert written == ["英[[S;yu35N]]", "贫[[tS;hyu35N]]的[[S;yu35N]]", "[[tS;yu214N]]", "[[S;yu55N]]弟"]
    assert library.sayable(written, "zh") == [True] * 4
    voice = Voice("zh", "m3")
    longer = len(library.speak(written[0], voice)) - len(library.speak("英", voice))
    assert 0.1 * library.rate < longer < 0.6 * library.rate
    assert spoken("英国", "zh") == "英国"
    assert spoken("bear 雄", "en") == "bear 雄"


def test_all_built_in_sentences_can_be_said(library):
    texts = sentences(800, seed=3)
    assert all(library.sayable([spoken(text, "zh") for text in texts], "zh"))


def test_long_data_path_gets_a_link(library, monkeypatch):
    monkeypatch.setattr(espeak, "LONGEST_DATA_PATH", 50)
    other = Espeak()
    assert other._link is not None
    voice = Voice("zh", "f2")
    assert np.array_equal(other.speak("你好", voice), library.speak("你好", voice))
    monkeypatch.setattr(espeak, "LONGEST_DATA_PATH", 5)
    with pytest.raises(UserError, match="set TMPDIR to a short one"):
        Espeak()


def test_failure_in_the_child_is_not_silent(capfd):
    assert in_child(lambda: b"x" * 200_000) == b"x" * 200_000

    def fail():
        raise ZeroDivisionError("told")

    with pytest.raises(RuntimeError, match="process that speaks has failed"):
        in_child(fail)
    assert "ZeroDivisionError: told" in capfd.readouterr().err
