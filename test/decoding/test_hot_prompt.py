"""Hot words written into the prompt of a trained experiment, end to end: which, what they do, what is refused."""

from __future__ import annotations

import json
import random
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from speechlm.bin.assemble import give_hot_lists, make_dataset, make_prompt
from speechlm.bin.main import main
from speechlm.core.errors import UserError
from speechlm.core.seq import Seq
from speechlm.data.collate import collate
from speechlm.data.dataset import SpeechDataset
from speechlm.decoding.ctc import ctc_greedy
from speechlm.decoding.recognizer import Recognizer, Result, load_recognizer
from speechlm.io.expdir import ExpDir
from speechlm.llms.tokenizer import encode_text, load_llm_tokenizer
from test.data import corpus
from test.families.checkpoints import tiny_checkpoint

PAGE = Path(__file__).resolve().parents[2] / "doc/hot_words.md"
PHRASES = ["hello", "world", "lol", "good day", "he", "rare"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """exp/speech_llm with a CTC head, exp/deaf without one, exp/plain without a slot in its prompt."""
    place = tmp_path_factory.mktemp("hot")
    data = corpus.make(place / "data/dev")
    words = ["tokens", "--kind", "char", "--language", "en", "--text", f"{data}/text", "--out", f"{place}/lang"]
    assert main(words) == 0
    slot = {"prompt": "{bos}{hot}{speech}{text}{eos}", "hot_share": 0.5, "hot_max": 3, "hot_template": "[{words}]"}
    for name, text, ctc in (("speech_llm", slot, True), ("deaf", slot, False), ("plain", {}, True)):
        values: dict[str, Any] = {
            "text": {"language": "en", **({"tokens": f"{place}/lang"} if ctc else {}), **text},
            "features": {"num_mels": 20, "cmvn": "utterance"},
            "encoder": {"kind": "conv"},
            "llm": {"kind": "causal", "checkpoint": str(tiny_checkpoint("llama")), "adapt": "full"},
            "losses": [{"kind": "lm"}, *([{"kind": "ctc"}] if ctc else [])],
            **({"head": {"kind": "ctc"}} if ctc else {}),
            "data": {"train": [str(data)], "valid": str(data), "batch_seconds": 3},
            "optim": {"steps": 60 if name == "speech_llm" else 3, "lr": 1e-2},
            "train": {"tensorboard": False, "valid_every": 60},
            "decode": {"max_tokens_per_second": 12, "batch_seconds": 4},
        }
        (place / f"{name}.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
        assert main(["train", "--config", f"{place}/{name}.yaml", "--out", f"{place}/exp/{name}"]) == 0
    (place / "hot").write_text("\n".join(PHRASES), encoding="utf-8")
    return place


def recognizer_of(folder: Path, name: str = "speech_llm", **decode: Any) -> Recognizer:
    return load_recognizer(folder / "exp" / name, {"hot_words": f"{folder}/hot", "hot_prompt": True, **decode}, "cpu")[
        0
    ]


def dataset_of(folder: Path, name: str = "speech_llm", *, training: bool = False) -> SpeechDataset:
    exp = ExpDir(folder / "exp" / name)
    return make_dataset(folder / "data/dev", exp.read_options(), exp, training=training)


def tokens_of(rows: list[list[Result]]) -> list[list[int]]:
    return [row[0].tokens for row in rows]


def test_training_sets_draw_lists_by_utterance_and_epoch(folder: Path) -> None:
    values = ExpDir(folder / "exp/speech_llm").read_options()
    prompt, tokenizer = make_prompt(values)
    sets = [dataset_of(folder, training=True) for _ in range(2)]
    assert sets[0].read(0, 0).hot is None
    give_hot_lists(sets[:1], values, prompt, tokenizer)
    give_hot_lists(sets[1:], values, prompt, tokenizer)
    first, second = ([one.read(i, epoch).hot for epoch in range(20) for i in range(len(one))] for one in sets)
    assert first == second and [] in first
    left, right = encode_text(tokenizer, "["), encode_text(tokenizer, "]")
    assert all(row[:1] == left and row[-1:] == right for row in first if row)
    texts = " ".join(example.text for example in map(sets[0].__getitem__, range(len(sets[0]))))
    shown = {phrase for row in first if row for phrase in tokenizer.decode(row[1:-1]).split(", ")}
    assert {"hello", "world"} & shown and all(phrase in texts for phrase in shown)


def test_the_prompt_is_stored_and_compared(folder: Path) -> None:
    stored = json.loads((folder / "exp/speech_llm/prompt.json").read_text())
    assert stored["hot"] == {"part": "before", "at": 1, "head": stored["hot"]["head"], "tail": stored["hot"]["tail"],
                             "template": "[{words}]", "join": ", "}  # fmt: skip
    assert set(json.loads((folder / "exp/plain/prompt.json").read_text())) == {"before", "between", "end", "template"}
    options = folder / "exp/speech_llm/options.yaml"
    before = options.read_text(encoding="utf-8")
    try:
        options.write_text(before.replace("[{words}]", "({words})"), encoding="utf-8")
        with pytest.raises(UserError, match="but the model was trained with"):
            recognizer_of(folder)
    finally:
        options.write_text(before, encoding="utf-8")


def test_only_plausible_phrases_are_written_and_the_answer_is_that_of_this_prompt(folder: Path) -> None:
    made, data = recognizer_of(folder, hot_weight=0, beam=2, hot_distance=0.7), dataset_of(folder)
    assert made.answers.aids.hot is None and made.answers.aids.listed.most == 3
    tokenizer, written = load_llm_tokenizer(str(tiny_checkpoint("llama"))), set()
    for index in range(len(data)):
        batch = collate([data.read(index, 0)])
        best = made.recognize(batch)[0][0]
        with torch.inference_mode():
            output = made.model.encode(batch.speech)
            heard = made.witness.tokenizer.decode(ctc_greedy(output.ctc_logits)[0].tokens)
            assert best.listed == made.answers.aids.listed.plausible(heard) and len(best.listed) <= 3
            text = f"[{', '.join(best.listed)}]" if best.listed else ""
            ids = [tokenizer.bos_token_id, *encode_text(tokenizer, text)]
            rows = torch.cat([made.model.llm.embed(torch.tensor(ids)), output.speech_embeddings.data[0]])
            limit = made.answers.options.max_tokens(float(batch.seconds[0]))
            truth = made.answers._search({}).search(Seq.of([rows]), [limit])
        assert best.tokens == truth[0][0].tokens
        written.add(tuple(best.listed))
    assert len(written) > 1


@pytest.mark.parametrize("extra", [
    {"hot_weight": 0.5, "beam": 4, "no_repeat_ngram": 3, "ctc_weight": 0.3},
    {"hot_weight": 0.0, "beam": 1, "draft": "ctc", "min_tokens": 8},
])  # fmt: skip
def test_alone_in_any_order_and_number_of_slots(folder: Path, extra: dict[str, Any]) -> None:
    data, decode = dataset_of(folder), {"hot_distance": 0.7, **extra}
    alone = recognizer_of(folder, **decode)
    truth = [alone.recognize(collate([data.read(index, 0)]))[0] for index in range(len(data))]
    assert len({tuple(row[0].listed) for row in truth}) > 1
    order = [index % len(data) for index in range(2 * len(data))]
    for slots, size in ((1, 3), (3, 4), (16, 10)):
        random.Random(slots).shuffle(order)
        batches = [collate([data.read(index, 0) for index in order[i : i + size]]) for i in range(0, len(order), size)]
        found = dict(recognizer_of(folder, **decode, batch_slots=slots).stream(batches))
        for number, index in enumerate(order):
            assert [r.tokens for r in found[number]] == [r.tokens for r in truth[index]]
            assert [r.score for r in found[number]] == pytest.approx([r.score for r in truth[index]], abs=1e-4)
            assert found[number][0].listed == truth[index][0].listed


def test_a_draft_changes_nothing_but_the_passes(folder: Path) -> None:
    batch = collate([dataset_of(folder).read(index, 0) for index in range(4)])
    greedy, drafted = (recognizer_of(folder, hot_weight=0, beam=1, draft=draft) for draft in ("none", "ctc"))
    assert tokens_of(greedy.recognize(batch)) == tokens_of(drafted.recognize(batch))


def test_without_plausible_phrases_it_is_off(folder: Path) -> None:
    batch = collate([dataset_of(folder).read(index, 0) for index in range(4)])
    off = load_recognizer(folder / "exp/speech_llm", {}, "cpu")[0].recognize(batch)
    (folder / "far").write_text("qqqqqqqq\n", encoding="utf-8")
    far = recognizer_of(folder, hot_weight=0, hot_words=f"{folder}/far").recognize(batch)
    assert [row[0].listed for row in far] == [[]] * 4 and [row[0].listed for row in off] == [None] * 4
    assert [(r.tokens, r.score) for row in far for r in row] == [(r.tokens, r.score) for row in off for r in row]
    every = recognizer_of(folder, hot_weight=0, hot_words=f"{folder}/far", hot_distance=1).recognize(batch)
    assert [r.score for row in every for r in row] != [r.score for row in off for r in row]


def test_without_a_ctc_head_every_phrase_or_none(folder: Path) -> None:
    with pytest.raises(
        UserError, match="decode.hot_prompt: needs an experiment with a CTC head whose units spell text"
    ):
        recognizer_of(folder, "deaf")
    batch = collate([dataset_of(folder, "deaf").read(index, 0) for index in range(3)])
    rows = recognizer_of(folder, "deaf", hot_distance=1, hot_most=2).recognize(batch)
    assert [row[0].listed for row in rows] == [PHRASES[:2]] * 3


def test_what_cannot_be_honoured_is_refused(folder: Path) -> None:
    for name, decode, message in (
        ("plain", {}, "decode.hot_prompt: the model was trained with the prompt .*which has no slot {hot}"),
        ("speech_llm", {"hot_words": None}, "decode.hot_prompt: is set, but decode.hot_words names no list"),
        ("speech_llm", {"hot_prompt": False, "hot_weight": 0}, "decode.hot_weight: must be above 0"),
        ("speech_llm", {"hot_distance": 1.1}, "decode.hot_distance: must be 0 to 1"),
        ("speech_llm", {"hot_most": -1}, "decode.hot_most: must be 0 or more"),
        ("speech_llm", {"kind": "ctc"}, "decode.hot_words: only the LLM's search has it"),
        ("speech_llm", {"draft": "ctc", "beam": 1}, "decode.draft: cannot be had together with decode.hot_words"),
    ):
        with pytest.raises(UserError, match=message):
            recognizer_of(folder, name, **decode)
    with pytest.raises(UserError, match="decode.lm_prompt: is '{hot}'; only the LLM's own prompt may have the slot"):
        recognizer_of(folder, lm=str(tiny_checkpoint("llama")), lm_weight=0.1, lm_prompt="{hot}")
    made = recognizer_of(folder, "plain", hot_prompt=False)
    with pytest.raises(ValueError, match="decode.hot_prompt: is asked for, but was not loaded"):
        Recognizer(made.model, {**made.decode, "hot_prompt": True}, words=made.words, pieces=made.pieces,
                   witness=made.witness, aids=made.aids, kind="llm")  # fmt: skip


def test_training_refuses_lists_that_nobody_reads(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, words, message in (
        ("plain", ["--text.hot_share", "0.5"], "text.hot_share: is 0.5, but text.prompt has no slot {hot}"),
        ("speech_llm", ["--text.hot_share", "0"], "text.hot_share: is 0, but text.prompt has the slot {hot}"),
        ("speech_llm", ["--text.hot_join", "山"], "text.hot_join: the LLM's tokenizer cannot write '山'"),
        ("ctc", ["--text.hot_share", "0.5"], "text.hot_share: is 0.5, but there is no LLM to read it"),
    ):
        if name == "ctc":
            values = yaml.safe_load((folder / "plain.yaml").read_text(encoding="utf-8"))
            values = {section: value for section, value in values.items() if section not in ("llm", "losses")}
            (folder / "ctc.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
        assert main(["train", "--config", f"{folder}/{name}.yaml", "--out", f"{folder}/exp/refused", *words]) == 1
        assert message in capsys.readouterr().err


def test_the_command_counts_what_was_written_and_what_leaked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "two").write_text("he\nrare\n", encoding="utf-8")
    out = folder / "exp/speech_llm/decode_hot"
    words = ["decode", "--exp", f"{folder}/exp/speech_llm", "--data", f"{folder}/data/dev", "--out", str(out), "--decode.hot_words",
             f"{folder}/two", "--decode.hot_prompt", "true", "--decode.hot_distance", "1"]  # fmt: skip
    assert main(words) == 0 and main([*words, "--merge", "1"]) == 0
    stats = json.loads((out / "stats.json").read_text())["hot_words"]
    entries = [json.loads(line) for line in (out / "nbest.jsonl").read_text(encoding="utf-8").splitlines()]
    assert all(sorted(entry["hot_words"]) == ["he", "rare"] for entry in entries) and stats["written"] == 2 * len(
        entries
    )
    leaked = sum(bool({"he", "rare"} & set(entry["nbest"][0]["text"].split())) for entry in entries)
    assert (stats["utterances"], stats["leaked"]) == (5, leaked)
    assert f"leaked into {leaked} of 5 utterances" in (told := capsys.readouterr().out)
    assert "10 written into prompts" in told


def test_the_page_of_the_documentation(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = PAGE.read_text(encoding="utf-8")
    commands = [line for block in re.findall(r"```bash\n(.*?)```", text, re.S) for line in block.splitlines()]
    (section,) = re.findall(r"```yaml\n(.*?)```", text, re.S)
    trained = ExpDir(folder / "exp/speech_llm").read_options()["text"]
    assert yaml.safe_load(section)["text"].keys() <= trained.keys()
    (folder / "names.txt").write_text("world\t2\nhello\n", encoding="utf-8")
    monkeypatch.chdir(folder)
    assert len(commands) == 5
    for command in commands:
        program, *words = shlex.split(command)
        assert program == "speechlm" and main(words) == 0
    stats = [json.loads(Path(f"exp/speech_llm/decode_{name}/stats.json").read_text()) for name in ("names", "told")]
    assert "written" not in stats[0]["hot_words"] and stats[1]["hot_words"]["written"] > 0
