from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from speechlm.bin import encode
from speechlm.bin.assemble import make_dataset
from speechlm.core.errors import UserError
from speechlm.core.seq import Seq
from speechlm.encoders import store
from speechlm.encoders.cached import CachedEncoder, CacheKey
from speechlm.encoders.ssl import SslEncoder
from speechlm.encoders.whisper import WhisperEncoder
from speechlm.features.extract import Job
from speechlm.io.archive import read_matrix
from speechlm.io.audio import write_wav
from speechlm.io.expdir import ExpDir
from speechlm.io.tables import read_table, write_table
from speechlm.models.restore import restore
from test.bin.experiments import make
from test.families.checkpoints import tiny_checkpoint

SAMPLES = {"a-1": 5000, "a-2": 400, "b-1": 12000, "b-2": 3210}


def make_data(folder: Path) -> dict[str, np.ndarray]:
    """Write a data directory of noise; give the samples."""
    generator = np.random.default_rng(0)
    waves = {}
    for utt, length in SAMPLES.items():
        waves[utt] = (0.1 * generator.standard_normal(length)).astype(np.float32)
        write_wav(folder / f"{utt}.wav", waves[utt], 16000)
    write_table(folder / "wav.scp", {utt: str(folder / f"{utt}.wav") for utt in waves})
    write_table(folder / "utt2spk", {utt: utt[0] for utt in waves})
    return waves


def write_config(path: Path, **section: object) -> Path:
    path.write_text(yaml.safe_dump({"encoder": {"adapt": "frozen", **section}}))
    return path


def run(*arguments: object) -> None:
    parser = argparse.ArgumentParser()
    encode.arguments(parser)
    args, args.overrides = parser.parse_known_args([str(argument) for argument in arguments])
    encode.run(args)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "train"
    folder.mkdir()
    make_data(folder)
    return folder


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    return write_config(tmp_path / "w.yaml", kind="whisper", checkpoint=str(tiny_checkpoint("whisper")), window=0.5)


@pytest.mark.parametrize("jobs", [1, 3])
def test_the_cache_holds_what_the_encoder_gives(tmp_path, data, conf, jobs):
    out = tmp_path / "encoded"
    for job in range(1, jobs + 1):
        run("--config", conf, "--scp_dir", data, "--out", out, "--job", job, "--num_jobs", jobs, "--batch_seconds", 1)
    rows: dict[str, str] = {}
    frames: dict[str, str] = {}
    for job in range(1, jobs + 1):
        rows.update(read_table(out / f"encoded_train.{job}.scp"))
        frames.update(read_table(out / f"encoded_train.{job}.frames"))
    encoder = WhisperEncoder(1, checkpoint=str(tiny_checkpoint("whisper")), window=0.5).eval()
    cached = CachedEncoder(80, key=str(out / "encoder.json"))
    assert (cached.dim, cached.seconds_per_step) == (encoder.dim, encoder.seconds_per_step)
    assert sorted(rows) == sorted(SAMPLES)
    for utt, location in rows.items():
        from speechlm.io.audio import read_audio

        samples, _ = read_audio(str(data / f"{utt}.wav"))
        with torch.no_grad():
            direct = encoder(Seq.of([torch.from_numpy(samples)]))
            stored = cached(Seq.of([torch.from_numpy(read_matrix(location))]))
        assert int(frames[utt]) == stored.lens.item() == direct.lens.item()
        torch.testing.assert_close(stored.data, direct.data, atol=1e-5, rtol=1e-5)


def test_the_cache_holds_what_a_trained_encoder_gives(tmp_path):
    data, exp = make(tmp_path, "ctc") / "data/dev", tmp_path / "exp/ctc"
    run("--exp", exp, "--scp_dir", data, "--out", tmp_path / "e", "--batch_seconds", 2)
    model, values = restore(exp)
    rows = read_table(tmp_path / "e" / "encoded_dev.1.scp")
    examples = list(make_dataset(data, values, ExpDir(exp), training=False))
    assert len(rows) == len(examples) > 1
    for one in examples:
        direct = model.encoder(Seq.of([torch.as_tensor(one.speech)]))
        stored = torch.from_numpy(read_matrix(rows[one.id]))
        torch.testing.assert_close(stored, direct.data[0], atol=1e-5, rtol=1e-5)
    key = CacheKey.read(tmp_path / "e" / "encoder.json")
    assert (key.kind, key.dim, key.checkpoint) == ("conv", model.encoder.dim, str(exp))
    with pytest.raises(UserError, match="a trained encoder is taken as it is"):
        run("--exp", exp, "--scp_dir", data, "--out", tmp_path / "e", "--encoder.dim", 8)


