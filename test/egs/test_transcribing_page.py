"""doc/transcribe.md, its commands as they stand there, with a tiny model and recordings of some seconds."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import soundfile

from speechlm.io.tables import write_table
from test.bin import experiments
from test.egs.recipe import ROOT, environment


def blocks() -> list[str]:
    """The page's bash blocks, in order."""
    return re.findall(r"```bash\n(.*?)```", (ROOT / "doc/transcribe.md").read_text(encoding="utf-8"), re.S)


def test_the_page_works_as_it_stands(tmp_path: Path) -> None:
    experiments.make(tmp_path, "ctc")
    shutil.move(tmp_path / "exp/ctc", tmp_path / "exp/conformer_ctc")
    (tmp_path / "utils").symlink_to(ROOT / "utils")
    (tmp_path / "recordings/more").mkdir(parents=True)
    random = np.random.default_rng(0)
    for name, seconds in (("talk.wav", 12.0), ("more/one.flac", 0.8), ("more/two.flac", 1.1)):
        soundfile.write(tmp_path / "recordings" / name, 0.1 * random.standard_normal(int(16000 * seconds)), 16000)
    (tmp_path / "data/long").mkdir()
    write_table(tmp_path / "data/long/wav.scp", {"talk": str(tmp_path / "recordings/talk.wav")})
    write_table(tmp_path / "data/long/utt2spk", {"talk": "talk"})
    told = ""
    for block in blocks():
        shorter = block.replace("--max_seconds 15", "--max_seconds 5")  # the recording lasts 12 s
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", shorter], cwd=tmp_path, env=environment(), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=280)  # fmt: skip
        assert done.returncode == 0, done.stdout[-3000:]
        told += done.stdout
    assert len((tmp_path / "all.tsv").read_text().splitlines()) == 3
    assert len((tmp_path / "flac.tsv").read_text().splitlines()) == 2
    assert (tmp_path / "stream.txt").read_text().rstrip() in told
    assert (tmp_path / "subtitles/more/one.srt").exists() and (tmp_path / "subtitles/talk.srt").exists()
    assert json.loads((tmp_path / "talk.json").read_text())["seconds"] == 12.0
    assert (tmp_path / "talk.txt").read_text().count("\n") == 1
    assert len((tmp_path / "data/long_cut/segments").read_text().splitlines()) >= 3
    out = tmp_path / "exp/conformer_ctc/decode_long_cut"
    assert {"text", "score", "nbest.jsonl", "stats.json", "ctm"} <= {path.name for path in out.iterdir()}
