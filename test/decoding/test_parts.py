"""Jobs share a set out, parts survive being killed, and merging takes every utterance exactly once."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechlm.core.errors import UserError
from speechlm.decoding.decode import batches_of, job_indices
from speechlm.decoding.parts import Part, merge, part_path, speed_line, speeds

HEADER = {"weights": "abc", "options": {"beam": 4}}
SECONDS = st.lists(st.floats(0.1, 30), min_size=1, max_size=40)


def entry(utt: str, text: str = "a") -> dict:
    best = {"text": text, "score": -1.0, "tokens": [1], "token_scores": [-1.0]}
    return {"id": utt, "seconds": 2.0, "spent": 0.5, "nbest": [best]}


@given(SECONDS, st.integers(1, 7))
def test_jobs_share_everything_out_once(seconds: list[float], num_jobs: int) -> None:
    shares = [job_indices(seconds, job, num_jobs) for job in range(1, num_jobs + 1)]
    assert sorted(index for share in shares for index in share) == list(range(len(seconds)))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(SECONDS, st.floats(1, 100))
def test_batches_keep_order_and_limit(seconds: list[float], limit: float) -> None:
    order = job_indices(seconds, 1, 1)
    batches = list(batches_of(order, seconds, limit))
    assert [index for batch in batches for index in batch] == order
    assert all(len(batch) == 1 or len(batch) * seconds[batch[0]] <= limit for batch in batches)


def test_a_job_out_of_range_is_a_users_mistake() -> None:
    with pytest.raises(UserError, match="--job must be 1 to 2"):
        job_indices([1.0], 3, 2)


def test_a_part_goes_on_after_a_kill_and_starts_afresh_with_other_options(tmp_path: Path) -> None:
    part = Part(tmp_path / "1-of-1.jsonl", HEADER)
    part.open()
    part.add([entry("a"), entry("b")])
    with open(part.path, "a", encoding="utf-8") as file:
        file.write(json.dumps(entry("c"))[:20])  # killed in the middle of a line
    again = Part(part.path, HEADER)
    again.open()
    assert sorted(again.done) == ["a", "b"]
    again.add([entry("c")])
    assert len(part.path.read_text(encoding="utf-8").splitlines()) == 4
    other = Part(part.path, {**HEADER, "weights": "new"})
    other.open()
    assert not other.done and len(part.path.read_text(encoding="utf-8").splitlines()) == 1


def test_merge_gives_every_utterance_once_in_order(tmp_path: Path) -> None:
    for job, utts in ((1, ["b", "c"]), (2, ["a"])):
        part = Part(part_path(tmp_path, job, 2), HEADER)
        part.open()
        part.add([entry(utt, f"text {utt}") for utt in utts])
    stats = merge(tmp_path, ["a", "b", "c"], 2, HEADER)
    assert (tmp_path / "text").read_text() == "a text a\nb text b\nc text c\n"
    assert [json.loads(line)["id"] for line in (tmp_path / "nbest.jsonl").open()] == ["a", "b", "c"]
    assert stats["audio_seconds"] == 6.0 and stats["decode_seconds"] == 1.5


def test_merge_refuses_what_is_missing_or_of_another_model(tmp_path: Path) -> None:
    part = Part(part_path(tmp_path, 1, 1), HEADER)
    part.open()
    part.add([entry("a")])
    with pytest.raises(UserError, match="1 of 2 utterances are not decoded"):
        merge(tmp_path, ["a", "b"], 1, HEADER)
    with pytest.raises(UserError, match="not decoded with this model"):
        merge(tmp_path, ["a"], 1, {**HEADER, "weights": "other"})
    with pytest.raises(UserError, match="not decoded with this model"):
        merge(tmp_path, ["a"], 2, HEADER)
    assert not (tmp_path / "text").exists()


def timed(utt: str, times: list | str, **more: object) -> dict:
    return {**entry(utt), "phases": {"encode": 0.1, "prefill": 0.15, "decode": 0.25}, "times": times, **more}


def test_merge_writes_scores_times_and_where_the_time_went(tmp_path: Path) -> None:
    part = Part(part_path(tmp_path, 1, 1), HEADER)
    part.open()
    said = [["how", 0.04, 0.2, 0.9], ["you", 0.5, 0.25, 0.1234567]]
    part.add([timed("b", "9 units need 9 encoder steps, there are 2"), timed("a", said), timed("c", [], nbest=[])])
    stats = merge(tmp_path, ["a", "b", "c"], 1, HEADER)
    assert (tmp_path / "ctm").read_text() == (
        "a 1 0.040 0.200 how 0.9000\na 1 0.500 0.250 you 0.1235\n;; b: 9 units need 9 encoder steps, there are 2\n"
    )
    assert (tmp_path / "score").read_text() == "a -1.000000\nb -1.000000\nc -inf\n"
    assert stats["untimed"] == 1
    assert stats["real_time_factor"] == {"all": 0.25, "encode": 0.05, "prefill": 0.075, "decode": 0.125}
    assert speed_line(stats["real_time_factor"]) == (
        "real-time factor 0.250 (encode 0.0500, prefill 0.0750, decode 0.1250)"
    )


def test_merge_without_times_takes_an_older_ctm_away_and_old_parts_have_no_split(tmp_path: Path) -> None:
    part = Part(part_path(tmp_path, 1, 1), HEADER)
    part.open()
    part.add([entry("a")])
    (tmp_path / "ctm").write_text("of another model")
    assert merge(tmp_path, ["a"], 1, HEADER)["real_time_factor"] == {"all": 0.25}
    assert not (tmp_path / "ctm").exists()
    assert speeds([{**entry("a"), "seconds": 0.0}]) == {} and speed_line({}) == "no audio"
