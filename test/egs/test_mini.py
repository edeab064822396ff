"""egs/mini, stages 0-6 through its own run.sh, with a few utterances and steps; then again, which must reuse everything."""

import re
from pathlib import Path

import pytest

from test.egs.recipe import copy_recipe, run

SMALL = ["--num_train", "24", "--num_dev", "4", "--num_test", "6", "--nj", "2", "--train_options",
         "--optim.steps 3 --train.valid_every 2 --optim.warmup 1 --train.log_every 1"]  # fmt: skip


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_recipe("mini", tmp_path_factory.mktemp("mini"))


def test_all_stages_then_nothing_to_do(recipe: Path) -> None:
    output = run(recipe, "--stage", "0", "--stop_stage", "6", *SMALL)
    assert (
        len(re.findall(r"^%WER \d+\.\d\d \[ \d+ / \d+, \d+ ins, \d+ del, \d+ sub \] exp/\S+/cer_\S+$", output, re.M))
        == 4
    )
    assert re.search(r"^report: exp/speech_llm/report\.html$", output, re.M)
    for name in ("RESULTS.md", "exp/speech_llm/report.html", "exp/speech_llm/decode_test/scoring_kaldi/best_cer",
                 "exp/speech_llm/decode_test/scoring_kaldi/cer_details/per_utt", "exp/speech_llm/plots/curves.png"):  # fmt: skip
        assert (recipe / name).stat().st_size, name
    before = {path: path.stat().st_mtime_ns for path in recipe.glob("exp/*/model.safetensors")}
    again = run(recipe, "--stage", "0", "--stop_stage", "6", *SMALL)
    assert before == {path: path.stat().st_mtime_ns for path in recipe.glob("exp/*/model.safetensors")}
    assert again.count("nothing to do") >= 6
    wer = [line for line in output.splitlines() if line.startswith("%WER")]
    assert wer == [line for line in again.splitlines() if line.startswith("%WER")]


def test_decoding_in_any_number_of_jobs_gives_the_same(recipe: Path) -> None:
    """Sharded = whole, and resumed = uninterrupted: the gate of stage 5."""
    folder = recipe / "exp/speech_llm"
    if not (folder / "model.safetensors").exists():
        pytest.skip("needs the trained model of the first test")
    one = (folder / "decode_test/text").read_text(encoding="utf-8")
    run(recipe, "--stage", "5", "--stop_stage", "5", *SMALL[:-4], "--nj", "1")
    assert (folder / "decode_test/text").read_text(encoding="utf-8") == one
    part = folder / "decode_test/parts/1-of-1.jsonl"
    lines = part.read_text(encoding="utf-8").splitlines(keepends=True)
    part.write_text("".join(lines[:3]) + lines[3][:10], encoding="utf-8")
    (folder / "decode_test/text").unlink()
    run(recipe, "--stage", "5", "--stop_stage", "5", *SMALL[:-4], "--nj", "1")
    assert (folder / "decode_test/text").read_text(encoding="utf-8") == one


def test_a_users_mistake_is_one_line_and_how_to_go_on(recipe: Path) -> None:
    output = run(recipe, "--stage", "4", *SMALL[:-2], "--train_options", "--optim.stepps 3", code=1)
    assert "did you mean 'steps'?" in output and "go on by" in output and "Traceback" not in output
