import hashlib

import pytest

import speechlm.corpora.aishell
import speechlm.corpora.librispeech
import speechlm.corpora.tedlium
from speechlm.core.errors import UserError
from speechlm.corpora.aishell import AishellCorpus
from speechlm.corpora.base import prepare
from speechlm.corpora.commonvoice import CommonvoiceCorpus
from speechlm.corpora.fsdd import FsddCorpus
from speechlm.corpora.hsk import HskCorpus
from speechlm.corpora.jsut import JsutCorpus
from speechlm.corpora.kaldi import KaldiCorpus
from speechlm.corpora.librispeech import SUBSETS, LibrispeechCorpus, Subset
from speechlm.corpora.musan import MusanCorpus
from speechlm.corpora.speechocean import SpeechoceanCorpus
from speechlm.corpora.tedlium import TedliumCorpus
from speechlm.io.datadir import DataDir, validate
from test.corpora import miniature
from test.corpora.test_download import Publisher
from test.paths import shared


@pytest.mark.parametrize("packed", [False, True])
def test_aishell(packed, tmp_path):
    corpus = AishellCorpus(miniature.aishell(tmp_path, packed=packed), allow_partial=True)
    found = prepare(corpus, corpus.splits, tmp_path / "data")
    assert {split: counts["utterances"] for split, counts in found.items()} == {"train": 1, "dev": 1, "test": 3}
    assert found["train"]["dropped, without transcript"] == 1
    data = DataDir(tmp_path / "data" / "test")
    assert data.text["BAC009S0764W0122"] == "蔡卓妍穿着黑色T恤"
    assert data.utt2spk == {utt: utt[:11] for utt in data.text}
    assert data.wav_scp["BAC009S0764W0121"].endswith("data_aishell/wav/test/S0764/BAC009S0764W0121.wav")
    assert len(data.audio("BAC009S0764W0121")) == 3200


def test_aishell_unpacks_a_speaker_once(tmp_path):
    corpus = AishellCorpus(miniature.aishell(tmp_path, packed=True), allow_partial=True)
    list(corpus.utterances("dev"))
    wav = tmp_path / "data_aishell/wav/dev/S0724/BAC009S0724W0121.wav"
    wav.unlink()
    assert list(corpus.utterances("dev")) == []
    (tmp_path / "data_aishell/wav/.unpacked/S0724.tar.gz").unlink()
    assert len(list(corpus.utterances("dev"))) == 1


def test_aishell_must_be_complete(tmp_path):
    corpus = AishellCorpus(miniature.aishell(tmp_path))
    with pytest.raises(UserError, match="dev has 1 utterances, the complete corpus has 14326"):
        prepare(corpus, ["dev"], tmp_path / "data")
    assert [corpus.expected(split) for split in corpus.splits] == [120098, 14326, 7176]
    with pytest.raises(UserError, match="no split 'eval'; there are train, dev, test"):
        list(corpus.utterances("eval"))
    with pytest.raises(UserError, match="aishell_transcript_v0.8.txt: not found; .*openslr.org/33"):
        list(AishellCorpus(tmp_path / "elsewhere").utterances("dev"))


