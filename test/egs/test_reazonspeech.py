"""egs/reazonspeech: data stages on the published layout, with the other test sets of 2312.03668 beside it.

Stages 4-6 and adapt.sh are those of egs/jsut, whose test runs them.
"""

from pathlib import Path

from speechlm.io.tables import read_table
from speechlm.options import read_experiment
from test.corpora import miniature
from test.egs.recipe import ROOT, copy_recipe, run

CLIPS = {f"00{i // 3}/{i:013x}": f"ニュースの{i}番目をお伝えします。" for i in range(7)}


def test_held_out_clips_and_other_corpora_become_sets(tmp_path: Path) -> None:
    miniature.write(tmp_path / "r/tsv/tiny.tsv", *(f"{name}.flac\t{text}" for name, text in CLIPS.items()))
    for name in CLIPS:
        miniature.sound(tmp_path / f"r/data/{name}.flac")
    folder = copy_recipe("reazonspeech", tmp_path)
    given = ["--stage", "0", "--stop_stage", "2", "--corpus_dir", str(tmp_path / "r"), "--size", "tiny", "--num_held_out", "3",
             "--jsut_dir", str(miniature.jsut(tmp_path / "j")),
             "--commonvoice_dir", str(miniature.commonvoice(tmp_path / "cv") / "zh-TW")]  # fmt: skip
    run(folder, *given)
    sets = {name: set(read_table(folder / f"data/{name}/text")) for name in ("train", "dev", "test", "basic5000", "commonvoice")}
    assert [len(ids) for ids in sets.values()] == [4, 1, 2, 1, 2]
    assert not sets["train"] & (sets["dev"] | sets["test"]) and not sets["dev"] & sets["test"]
    assert "。" not in (folder / "data/lang_char/tokens.txt").read_text(encoding="utf-8"), "punctuation is no unit"
    assert run(folder, *given).count("nothing to do") == 4


def test_its_experiments_are_those_of_jsut_but_for_their_length() -> None:
    confs = ROOT / "egs"
    for path in sorted((confs / "jsut/asr1/conf").glob("*.yaml")):
        one, other = (read_experiment(place).values for place in (path, confs / "reazonspeech/asr1/conf" / path.name))
        for name in ("text", "encoder", "llm", "losses", "decode", "score"):
            assert one.get(name) == other.get(name), f"{path.name}: {name}"
    step = confs / "TEMPLATE/asr1/steps/adapt.sh"
    assert all((confs / f"{name}/asr1/adapt.sh").resolve() == step for name in ("jsut", "reazonspeech"))