def test_a_finished_share_is_left_as_it_is(tmp_path, data, conf):
    arguments = ("--config", conf, "--scp_dir", data, "--out", tmp_path / "e", "--name", "x")
    run(*arguments)
    ark = tmp_path / "e" / "encoded_x.1.ark"
    before = ark.stat().st_mtime_ns
    run(*arguments)
    assert ark.stat().st_mtime_ns == before
    (tmp_path / "e" / "encoded_x.1.scp").write_text("a-1 nowhere:1\n")
    run(*arguments)
    assert ark.stat().st_mtime_ns != before


def test_a_cache_of_another_encoder_is_refused(tmp_path, data, conf):
    out = tmp_path / "e"
    run("--config", conf, "--scp_dir", data, "--out", out)
    with pytest.raises(UserError, match="this cache was made by whisper .* choose another --out"):
        run("--config", conf, "--scp_dir", data, "--out", out, "--encoder.window", "1.0")
    other = write_config(tmp_path / "h.yaml", kind="ssl", checkpoint=str(tiny_checkpoint("hubert_base")))
    with pytest.raises(UserError, match="not by ssl"):
        run("--config", other, "--scp_dir", data, "--out", out)


def test_the_key_follows_weights_and_options_not_places(tmp_path):
    place, copy = tiny_checkpoint("hubert_base"), tmp_path / "copy"
    shutil.copytree(place, copy)

    def key(folder: Path, **options: object) -> str:
        section = {"kind": "ssl", "checkpoint": str(folder), "adapt": "frozen", **options}
        encoder = SslEncoder(1, checkpoint=str(folder), **options)  # type: ignore[arg-type]
        return CacheKey.of(encoder, section).hash

    assert key(place) == key(copy)
    assert key(place, layer=2) != key(place)
    assert key(place, normalize=True) != key(place)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "num_attention_heads": 4}))
    assert key(copy) != key(place)


@pytest.mark.parametrize(
    "section, message",
    [
        (dict(kind="conv"), "only encoders of audio are cached, conv is none"),
        (dict(kind="whisper", adapt="full"), "parameters are trained .* write adapt: frozen"),
        (dict(kind="whisper", adapt="lora"), "parameters are trained"),
    ],
)
def test_what_cannot_be_cached_is_told(tmp_path, data, section, message):
    if section["kind"] == "whisper":
        section = {**section, "checkpoint": str(tiny_checkpoint("whisper"))}
    conf = write_config(tmp_path / "c.yaml", **section)
    with pytest.raises(UserError, match=message):
        run("--config", conf, "--scp_dir", data, "--out", tmp_path / "e")
    assert not (tmp_path / "e").exists()


def test_bad_audio_is_counted_and_too_much_of_it_is_an_error(tmp_path, data, conf):
    (data / "a-2.wav").write_bytes(b"RIFF")
    with pytest.raises(UserError, match="1 of 4 utterances are bad"):
        run("--config", conf, "--scp_dir", data, "--out", tmp_path / "e")
    assert not (tmp_path / "e" / "encoded_train.1.scp").exists()
    run("--config", conf, "--scp_dir", data, "--out", tmp_path / "e", "--max_skip_share", 0.3)
    assert sorted(read_table(tmp_path / "e" / "encoded_train.1.scp")) == ["a-1", "b-1", "b-2"]


def test_features_of_another_width_are_told(tmp_path):
    path = tmp_path / "encoder.json"
    path.write_text(json.dumps(dict(hash="x", kind="ssl", options={}, checkpoint="c", dim=16, seconds_per_step=0.02)))
    with pytest.raises(UserError, match="the features have width 80, the cached ssl encoder 16"):
        CachedEncoder(80, key=str(path))(Seq.of([torch.randn(3, 80)]))


@pytest.mark.parametrize("text", ["", "[]", '{"hash": 1}'])
def test_a_broken_key_is_told(tmp_path, text):
    (tmp_path / "encoder.json").write_text(text)
    with pytest.raises(UserError, match="not the key of a cache"):
        CachedEncoder(80, key=str(tmp_path / "encoder.json"))


def test_a_missing_key_is_told(tmp_path):
    with pytest.raises(UserError, match="run stage 1"):
        CachedEncoder(80, key=str(tmp_path / "encoder.json"))


def test_utterances_are_encoded_together_up_to_the_limit(data, tmp_path, monkeypatch):
    sizes: list[list[int]] = []

    def spy(encoder: torch.nn.Module, group: store.Group, device: str) -> list[np.ndarray]:
        sizes.append([len(samples) for _, samples in group])
        return [np.zeros((1, 2), dtype=np.float32) for _ in group]

    monkeypatch.setattr(store, "encode_group", spy)
    for seconds, expected in ((0.0, [[5000], [400], [12000], [3210]]), (0.7, [[5000, 400], [12000], [3210]])):
        sizes.clear()
        stem = str(tmp_path / f"x{seconds}")
        store.store(torch.nn.Identity(), Job(str(data)), stem=stem, batch_seconds=seconds, device="cpu")
        assert sizes == expected
