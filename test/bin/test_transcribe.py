"""`speechlm transcribe`: what it prints, every form, every kind of input, long audio, and what cannot be read."""

from __future__ import annotations

import io
import json
import shutil
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from speechlm.bin.listen import Held, Listener
from speechlm.bin.main import main
from speechlm.bin.transcribe import files_and_overrides
from speechlm.decoding.recognizer import Result
from speechlm.io.audio import read_audio, write_wav
from speechlm.io.inputs import find_inputs
from test.bin import experiments
from test.decoding.test_transcript import read_srt, read_vtt
from test.features.test_vad import write_hour


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Experiments, and recordings: a short one, one of 3 s, one of 35 s, one of another rate."""
    place = experiments.make(tmp_path_factory.mktemp("transcribe"), "ctc", "llm", "deaf")
    random = np.random.default_rng(0)
    (place / "audio/sub").mkdir(parents=True)
    for name, seconds, rate in (("a", 0.7, 16000), ("sub/b", 3.0, 8000), ("long", 35.0, 16000)):
        loud = np.repeat(random.random(round(seconds * 2) + 1), rate // 2)[: round(seconds * rate)]
        write_wav(place / f"audio/{name}.wav", 0.2 * loud * random.standard_normal(len(loud)), rate)
    return place


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]):
    """Give the function that runs the command in-process: arguments -> (exit status, stdout, stderr)."""

    def call(*words: object, exp: str = "ctc", code: int = 0) -> tuple[str, str]:
        capsys.readouterr()
        status = main(["transcribe", f"{folder}/exp/{exp}", *map(str, words)])
        told = capsys.readouterr()
        assert status == code, told.err
        return told.out, told.err

    return call


@pytest.mark.parametrize("exp", ["ctc", "llm"])
def test_text_is_what_decoding_a_data_directory_gives(folder: Path, run, exp: str) -> None:
    out = folder / f"exp/{exp}/decode_dev"
    command = ["decode", "--exp", f"{folder}/exp/{exp}", "--data", f"{folder}/data/dev", "--out", str(out)]
    command.append("--from_audio")
    assert main(command) == 0 and main([*command, "--merge", "1"]) == 0
    decoded = [line.rstrip("\n").partition(" ")[2] for line in (out / "text").open(encoding="utf-8")]
    files = [f"{folder}/data/dev/{utt}.wav" for utt in ("a-1", "a-2", "b-1", "b-2", "b-3")]
    lines = run(*files, exp=exp)[0].splitlines()
    expected = [" ".join(text.split()) for text in decoded]
    assert [line.split("\t") for line in lines] == [[file, text] for file, text in zip(files, expected, strict=True)]
    assert run(files[3], exp=exp)[0] == f"{expected[3]}\n"


def test_options_may_stand_anywhere(folder: Path, run) -> None:
    a, b = folder / "audio/a.wav", folder / "audio/sub/b.wav"
    plain = run(a, b)[0]
    assert run("--format", "txt", a, "--decode.beam", 4, b)[0] == plain
    assert files_and_overrides(["a", "--decode.beam", "2", "b", "--decode.nbest=3", "-", "--x"]) == (
        ["a", "b", "-"], ["--decode.beam", "2", "--decode.nbest=3", "--x"],
    )  # fmt: skip
    assert "unknown option" in run(a, "--foramt", "json", code=1)[1]
    assert "did you mean 'beam'?" in run(a, "--decode.baem", 2, code=1)[1]


def test_long_audio_is_covered_without_gap_or_overlap(folder: Path, run) -> None:
    found = json.loads(run(folder / "audio/long.wav", "--format", "json")[0])
    assert found["seconds"] == 35.0
    ends = [0.0, *(one["end"] for one in found["segments"])]
    assert [one["start"] for one in found["segments"]] == ends[:-1] and ends[-1] == 35.0 and len(ends) == 3
    many = json.loads(run(folder / "audio/long.wav", "--format", "json", "--max_seconds", 4)[0])
    assert len(many["segments"]) >= 9 and all(one["end"] - one["start"] < 4.001 for one in many["segments"])
    for one in many["segments"]:  # each is what the same stretch alone gives
        samples, rate = read_audio(f"{folder}/audio/long.wav", start=one["start"], end=one["end"])
        soundfile.write(folder / "cut.wav", samples, rate, subtype="FLOAT")
        assert " ".join(run(folder / "cut.wav")[0].split()) == " ".join(one["text"].split())


def test_json_has_words_where_the_head_allows(folder: Path, run) -> None:
    found = json.loads(run(folder / "audio/sub/b.wav", "--format", "json", "--max_seconds", 1.5)[0])
    words = [word for one in found["segments"] for word in one["words"]]
    assert words and all(0 <= word["start"] < word["end"] <= 3.0 and 0 <= word["confidence"] <= 1 for word in words)
    for one in found["segments"]:
        assert all(one["start"] <= word["start"] and word["end"] <= one["end"] + 0.001 for word in one["words"])
        assert " ".join(word["word"] for word in one["words"]) == one["text"] and isinstance(one["score"], float)
    out, told = run(folder / "audio/sub/b.wav", "--format", "json", exp="deaf")
    assert "words" not in json.loads(out)["segments"][0]
    assert "words have no times: the experiment has no trained CTC head" in told
    asked = run(folder / "audio/a.wav", "--format", "json", "--decode.times", "word", exp="deaf", code=1)[1]
    assert "no trained CTC head" in asked
    none = json.loads(run(folder / "audio/a.wav", "--format", "json", "--decode.times", "none")[0])
    assert "words" not in none["segments"][0]
    lines = run(folder / "audio/a.wav", folder / "audio/sub/b.wav", "--format", "json")[0].splitlines()
    assert [json.loads(line)["seconds"] for line in lines] == [0.7, 3.0]


@pytest.mark.parametrize(("form", "read"), [("srt", read_srt), ("vtt", read_vtt)])
def test_subtitles_are_valid(folder: Path, run, form: str, read) -> None:
    for exp in ("ctc", "llm", "deaf"):
        cues = read(run(folder / "audio/long.wav", "--format", form, "--max_seconds", 5, exp=exp)[0])
        assert all(cue.text.strip() and cue.start < cue.end <= 35.001 for cue in cues)
        assert all(a.end <= b.start + 0.001 for a, b in zip(cues, cues[1:], strict=False))
        assert cues or exp == "ctc"
    told = run(folder / "audio", "--format", form, code=1)[1]
    assert f"--format {form}: 3 inputs do not fit into one output; add --out DIR" in told


def test_one_file_for_each_input_whole_or_not_at_all(folder: Path, run, tmp_path: Path) -> None:
    out, told = run(folder / "audio", "--format", "vtt", "--out", tmp_path / "o")
    assert out == "" and "sub/b.vtt" in told
    files = sorted(str(path.relative_to(tmp_path / "o")) for path in (tmp_path / "o").rglob("*") if path.is_file())
    assert files == ["a.vtt", "long.vtt", "sub/b.vtt"]
    run(folder / "audio/a.wav", "--out", tmp_path / "t")
    assert (tmp_path / "t/a.txt").read_text() == run(folder / "audio/a.wav")[0]
    (tmp_path / "blocked").write_text("")
    assert "cannot be written" in run(folder / "audio/a.wav", "--out", tmp_path / "blocked", code=1)[1]


def test_a_stream_and_lists(folder: Path, run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def on_stdin(data: bytes) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))

    a, b = folder / "audio/a.wav", folder / "audio/sub/b.wav"
    expected, both = run(a)[0], run(a, b)[0]
    flac = io.BytesIO()
    soundfile.write(flac, read_audio(str(a))[0], 16000, format="FLAC", subtype="PCM_16")
    for data in (a.read_bytes(), flac.getvalue()):
        on_stdin(data)
        assert run("-")[0] == expected
    (tmp_path / "list").write_text(f"{a}\n{b}\n")
    assert run("--list", tmp_path / "list")[0] == both
    on_stdin(f"{a}\n{b}\n".encode())
    assert run("--list", "-")[0] == both
    on_stdin(b"")
    assert "stdin: no audio came" in run("-", code=1)[1]


def test_what_cannot_be_read_is_counted_and_named(folder: Path, run, tmp_path: Path) -> None:
    shutil.copytree(folder / "audio", tmp_path / "in")
    (tmp_path / "in/broken.wav").write_bytes(b"no sound")
    (tmp_path / "in/empty.flac").touch()
    (tmp_path / "list").write_text(f"{tmp_path}/gone.wav\n{tmp_path}/in/a.wav\n")
    out, told = run(tmp_path / "in")
    assert [Path(line.split("\t")[0]).name for line in out.splitlines()] == ["a.wav", "long.wav", "b.wav"]
    assert "broken.wav: not readable" in told and "empty.flac: the audio file is empty" in told
    assert "2 of 5 inputs could not be read" in told
    assert "1 of 2 inputs could not be read" in run("--list", tmp_path / "list")[1]
    told = run(tmp_path / "in/broken.wav", tmp_path / "in/empty.flac", code=1)[1]
    assert "none of 2 inputs could be read" in told
    assert "speechlm transcribe: " in run(tmp_path / "in/broken.wav", code=1)[1]
    assert "none.wav: no such audio file" in run(tmp_path / "none.wav", code=1)[1]
    assert "no audio given" in run(code=1)[1]
    assert "--max_seconds: must be a number from 1 up" in run(tmp_path / "in/a.wav", "--max_seconds", 0, code=1)[1]
    write_wav(tmp_path / "tiny.wav", np.ones(20), 16000)
    assert "not a single frame" in run(tmp_path / "tiny.wav", code=1)[1]


def test_a_channel_is_chosen(folder: Path, run, tmp_path: Path) -> None:
    left, right = (read_audio(f"{folder}/audio/long.wav", start=s, end=s + 2)[0] for s in (0, 9))
    soundfile.write(tmp_path / "two.wav", np.stack([left, right], axis=1), 16000, subtype="FLOAT")
    soundfile.write(tmp_path / "right.wav", right, 16000, subtype="FLOAT")
    assert run(tmp_path / "two.wav", "--channel", 1)[0] == run(tmp_path / "right.wav")[0]
    assert "2 channels; choose one (--channel" in run(tmp_path / "two.wav", code=1)[1]


def test_what_is_no_recogniser_is_told(folder: Path, run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no options.yaml here" in run(folder / "audio/a.wav", exp="missing", code=1)[1]
    monkeypatch.setattr("speechlm.bin.listen.source_of", lambda values: "pinyin")
    assert "its encoder reads pinyin, no audio" in run(folder / "audio/a.wav", code=1)[1]


def test_an_hour_is_transcribed_in_bounded_memory(tmp_path: Path) -> None:
    """The model is a stub that says how long each part is; the audio is never there as a whole."""
    total = write_hour(tmp_path / "hour.wav", 8000)
    heard: list[float] = []
    before = [0]

    def stream(batches) -> Iterator[tuple[int, list[Result]]]:
        for batch in batches:
            for seconds in batch.seconds.tolist():
                yield len(heard) - before[0], [Result(f"{seconds:.2f}", -1.0, [], [])]
                heard.append(seconds)
        before[0] = len(heard)

    listener = Listener.__new__(Listener)
    listener.recognizer = SimpleNamespace(stream=stream)  # type: ignore[assignment]
    listener.batch_seconds, listener.held, listener.heard = 60.0, Held(), 0.0
    listener.source = SimpleNamespace(read=lambda utt, key: (listener.held.audio(utt, 8000), None))  # type: ignore
    torch.zeros(1)
    tracemalloc.start()
    try:
        ((index, found),) = listener.transcripts(find_inputs([str(tmp_path / "hour.wav")]), 30.0, None)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert index == 0 and found.seconds == 3600 == pytest.approx(sum(heard))
    assert [one.text for one in found.segments] == [f"{one.end - one.start:.2f}" for one in found.segments]
    assert peak < 4 * total / 6, f"{peak} bytes"
