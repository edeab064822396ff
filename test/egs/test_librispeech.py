"""egs/librispeech through its own run.sh on a miniature of OpenSLR 12."""

import re
from pathlib import Path

import pytest

from test.egs import miniatures
from test.egs.recipe import copy_recipe, run
from test.egs.test_aishell import ALL, FORM_B, STEPS
from test.families.checkpoints import tiny_checkpoint


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("librispeech")
    miniatures.librispeech(place / "corpus")
    return copy_recipe("librispeech", place)


def arguments(recipe: Path, confs: list[str]) -> list[str]:
    return ["--corpus_dir", str(recipe.parents[2] / "corpus"), "--allow_partial", "true", "--nj", "1", "--ngpu", "0", "--bpe", "60",
            "--plm", str(tiny_checkpoint("qwen2")), "--confs", " ".join(confs), "--train_options", STEPS]  # fmt: skip


def test_an_incomplete_corpus_is_refused_by_its_counts(recipe: Path) -> None:
    output = run(recipe, "--stop_stage", "0", "--corpus_dir", str(recipe.parents[2] / "corpus"), "--hours", "960", code=1)
    assert "train-clean-360: not found" in output and "Traceback" not in output
    output = run(recipe, "--stop_stage", "0", "--corpus_dir", str(recipe.parents[2] / "corpus"), code=1)
    assert "train has 9 utterances, the complete corpus has 28539" in output


def test_all_stages(recipe: Path) -> None:
    output = run(recipe, *arguments(recipe, ["plm_ctc_lora"]))
    folders = re.findall(r"^%WER \d+\.\d\d \[ \d+ / \d+, .* \] (exp/\S+)/wer_best$", output, re.M)
    sets = ("dev", "test_clean", "test_other")
    assert folders == [f"exp/plm_ctc_lora/decode_{data}" for data in sets]
    assert len((recipe / "data/dev/text").read_text(encoding="utf-8").splitlines()) == 2, "dev-clean and dev-other"
    assert (recipe / "data/train/spk2gender").read_text(encoding="utf-8").split()[::2] == ["19", "26"]
    assert (recipe / "RESULTS.md").stat().st_size


@pytest.mark.slow
def test_every_experiment_of_the_recipe(recipe: Path) -> None:
    output = run(recipe, *arguments(recipe, [*FORM_B, *ALL]), timeout=1200)
    assert output.count("%WER") == 3 * len(ALL + FORM_B)