def test_aishell_is_downloaded_and_unpacked(tmp_path, monkeypatch):
    made = miniature.aishell(tmp_path / "made", packed=True)
    packed = miniature.pack(made / "data_aishell", tmp_path / "data_aishell.tgz", "data_aishell")
    publisher = Publisher({"/33/data_aishell.tgz": packed})
    publisher.limit = 1000
    monkeypatch.setattr(speechlm.corpora.aishell, "CHECKSUM", "md5:" + hashlib.md5(packed).hexdigest())
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    corpus = AishellCorpus(tmp_path / "corpus", allow_partial=True, mirror=publisher.url)
    corpus.fetch()
    assert len(publisher.asked) == -(-len(packed) // 1000)
    assert sum(1 for _ in corpus.utterances("test")) == 3
    corpus.fetch()
    assert len(publisher.asked) == -(-len(packed) // 1000)
    publisher.server.shutdown()


def test_librispeech(tmp_path):
    corpus = LibrispeechCorpus(miniature.librispeech(tmp_path), allow_partial=True)
    found = prepare(corpus, corpus.splits, tmp_path / "data")
    assert {split: counts["utterances"] for split, counts in found.items()} == {
        "train": 2, "dev": 2, "test_clean": 2, "test_other": 1,
    }  # fmt: skip
    data = DataDir(tmp_path / "data" / "dev")
    assert data.text["1272-128104-0000"].startswith("MISTER QUILTER")
    assert data.utt2spk == {"116-288045-0000": "116", "1272-128104-0000": "1272"}
    assert (tmp_path / "data/dev/spk2gender").read_text() == "116 f\n1272 f\n"
    assert [u.id for u in corpus.utterances("dev_other")] == ["116-288045-0000"]


def test_librispeech_faults(tmp_path):
    root = miniature.librispeech(tmp_path) / "LibriSpeech"
    corpus = LibrispeechCorpus(tmp_path, allow_partial=True)
    (root / "test-clean/1089/134686/1089-134686-0001.flac").rename(
        root / "test-clean/1089/134686/1089-134686-0007.flac"
    )
    assert [u.id for u in corpus.utterances("test_clean")] == ["1089-134686-0000"]
    assert corpus.dropped == {"without transcript": 1, "without audio": 1}
    with pytest.raises(UserError, match="dev has 2 utterances, the complete corpus has 5567"):
        prepare(LibrispeechCorpus(tmp_path), ["dev"], tmp_path / "data")
    speakers = root / "SPEAKERS.TXT"
    speakers.write_text(speakers.read_text().replace("1272", "1273"))
    with pytest.raises(UserError, match="SPEAKERS.TXT: has no reader 1272"):
        list(corpus.utterances("dev"))
    speakers.write_text("14 | X | dev-clean | 8 | N\n")
    with pytest.raises(UserError, match="SPEAKERS.TXT:1: must be 'reader"):
        list(corpus.utterances("dev"))


def test_librispeech_hours_and_archives(tmp_path, monkeypatch):
    assert LibrispeechCorpus(tmp_path, hours=960).expected("train") == 281241
    names = [archive.name for archive in LibrispeechCorpus(tmp_path).archives()]
    assert names == [f"{n}.tar.gz" for n in ("train-clean-100", "dev-clean", "dev-other", "test-clean", "test-other")]
    made = miniature.librispeech(tmp_path / "made") / "LibriSpeech"
    files, sums = {}, {}
    for name in SUBSETS:
        if (made / name).exists():
            (made / name / "SPEAKERS.TXT").write_bytes((made / "SPEAKERS.TXT").read_bytes())
            files[f"/12/{name}.tar.gz"] = miniature.pack(made / name, tmp_path / "t", f"LibriSpeech/{name}")
            sums[name] = Subset(0, hashlib.md5(files[f"/12/{name}.tar.gz"]).hexdigest())
    publisher = Publisher(files)
    monkeypatch.setattr(speechlm.corpora.librispeech, "SUBSETS", SUBSETS | sums)
    corpus = LibrispeechCorpus(tmp_path / "corpus", allow_partial=True, mirror=publisher.url)
    corpus.fetch()
    assert len(publisher.asked) == 5
    assert len(list((tmp_path / "corpus/LibriSpeech").glob("*/*/*/*.flac"))) == 7
    publisher.server.shutdown()


def test_speechocean_published_tree(tmp_path):
    corpus = SpeechoceanCorpus(miniature.speechocean(tmp_path))
    prepare(corpus, corpus.splits, tmp_path / "out")
    data = {split: DataDir(tmp_path / "out" / split) for split in corpus.splits}
    assert set(data["dev"].spk2utt) == {"so0008", "so0016"}
    assert len(data["train"].spk2utt) == 14
    assert set(data["test"].spk2utt) == {"so0023", "so0030"}
    assert data["test"].wav_scp["so0023-002300011"] == str(tmp_path / "WAVE/SPEAKER0023/002300011.WAV")


def test_fsdd_published_repository(tmp_path):
    corpus = FsddCorpus(miniature.fsdd(tmp_path))
    miniature.sound(tmp_path / "recordings" / "noise.wav")
    found = prepare(corpus, corpus.splits, tmp_path / "data")
    assert [found[split]["utterances"] for split in ("train", "dev", "test")] == [12, 8, 20]
    assert found["train"]["dropped, no name as 7_jackson_32.wav"] == 1
    assert DataDir(tmp_path / "data" / "dev").text["jackson-7-05"] == "SEVEN"


def test_tedlium(tmp_path, monkeypatch):
    made = miniature.tedlium(tmp_path / "made")
    packed = miniature.pack(made / "TEDLIUM_release-3", tmp_path / "t.tgz", "TEDLIUM_release-3")
    publisher = Publisher({"/51/TEDLIUM_release-3.tgz": packed})
    monkeypatch.setattr(speechlm.corpora.tedlium, "CHECKSUM", "sha256:" + hashlib.sha256(packed).hexdigest())
    corpus = TedliumCorpus(tmp_path / "corpus", mirror=publisher.url)
    corpus.fetch()
    publisher.server.shutdown()
    found = prepare(corpus, corpus.splits, tmp_path / "data")
    assert all(counts["utterances"] == 2 and counts["dropped, not for scoring"] == 1 for counts in found.values())
    data = DataDir(tmp_path / "data/train")
    assert data.text["AaronHuey_2010X-0000040-0000155"] == "i'm here today to show my <unk>"
    assert data.segments["AaronHuey_2010X-0000155-0000290"] == "AaronHuey_2010X 1.550 2.900"
    assert len(data.audio("AaronHuey_2010X-0000155-0000290")) == round(1.35 * 16000)
    stm = tmp_path / "corpus/TEDLIUM_release-3/legacy/dev/stm/BlaiseAguerayArcas_2007.stm"
    stm.write_text("BlaiseAguerayArcas_2007 1 x start 3 <o> hello\n")
    with pytest.raises(UserError, match="Arcas_2007.stm:1: must be 'talk channel"):
        list(corpus.utterances("dev"))


def test_commonvoice(tmp_path):
    corpus = CommonvoiceCorpus(miniature.commonvoice(tmp_path), locale="zh-TW")
    found = prepare(corpus, corpus.splits, tmp_path / "data")
    assert found["dev"]["utterances"] == 2
    assert (found["dev"]["dropped, without sentence"], found["dev"]["dropped, without clip"]) == (1, 1)
    data = DataDir(tmp_path / "data/dev")
    assert data.text[f"{'b' * 20}-common_voice_zh-TW_17377831"] == '"是歷史上的第二次'
    assert (tmp_path / "data/dev/spk2gender").read_text() == f"{'b' * 20} m\n"
    assert abs(len(data.audio(data.ids()[0], rate=16000)) - 8000) < 2000
    with pytest.raises(UserError, match="no split 'other'; there are dev, test, train"):
        list(corpus.utterances("other"))
    table = tmp_path / "zh-TW" / "dev.tsv"
    table.write_text(table.read_text().replace("sentence\t", "satz\t"))
    with pytest.raises(UserError, match="dev.tsv:1: no column sentence"):
        list(corpus.utterances("dev"))


def test_jsut(tmp_path):
    corpus = JsutCorpus(miniature.jsut(tmp_path))
    found = prepare(corpus, [*corpus.splits, "travel1000"], tmp_path / "data")
    assert [found[split]["utterances"] for split in found] == [1, 1]
    assert found["basic5000"]["dropped, without audio"] == 1
    data = DataDir(tmp_path / "data/basic5000")
    assert data.text == {"jsut-BASIC5000_0001": "水をマレーシアから買わなくてはならないのです。"}
    miniature.write(tmp_path / "jsut_ver1.1/travel1000/transcript_utf8.txt", "no colon")
    with pytest.raises(UserError, match="transcript_utf8.txt:1: must be 'id:sentence'"):
        list(corpus.utterances("travel1000"))


def test_musan(tmp_path):
    corpus = MusanCorpus(miniature.musan(tmp_path))
    prepare(corpus, corpus.splits, tmp_path / "data")
    data = DataDir(tmp_path / "data/noise")
    assert data.text == {"noise-free-sound-0000": ""}
    assert validate(data.path) != []
    assert validate(data.path, allow_empty_text=True) == []
    assert [u.id for u in corpus.utterances("speech")] == ["speech-librivox-0000"]


@pytest.mark.parametrize(
    ("corpus_class", "pack", "counts"),
    [
        (FsddCorpus, "en_fsdd_8k", {"train": 1080, "dev": 120, "test": 300}),
        (SpeechoceanCorpus, "en_speechocean762", {"train": 750, "dev": 96, "test": 160}),
        (HskCorpus, "zh_hsk_words", {"train": 1600, "dev": 200, "test": 300}),
        (KaldiCorpus, "ja_tofugu_words", {"train": 900, "dev": 60, "test": 100}),
    ],
)
def test_packs_of_real_recordings(corpus_class, pack, counts, tmp_path):
    corpus = corpus_class(shared(f"data/{pack}"))
    found = prepare(corpus, corpus.splits, tmp_path / "data")
    assert {split: found[split]["utterances"] for split in found} == counts
    texts = {}
    for split in counts:
        data = DataDir(tmp_path / "data" / split)
        texts[split] = data.text
        first = data.ids()[0]
        assert abs(len(data.audio(first, rate=16000)) / 16000 - float(data.utt2dur[first])) < 0.1
    assert not set(texts["train"]) & (set(texts["dev"]) | set(texts["test"]))


def test_a_data_directory_with_segments_in_real_recordings(tmp_path):
    corpus = KaldiCorpus(shared("data/en_longform"))
    assert prepare(corpus, ["all"], tmp_path / "data")["all"]["utterances"] == 135
    data = DataDir(tmp_path / "data" / "all")
    assert len(data.segments) == 135
    assert abs(len(data.audio(data.ids()[0], rate=16000)) / 16000 - float(data.utt2dur[data.ids()[0]])) < 0.01


def test_kaldi_pack_with_segments_and_faults(tmp_path):
    miniature.sound(tmp_path / "audio" / "talk.wav", seconds=2.0)
    data = tmp_path / "train"
    miniature.write(data / "wav.scp", "talk audio/talk.wav")
    miniature.write(data / "segments", "s-1 talk 0.0 0.5", "s-2 talk 1.0 -1")
    miniature.write(data / "text", "s-1 one", "s-2 two")
    miniature.write(data / "utt2spk", "s-1 s", "s-2 s")
    prepare(KaldiCorpus(tmp_path), ["train"], tmp_path / "out")
    assert DataDir(tmp_path / "out/train").segments == {"s-1": "talk 0.000 0.500", "s-2": "talk 1.000 2.000"}
    assert len(DataDir(tmp_path / "out/train").audio("s-2")) == 16000
    with pytest.raises(UserError, match="no split 'dev'; there are train"):
        list(KaldiCorpus(tmp_path).utterances("dev"))
    with pytest.raises(UserError, match="not found; is --corpus_dir"):
        list(KaldiCorpus(tmp_path / "none").utterances("dev"))
    miniature.write(data / "text", "s-1 one")
    with pytest.raises(UserError, match="text: no line for utterance 's-2'"):
        list(KaldiCorpus(tmp_path).utterances("train"))
    (data / "text").unlink()
    with pytest.raises(UserError, match="train/text: no such file"):
        list(KaldiCorpus(tmp_path).utterances("train"))
