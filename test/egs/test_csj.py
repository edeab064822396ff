"""egs/csj on a miniature of the published tree with tiny checkpoints: trained on it, and adapted to it from another recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from speechlm.io.tables import read_table
from speechlm.options import read_experiment
from test.corpora.lectures import LECTURES, csj
from test.corpora.miniature import sound
from test.egs.checkpoints import small_gpt_neox
from test.egs.recipe import ROOT, copy_recipe, run
from test.families.checkpoints import tiny_checkpoint

MODEL = "hubert_conv_gpt_small"
SHORT = (
    "--optim.steps 2 --optim.warmup 1 --train.valid_every 2 --train.trial false --train.precision fp32 --data.workers 0"
)
SETS = ["eval1", "eval2", "eval3"]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipe after stages 0-6; corpus, checkpoints and options lie two folders above it."""
    place = tmp_path_factory.mktemp("csj")
    folder = copy_recipe("csj", place)
    texts = ["".join(words) for units in LECTURES.values() for *_, words in units]
    hubert, gpt = tiny_checkpoint("hubert_base", place), small_gpt_neox(place / "gpt", texts)
    (place / "options").write_text(f"--encoder.checkpoint {hubert} --llm.checkpoint {gpt} {SHORT}", encoding="utf-8")
    output = run(folder, "--confs", MODEL, *given(place))
    assert output.count("%WER") == 3, output
    return folder


def given(place: Path) -> list[str]:
    """The options that make the recipe small."""
    return ["--corpus_dir", str(csj(place / "corpus")), "--prepare_options", "--dev_utterances 1 --allow_partial true",
            "--sets", " ".join(SETS), "--nj", "1", "--ngpu", "0",
            "--train_options", (place / "options").read_text(encoding="utf-8")]  # fmt: skip


def test_all_stages(recipe: Path) -> None:
    for name in SETS:
        assert set(read_table(recipe / f"exp/{MODEL}/decode_{name}/text")) == set(
            read_table(recipe / f"data/{name}/text")
        )
    page = (recipe / "RESULTS.md").read_text(encoding="utf-8")
    assert all(name in page for name in SETS)
    assert "×" not in (recipe / "data/lang_char/tokens.txt").read_text(encoding="utf-8")


def test_adaptation_tells_what_was_won_and_lost(recipe: Path, tmp_path: Path) -> None:
    other = copy_recipe("csj", tmp_path)
    source = tmp_path / "reazonspeech/data/test"
    source.mkdir(parents=True)
    for name, value in {
        "wav.scp": str(sound(tmp_path / "n.wav", seconds=0.5)),
        "text": "評価です",
        "utt2spk": "n",
    }.items():
        (source / name).write_text(f"n-1 {value}\n", encoding="utf-8")
    (source / "spk2utt").write_text("n n-1\n")
    options = given(recipe.parents[2])
    refused = run(other, *options, "--start", str(recipe / f"exp/{MODEL}"), code=1)
    assert "--start wants --sources" in refused
    run(
        other,
        *options,
        "--start",
        str(recipe / f"exp/{MODEL}"),
        "--adapt",
        "lora_adapt_small",
        "--sources",
        str(source),
    )
    page = (other / "RESULTS.md").read_text(encoding="utf-8")
    rows = [line.split("|")[2:4] for line in page.splitlines() if line.startswith(f"| {MODEL} -> lora_adapt_small")]
    assert [(kind.strip(), name.strip()) for kind, name in rows] == [
        *(("target", name) for name in SETS), ("source", "source_test")]  # fmt: skip
    assert (other / f"exp/{MODEL}/model.safetensors").is_symlink()


def test_its_experiments_are_those_of_reazonspeech_but_for_their_length() -> None:
    confs = sorted((ROOT / "egs/csj/asr1/conf").glob("*.yaml"))
    assert confs
    for path in confs:
        one, other = (
            read_experiment(place).values for place in (path, ROOT / "egs/reazonspeech/asr1/conf" / path.name)
        )
        for name in ("text", "encoder", "llm", "losses", "decode", "score"):
            assert one.get(name) == other.get(name), f"{path.name}: {name}"
