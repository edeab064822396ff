"""A sweep's file becomes points in an order in which they can run; its table holds what can be counted by hand."""

from pathlib import Path

import pytest
import yaml

from speechlm.bin.sweep_plan import Plan, make_plan
from speechlm.core.errors import UserError
from speechlm.report.results import split_marked
from speechlm.report.sweep import Line, write_table
from speechlm.scoring.score import Settings, score, summary, write_summary
from test.paths import ROOT

CTC = (ROOT / "egs/mini/asr1/conf/conformer_ctc.yaml").read_text(encoding="utf-8")
SWEEPS = sorted(ROOT.glob("egs/*/asr1/conf/sweep/*.yaml"))


def plan_of(tmp_path: Path, sweep: dict | str, overrides: list[str] | None = None, **chosen) -> Plan:
    folder = tmp_path / "conf" / "sweep"
    folder.mkdir(parents=True, exist_ok=True)
    (tmp_path / "conf" / "ctc.yaml").write_text(CTC, encoding="utf-8")
    path = folder / "s.yaml"
    path.write_text(sweep if isinstance(sweep, str) else yaml.safe_dump(sweep, sort_keys=False), encoding="utf-8")
    return make_plan(path, tmp_path, overrides or [], **chosen)


def names(plan: Plan) -> list[str]:
    return [point.name for point in plan.points]


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: f"{path.parts[-5]}/{path.stem}")
def test_the_recipes_sweeps_are_well_formed(path: Path) -> None:
    plan = make_plan(path, path.parents[2], [])
    assert len(set(names(plan))) == len(plan.points) > 1


def test_the_papers_table_is_six_rows_and_three_seeds() -> None:
    path = ROOT / "egs/aishell/asr1/conf/sweep/paper_table.yaml"
    plan = make_plan(path, path.parents[2], [])
    rows = ["conv_only", "random_frozen", "pretrained_frozen", "random_full", "pretrained_full", "conformer"]
    assert names(plan) == [f"{row}-seed{seed}" for row in rows for seed in (1, 2, 3)]
    controls = [point for point in plan.points if point.row.startswith("random")]
    assert all(f"--encoder.init_seed={p.seed}" in p.overrides and f"--train.seed={p.seed}" in p.overrides for p in controls)


def test_grid_and_seeds_are_multiplied_and_a_row_has_its_own(tmp_path: Path) -> None:
    sweep = {"rows": {"a": {"conf": "ctc"}, "b": {"conf": "ctc", "grid": {}, "seeds": [7]}}, "sets": ["data/dev"],
             "grid": {"optim.lr": [0.1, 1e-3], "encoder.layers": [2]}, "seeds": [1, 2]}  # fmt: skip
    plan = plan_of(tmp_path, sweep, ["--optim.steps", "9"])
    lr = ["0.1", "0.001"]
    assert names(plan) == [f"a-lr={value}-layers=2-seed{seed}" for value in lr for seed in (1, 2)] + ["b-seed7"]
    assert len({point.line for point in plan.points}) == 3
    assert all(point.overrides[-2:] == ["--optim.steps", "9"] for point in plan.points)
    assert names(plan_of(tmp_path, sweep, seeds=[2])) == [f"a-lr={v}-layers=2-seed2" for v in lr] + ["b-seed7"]


def test_a_row_that_names_another_runs_after_it_with_its_folder(tmp_path: Path) -> None:
    over = {"conf": "ctc", "options": {"train.start_from": ["{base}", "{first}"], "train.metric": "error"}}
    sweep = {"rows": {"over": over, "base": {"conf": "ctc"}, "first": {"conf": "ctc", "seeds": [5], "sets": [], "export": True}},
             "seeds": [1, 2], "sets": ["data/test"]}  # fmt: skip
    plan = plan_of(tmp_path, sweep)
    waves = [[p.name for p in wave] for wave in plan.waves()]
    assert waves == [["base-seed1", "first-seed5", "base-seed2"], ["over-seed1", "over-seed2"]]
    last = next(point for point in plan.points if point.name == "over-seed2")
    assert "--train.start_from=[exp/s/base-seed2, exp/s/first-seed5]" in last.overrides
    assert names(plan_of(tmp_path, sweep, rows=["over"], seeds=[1])) == ["base-seed1", "first-seed5", "over-seed1"]


