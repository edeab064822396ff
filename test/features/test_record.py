"""How features were made is written down, kept through the scripts, and held against the experiment."""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path

import pytest

from speechlm.bin.assemble import furnish, make_dataset
from speechlm.bin.main import main
from speechlm.core.errors import UserError
from speechlm.features.fbank import Fbank
from speechlm.features.record import read_record, record_line, refuse_other_features
from speechlm.io.archive import read_matrix
from speechlm.io.datadir import DataDir
from speechlm.io.expdir import ExpDir
from speechlm.io.tables import read_table
from speechlm.models.restore import facts_of
from speechlm.options import read_experiment
from test.data.corpus import make
from test.paths import ROOT
from test.shell.helpers import run, script

FEATURES = "features: {rate: 8000, num_mels: 30, frame_length: 20, frame_shift: 12.5, cmvn: none}\n"


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe's folder with data of 16 kHz and a conf; its steps and utils are the project's."""
    monkeypatch.chdir(tmp_path)
    for name in ("steps", "path.sh", "cmd.sh"):
        (tmp_path / name).symlink_to(ROOT / "egs/TEMPLATE/asr1" / name)
    (tmp_path / "utils").symlink_to(ROOT / "utils")
    make(tmp_path / "data/train", feats=False)
    (tmp_path / "data/train/b-3.wav").unlink()
    for table in ("wav.scp", "text", "utt2spk", "utt2dur"):
        path = tmp_path / "data/train" / table
        path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.startswith("b-3")))
    (tmp_path / "x.yaml").write_text(
        FEATURES + "encoder: {kind: conv}\nhead: {kind: ctc}\ndata: {train: [data/train]}\ntext: {language: en}\n"
    )
    return tmp_path


def stage_1(recipe: Path, *options: str) -> str:
    """Run steps/features.sh on data/train, two jobs; give what it said."""
    words = " ".join(options)
    text = f"set -euo pipefail\n. ./path.sh\nsteps/features.sh --nj 2 {words} data/train\n"
    done = run(script(recipe / "stage1.sh", "#!/usr/bin/env bash\n" + text), cwd=recipe)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def experiment(recipe: Path, features: str = FEATURES) -> dict:
    path = recipe / "y.yaml"
    path.write_text((recipe / "x.yaml").read_text().replace(FEATURES, features))
    return read_experiment(path).values


def test_the_step_takes_the_section_and_computes_again_when_it_changes(recipe: Path) -> None:
    data = DataDir(recipe / "data/train")
    assert "4 of 4 utterances have features" in stage_1(recipe, "--config", "x.yaml")
    wanted = Fbank(rate=8000, num_mels=30, frame_length=20.0, frame_shift=12.5)
    assert read_record(data.path) == wanted.options
    rows = read_table(data.path / "feats.scp")
    assert {utt: read_matrix(place).shape for utt, place in rows.items()} == {
        utt: (wanted.num_frames(int(float(seconds) * 8000)), 30) for utt, seconds in (data.utt2dur or {}).items()
    }
    assert "nothing to do" in stage_1(recipe, "--config", "x.yaml")
    assert "have features" in stage_1(recipe, "--config", "x.yaml", "--num_mels", "24")
    assert read_matrix(read_table(data.path / "feats.scp")["a-1"]).shape[1] == 24
    assert "have features" in stage_1(recipe, "--config", "x.yaml", "--options '--dither 1'")
    assert (read_record(data.path) or {})["dither"] == 1.0
    assert "have features" in stage_1(recipe) and "nothing to do" in stage_1(recipe, "--rate", "16000")
    assert read_record(data.path) == Fbank().options


def test_a_fault_of_the_section_stops_the_step(recipe: Path) -> None:
    (recipe / "x.yaml").write_text("features: {num_mels: many, frame_shft: 10}\n")
    text = ". ./path.sh\nset -e\nsteps/features.sh --config x.yaml data/train\n"
    done = run(script(recipe / "stage1.sh", "#!/usr/bin/env bash\n" + text), cwd=recipe)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "x.yaml:1: features.num_mels: " in done.stderr
    assert "x.yaml:1: features.frame_shft: unknown option; did you mean 'frame_shift'" in done.stderr
    assert not (recipe / "data/train/feats.scp").exists()


def test_training_and_decoding_refuse_what_was_made_otherwise(recipe: Path) -> None:
    stage_1(recipe, "--config", "x.yaml")
    folder, exp = recipe / "data/train", ExpDir(recipe / "exp/x")
    values = experiment(recipe)
    for training in (True, False):
        assert make_dataset(folder, values, exp, training=training)[0].speech.shape[1] == 30
    other = experiment(recipe, "features: {rate: 8000, num_mels: 30, frame_length: 20, cmvn: none}\n")
    for training in (True, False):
        with pytest.raises(UserError) as caught:
            make_dataset(folder, other, exp, training=training)
        assert str(caught.value) == (
            f"{folder}/feats.scp: made with frame_shift 12.5, the experiment says frame_shift 10.0; run stage 1 again "
            "with --config and the experiment's YAML, or correct its section 'features'"
        )
    assert make_dataset(folder, other, exp, training=False, from_audio=True)[0].speech.shape[1] == 30
    # The statistics of a training from audio come from the stored features.
    other["data"] |= {"train": [str(folder)], "from_audio": True}
    other["features"]["cmvn"] = "global"
    with pytest.raises(UserError, match=r"made with frame_shift 12\.5"):
        furnish(exp, other)


def test_durations_and_widths_follow_the_section(recipe: Path) -> None:
    stage_1(recipe, "--config", "x.yaml", "--options '--use_energy true'")
    (recipe / "data/train/utt2dur").unlink()
    values = experiment(recipe, FEATURES.replace("cmvn", "use_energy: true, cmvn"))
    data = make_dataset(recipe / "data/train", values, ExpDir(recipe / "exp/x"), training=False)
    assert data[0].speech.shape[1] == 31 and facts_of(ExpDir(recipe / "exp/x"), values).num_mels == 31
    assert data.sizes[0] == pytest.approx(0.0125 * len(data[0].speech)) == pytest.approx(0.5, abs=0.02)


def test_the_encoder_knows_the_step(recipe: Path) -> None:
    from speechlm.models.build import Facts, build_encoder

    facts = facts_of(ExpDir(recipe / "exp/x"), experiment(recipe))
    section = {"kind": "conv"}
    usual, longer = build_encoder(section, Facts()), build_encoder(section, facts)
    assert longer.seconds_per_step == pytest.approx(1.25 * usual.seconds_per_step)


def test_without_a_record_the_width_is_looked_at_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = DataDir(make(tmp_path / "d"))
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            refuse_other_features(data.path, Fbank(num_mels=20, frame_shift=5.0))
    assert caplog.text.count("only its width (20) was looked at") == 1
    with pytest.raises(UserError, match="rows of 20 values, the experiment says 80"):
        refuse_other_features(data.path, Fbank())
    (data.path / "feats.ark").unlink()  # unreadable rows are counted where they are read
    refuse_other_features(data.path, Fbank())


def test_records_that_are_none_and_older_ones(tmp_path: Path) -> None:
    data = DataDir(make(tmp_path / "d"))
    older = {name: value for name, value in Fbank(num_mels=20).options.items() if name != "dither"}
    (data.path / "features.json").write_text(json.dumps(older))
    refuse_other_features(data.path, Fbank(num_mels=20))
    for text in ("{", "[]"):
        (data.path / "features.json").write_text(text)
        with pytest.raises(UserError, match=r"features\.json: .*stage 1"):
            refuse_other_features(data.path, Fbank(num_mels=20))


def test_show_needs_no_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fbank", "--show", "--num_mels", "40"]) == 0
    assert capsys.readouterr().out == record_line(Fbank(num_mels=40))
    assert main(["fbank", "--out", "x"]) == 1
    assert "--scp_dir" in capsys.readouterr().err


def test_scripts_carry_the_record(tmp_path: Path) -> None:
    one = make(tmp_path / "one")
    (one / "features.json").write_text(record_line(Fbank(num_mels=20)))
    assert run("fix_data_dir.sh", one, cwd=tmp_path).returncode == 0
    for words in (["copy_data_dir.sh", "--utt-prefix", "p-", "--spk-prefix", "p-", one, "two"],
                  ["subset_data_dir.sh", "--first", one, "2", "three"]):  # fmt: skip
        done = run(*words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / words[-1] / "features.json").read_text() == record_line(Fbank(num_mels=20))
    done = run("combine_data.sh", "four", one, "two", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert read_record(tmp_path / "four") == Fbank(num_mels=20).options
    (tmp_path / "two/features.json").write_text(record_line(Fbank(num_mels=20, dither=1.0)))
    done = run("combine_data.sh", "four", one, "two", cwd=tmp_path)
    assert done.returncode == 0 and "feats.scp is left out" in done.stderr
    assert not {"feats.scp", "features.json"} & set(os.listdir(tmp_path / "four"))
    os.remove(tmp_path / "two/features.json")
    shutil.rmtree(tmp_path / "four")
    assert run("combine_data.sh", "four", one, "two", cwd=tmp_path).returncode == 0
    assert (tmp_path / "four/feats.scp").exists() and not (tmp_path / "four/features.json").exists()
