import os
import subprocess
import sys

import pytest

from speechlm.bin.main import main
from speechlm.io.datadir import DataDir, validate
from test.corpora import miniature


def run(*words):
    return main([str(word) for word in words])


def test_prepares_and_validates(tmp_path, capsys):
    miniature.fsdd(tmp_path / "fsdd")
    assert run("prepare", "fsdd", "--corpus_dir", tmp_path / "fsdd", "--data", tmp_path / "data") == 0
    assert "test: 20 utterances, 2 speakers, 0:04" in capsys.readouterr().err
    for split in ("train", "dev", "test"):
        assert validate(tmp_path / "data" / split) == []
    assert all(os.path.isabs(path) for path in DataDir(tmp_path / "data/dev").wav_scp.values())


def test_splits_and_options_of_the_corpus(tmp_path, capsys):
    miniature.aishell(tmp_path)
    place = ["--corpus_dir", tmp_path, "--data", tmp_path / "data"]
    assert run("prepare", "aishell", *place, "--splits", "test", "--allow_partial", "true") == 0
    assert not (tmp_path / "data" / "train").exists()
    assert run("prepare", "aishell", *place, "--splits", "train", "--allow_partial") == 0
    assert "1 dropped, without transcript" in capsys.readouterr().err.replace("dropped, 1", "1 dropped,")
    assert run("prepare", "aishell", *place) == 1
    assert "speechlm prepare: " in capsys.readouterr().err


def test_mini_writes_its_audio_below_the_data(tmp_path):
    pytest.importorskip("espeakng_loader")
    sizes = ["--num_train", 2, "--num_dev", 1, "--num_test", 1, "--nj", 1, "--seed", 3]
    assert run("prepare", "mini", "--data", tmp_path / "data", *sizes) == 0
    assert len(list((tmp_path / "data/wav/synthetic_train").glob("*.wav"))) == 2


def test_sounds_without_words_are_valid(tmp_path):
    miniature.musan(tmp_path)
    assert run("prepare", "musan", "--corpus_dir", tmp_path, "--data", tmp_path / "data") == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["hsk"], "--corpus_dir: where is the corpus? It comes from https://github.com/hugolpz"),
        (["hsk", "--corpus_dir", "/nowhere"], "/nowhere: not found; is --corpus_dir /nowhere the corpus of"),
        (["hsk", "--corpus_dir", "x", "--num_train", "4"], "--num_train: corpus hsk has no such option; it has none"),
        (["aishell", "--corpus_dir", "x", "--hours", "100"], "it has --allow_partial, --mirror"),
        (["hsk", "--corpus_dir", "x", "--download"], "--download: nothing can be downloaded here"),
        (["mini", "--num_dev", "0"], "each must be at least 1"),
    ],
)
def test_mistakes_are_told_in_one_line(words, message, tmp_path, capsys):
    assert run("prepare", *words, "--data", tmp_path / "data") == 1
    told = [line for line in capsys.readouterr().err.splitlines() if "INFO" not in line]
    assert len(told) == 1
    assert message in told[0]


def test_unknown_corpus_and_wrong_types_are_refused(tmp_path, capsys):
    for words in (["aishel"], ["mini", "--noise", "x"], ["aishell", "--allow_partial", "yes"]):
        with pytest.raises(SystemExit) as caught:
            run("prepare", *words, "--data", tmp_path)
        assert caught.value.code == 2
    assert "must be true or false, is 'yes'" in capsys.readouterr().err


def test_help_is_quick_and_imports_nothing_heavy():
    code = (
        "import sys, io, contextlib; from speechlm.bin.main import main\n"
        "for command in ('prepare', 'tokens', 'lexicon'):\n"
        "    with contextlib.redirect_stdout(io.StringIO()) as told, contextlib.suppress(SystemExit):\n"
        "        main([command, '--help'])\n"
        "    assert 'usage' in told.getvalue()\n"
        "print(sorted({'torch', 'transformers', 'numpy', 'scipy', 'pypinyin', 'sentencepiece'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_stages_without_a_model_import_no_torch(tmp_path):
    miniature.fsdd(tmp_path / "fsdd")
    code = (
        "import sys; from speechlm.bin.main import main\n"
        f"main(['prepare', 'fsdd', '--corpus_dir', '{tmp_path}/fsdd', '--data', '{tmp_path}/data'])\n"
        f"main(['tokens', '--kind', 'char', '--text', '{tmp_path}/data/train/text', '--out', '{tmp_path}/lang'])\n"
        f"main(['lexicon', '--text', '{tmp_path}/data/train/text', '--out', '{tmp_path}/lang2'])\n"
        "print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