def test_same_options_same_digest(tmp_path: Path) -> None:
    sweep = {"rows": {"a": {"conf": "ctc"}}, "sets": ["data/dev"]}
    first, again = plan_of(tmp_path, sweep).points[0], plan_of(tmp_path, sweep).points[0]
    other, more = plan_of(tmp_path, sweep, ["--optim.lr=1"]).points[0], plan_of(tmp_path, {**sweep, "sets": ["data/x"]}).points[0]
    assert first.digest == again.digest and len({first.digest, other.digest, more.digest}) == 3


def test_faults_are_told_with_place_and_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        plan_of(tmp_path, "rows:\n  a: {conf: ctc, sedes: [1]}\nset: [data/dev]\nsets: [data/dev]\nseeds: []\n")
    told = str(caught.value)
    assert "s.yaml:2: rows.a.sedes: unknown name; did you mean 'seeds'?" in told
    assert "s.yaml:3: set: unknown name; did you mean 'sets'?" in told and "s.yaml:5: seeds: " in told


REFUSED = [
    ({"a": {"conf": "ctc", "options": {"optim.lrr": 1}}}, {}, "rows.a: command line: optim.lrr: unknown option; did you mean 'lr'?"),
    ({"a": {"conf": "nothing"}}, {}, "nothing.yaml: no such file"),
    ({"a": {"conf": "ctc", "options": {"train.start_from": ["{bb}"]}}, "b": {"conf": "ctc"}}, {}, "{bb} is no row"),
    ({"a": {"conf": "ctc", "options": {"train.start_from": ["{a}"]}}}, {}, "a-seed1 needs itself"),
    ({"a": {"conf": "ctc"}}, {"reference": "b"}, "reference: no row 'b'"),
    ({"a": {"conf": "ctc"}}, {"curve": {"all": ["a", "bb"]}}, "curve.all: no row 'bb'"),
    ({"a": {}}, {}, "rows.a: must have either conf:"),
    ({"a": {"conf": "ctc", "of": "s.b"}}, {}, "rows.a: must have either conf:"),
    ({"a": {"of": "b"}}, {}, "rows.a: of: must be SWEEP.ROW, as in pinyin.none, is b"),
    ({"a": {"of": "t.b", "options": {"optim.lr": 1}}}, {}, "rows.a: of: takes a title and seeds"),
    ({"a": {"of": "t.b"}}, {}, "rows.a.of: no other sweep"),
    ({"a": {"of": "s.a"}}, {}, "rows.a.of: no other sweep"),
    ({"a-b": {"conf": "ctc"}}, {}, "a row's name is made of letters"),
    ({"a": {"conf": "ctc"}}, {"sets": ["data/dev", "other/dev"]}, "must lie in one folder"),
    ({"a": {"conf": "ctc", "seeds": [3], "options": {"train.start_from": ["{b}"]}}, "b": {"conf": "ctc", "seeds": [1, 2]}}, {},
     "has seeds [1, 2], but not 3"),
    ({"a": {"conf": "ctc", "grid": {}, "options": {"train.start_from": ["{b}"]}}, "b": {"conf": "ctc"}},
     {"grid": {"optim.lr": [1, 2]}}, "2 of its points fit"),
    ({"a": {"conf": "ctc"}}, {"grid": {"text.tokens": ["x/y", "x_y"]}}, "is the name of two members of the grid"),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "more", "told"), REFUSED, ids=[told for _, _, told in REFUSED])
def test_what_cannot_run_is_refused_before_anything_runs(tmp_path: Path, rows: dict, more: dict, told: str) -> None:
    with pytest.raises(UserError) as caught:
        plan_of(tmp_path, {"rows": rows, "sets": ["data/dev"], **more})
    assert told in str(caught.value)


OTHER: dict = {
    "rows": {"base": {"conf": "ctc", "sets": [], "seeds": [1]}, "over": {"conf": "ctc", "options": {"train.start_from": ["{base}"]}},
             "back": {"of": "s.a"}},
    "seeds": [1, 2],
    "sets": ["data/dev", "data/test"],
}


