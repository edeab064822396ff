"""The section `pinyin_noise` reaches the training data, and an option that came later does not make old experiments new."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from speechlm.bin.assemble import noise_on
from speechlm.bin.main import main
from speechlm.core.errors import UserError
from speechlm.data.dataset import SpeechDataset
from speechlm.io.tables import write_table
from speechlm.options import dump, read_experiment
from speechlm.text.pinyin_tokens import PinyinTokenizer
from speechlm.text.tokens import CharTokenizer

TEXT = "知识三十四只狮子吃紫色柿子"
RATES = {"tone": 0.5, "initial": 0.5, "nasal": 0.0, "liquid": 0.0, "seed": 1}


def test_noise_differs_by_epoch_and_is_the_same_again(tmp_path: Path) -> None:
    units = PinyinTokenizer.build([TEXT], noise_units=True)
    write_table(tmp_path / "text", {"u1": TEXT})
    write_table(tmp_path / "utt2spk", {"u1": "u1"})
    data = SpeechDataset(
        tmp_path, source="pinyin", encode_source=units.encode, encode_noisy=noise_on(units, RATES), language="zh"
    )
    first, again, other = (data.read(0, epoch).speech for epoch in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert len(first) == len(other) == len(TEXT) and not np.array_equal(first, units.encode(TEXT))


def test_rates_of_zero_are_no_noise_and_wrong_ones_are_told() -> None:
    units = PinyinTokenizer.build([TEXT])
    assert noise_on(units, {**RATES, "tone": 0.0, "initial": 0.0}) is None and noise_on(units, {}) is None
    with pytest.raises(UserError, match="pinyin_noise: needs pinyin units"):
        noise_on(CharTokenizer.build([TEXT]), RATES)
    with pytest.raises(UserError, match="from 0 to 1"):
        noise_on(units, {**RATES, "tone": 2.0})


def test_an_option_that_came_later_leaves_a_finished_experiment_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    conf = tmp_path / "x.yaml"
    conf.write_text("encoder: {kind: conformer}\nlosses: [{kind: ctc}]\n", encoding="utf-8")
    values = yaml.safe_load(dump(read_experiment(conf)))
    del values["pinyin_noise"], values["data"]["text_seconds"]
    (tmp_path / "exp/checkpoints").mkdir(parents=True)
    (tmp_path / "exp/options.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    (tmp_path / "exp/model.safetensors").touch()
    given = ["train", "--config", str(conf), "--out", str(tmp_path / "exp")]
    assert main(given) == 0 and "nothing to do" in capsys.readouterr().out
    assert main([*given, "--pinyin_noise.tone", "0.1"]) == 1
    assert "was trained with other options in pinyin_noise" in capsys.readouterr().err