def with_other(tmp_path: Path, rows: dict, **more) -> Plan:
    folder = tmp_path / "conf" / "sweep"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "t.yaml").write_text(yaml.safe_dump(OTHER), encoding="utf-8")
    return plan_of(tmp_path, {"rows": rows, "sets": ["data/test"], **more}, ["--optim.steps=9"])


def test_a_row_of_another_sweep_is_that_sweeps_experiment_and_trained_once(tmp_path: Path) -> None:
    after = {"conf": "ctc", "options": {"train.start_from": ["{old}"]}}
    rows = {"same": {"of": "t.over", "title": "as before"}, "after": after, "old": {"of": "t.base"}}
    plan = with_other(tmp_path, rows, seeds=[1], grid={"optim.lr": [0.1, 0.2]})
    assert names(plan) == ["t/base-seed1", "same-seed1", "old-seed1", "after-lr=0.1-seed1", "after-lr=0.2-seed1"]
    made = {point.name: point for point in plan.points}
    other = {p.name: p for p in make_plan(tmp_path / "conf/sweep/t.yaml", tmp_path, ["--optim.steps=9"], ["over"]).points}
    for mine, theirs in (("same-seed1", "over-seed1"), ("t/base-seed1", "base-seed1"), ("old-seed1", "base-seed1")):
        assert (made[mine].folder, made[mine].digest, made[mine].overrides) == (
            other[theirs].folder, other[theirs].digest, other[theirs].overrides,
        )  # fmt: skip
    assert made["same-seed1"].sets == ["data/test"], "only the sets of this sweep are shown"
    assert made["t/base-seed1"].sets == made["old-seed1"].sets == []
    assert "--train.start_from=[exp/t/base-seed1]" in made["after-lr=0.1-seed1"].overrides
    waves = [[p.name for p in wave] for wave in plan.waves()]
    assert waves == [["t/base-seed1"], ["same-seed1", "old-seed1"], ["after-lr=0.1-seed1", "after-lr=0.2-seed1"]], "one after another"
    assert names(with_other(tmp_path, dict(reversed(rows.items())), seeds=[1])) == ["old-seed1", "after-seed1", "same-seed1"]


@pytest.mark.parametrize(
    ("rows", "more", "told"),
    [
        ({"a": {"of": "t.nothing"}}, {}, "rows.a.of: nothing: no such row in"),
        ({"a": {"of": "t.over", "seeds": [3]}}, {}, "rows.a.of: t.over has 0 points of seed 3; one must be it"),
        ({"a": {"of": "t.over"}}, {"sets": ["data/eval"]}, "rows.a.of: t.over is not tested on data/eval"),
        ({"a": {"of": "t.back"}}, {}, "rows.a.of: t.back is s.a; name that one"),
    ],
)
def test_a_row_that_another_sweep_does_not_have_is_refused(tmp_path: Path, rows: dict, more: dict, told: str) -> None:
    with pytest.raises(UserError) as caught:
        with_other(tmp_path, rows, **more)
    assert told in str(caught.value)


def test_prompt_slots_are_no_rows(tmp_path: Path) -> None:
    sweep = {"rows": {"a": {"conf": "ctc", "options": {"text.prompt": "{speech}:{text}</s>"}}}, "sets": ["data/dev"]}
    assert "--text.prompt='{speech}:{text}</s>'" in plan_of(tmp_path, sweep).points[0].overrides


REFS = {"u1": "a b c d", "u2": "a b", "u3": "a b c d"}


def scored(folder: Path, hyps: dict[str, str]) -> Path:
    """Score hypotheses into a decode folder, as stage 6 does."""
    folder.mkdir(parents=True)
    for name, table in (("ref", REFS), ("text", hyps)):
        (folder / name).write_text("".join(f"{k} {v}\n" for k, v in sorted(table.items())), encoding="utf-8")
    result = score(folder / "ref", folder / "text", folder, None, Settings(sclite="never"))
    write_summary(folder / "scoring.json", summary(result, Settings(), {"set": "dev", "commit": "abc"}))
    return folder


def table_of(path: Path) -> dict[str, dict[str, str]]:
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in path.read_text().splitlines() if line.startswith("|")]
    return {row[0]: dict(zip(lines[0], row)) for row in lines[2:]}


def test_mean_spread_interval_and_comparison(tmp_path: Path) -> None:
    """10 words; base: 2 and 4 errors (20 %, 40 %); ours: 1, 2 and 3 (10, 20, 30 %): a third fewer."""
    base = [{**REFS, "u1": "a b"}, {**REFS, "u1": ""}]
    ours = [{**REFS, "u1": "a b c"}, {**REFS, "u1": "x x c d"}, {**REFS, "u3": "a"}]
    base_folders = [scored(tmp_path / f"base{i}/decode_dev", hyps) for i, hyps in enumerate(base)]
    our_folders = [scored(tmp_path / f"ours{i}/decode_dev", hyps) for i, hyps in enumerate(ours)]
    lines = [
        Line("base", {}, "dev", "conf/a.yaml", True, base_folders, [1, 2]),
        Line("ours", {}, "dev", "conf/b.yaml", False, our_folders, [1, 2, 3, 4]),
        Line("to come", {}, "dev", "conf/b.yaml", False, [], [1]),
    ]
    (tmp_path / "ours0/model.json").write_text('{"trained": 1234, "total": 5678901}')
    page = tmp_path / "RESULTS.md"
    page.write_text("# Mine\n\nA remark.\n")
    assert write_table(page, "s", "What it shows.", lines, "speechlm sweep x", {"ours-seed4": "failed in train, see exp/log"}) == 3
    rows = table_of(page)
    assert rows["base"]["error %"] == "30.00" and rows["base"]["spread"] == "20.00 - 40.00, sd 14.14"
    assert rows["ours"]["error %"] == "20.00" and rows["ours"]["spread"] == "10.00 - 30.00, sd 10.00"
    assert rows["ours"]["against the reference"] == "-33.3 %" and 0 < float(rows["ours"]["p"]) <= 1
    assert rows["base"]["against the reference"] == "-" and rows["ours"]["seeds"] == "3 of 4"
    low, high = map(float, rows["ours"]["95 % interval"].split(" - "))
    assert low < 20 < high
    assert (rows["ours"]["trained parameters"], rows["ours"]["all parameters"]) == ("1,234", "5,678,901")
    assert rows["to come"]["error %"] == "-" and rows["to come"]["seeds"] == "0 of 1"
    assert "- ours-seed4: failed in train, see exp/log" in page.read_text()
    assert page.read_text().startswith("# Mine\n\nA remark.\n")


def test_the_block_is_renewed_and_all_else_is_kept(tmp_path: Path) -> None:
    page = tmp_path / "RESULTS.md"
    lines = [Line("one", {"optim.lr": "0.1"}, "dev", "conf/a.yaml", False, [scored(tmp_path / "e/decode_dev", REFS)], [1])]
    write_table(page, "s", "", lines, "first", {})
    write_table(page, "other", "", lines, "speechlm sweep other", {})
    page.write_text(page.read_text() + "\nA remark below.\n")
    before = page.read_text()
    write_table(page, "s", "", lines, "second", {})
    assert page.read_text() == before.replace("`first`", "`second`")
    assert table_of(page)["one"]["lr"] == "0.1" and split_marked(before, page)[1] == "", "no block of speechlm results"
    page.write_text(before.replace("<!-- speechlm sweep s: end -->", ""))
    with pytest.raises(UserError, match="sweep s: end -->' is missing"):
        write_table(page, "s", "", lines, "third", {})


def test_systems_on_other_references_are_not_put_into_one_line(tmp_path: Path) -> None:
    first, second = scored(tmp_path / "a/decode_dev", REFS), scored(tmp_path / "b/decode_dev", REFS)
    path = second / "scoring_kaldi/wer_details/per_utt"
    path.write_text(path.read_text().replace("u3", "u4"))
    with pytest.raises(UserError, match="other utterances or references"):
        write_table(tmp_path / "R.md", "s", "", [Line("x", {}, "dev", "c", False, [first, second], [1, 2])], "x", {})
