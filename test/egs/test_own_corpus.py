"""doc/own_corpus.md, its commands as they stand there, on a corpus of a dozen files; only the training is cut short."""

import re
import subprocess
from pathlib import Path

import numpy as np
import soundfile

from test.egs.recipe import ROOT, environment

STEPS = "--optim.steps 2 --optim.warmup 1 --train.valid_every 2 --train.log_every 1"
SHORT = ["--nj", "2", "--synth", "12", "--train_options", f"'{STEPS}'"]
WORDS = ["how", "are", "you", "today", "my", "friend", "the", "sun", "is", "warm", "and", "we", "go", "home"]


def commands() -> list[str]:
    """The bash blocks of the page, in order."""
    return re.findall(r"```bash\n(.*?)```", (ROOT / "doc/own_corpus.md").read_text(encoding="utf-8"), re.S)


def make_corpus(folder: Path) -> None:
    """What a newcomer has: files and transcripts; written as the page says, but unsorted and with Windows line ends."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 10), ("dev", 3), ("test", 3)):
        place = folder / "data" / split
        place.mkdir(parents=True)
        rows = []
        for index in reversed(range(count)):
            utt, length = f"anna{split}-{index:02d}", int(16000 * (0.8 + 0.1 * (index % 4)))
            audio = folder / "audio" / f"{utt}.flac"
            audio.parent.mkdir(exist_ok=True)
            soundfile.write(audio, (0.1 * generator.standard_normal(length)).astype("float32"), 16000)
            rows.append((utt, str(audio), " ".join(generator.choice(WORDS, 4)), f"anna{split}"))
        for name, column in (("wav.scp", 1), ("text", 2), ("utt2spk", 3)):
            end = "\r\n" if name == "text" else "\n"
            (place / name).write_bytes("".join(f"{row[0]} {row[column]}{end}" for row in rows).encode())


def test_the_page_works_as_it_stands(tmp_path: Path) -> None:
    for name in ("utils", "egs/TEMPLATE", "egs/speechocean"):
        subprocess.run(["mkdir", "-p", (tmp_path / name).parent], check=True)
        subprocess.run(["cp", "-a", ROOT / name, tmp_path / name], check=True)
    subprocess.run(["rm", "-rf", *(tmp_path / "egs/speechocean/asr1" / n for n in ("data", "exp"))], check=True)
    blocks = commands()
    assert len(blocks) == 6
    recipe, tables, validate, fix, run, short_first = blocks

    def shell(text: str, folder: Path, code: int = 0) -> str:
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", text], cwd=folder, env=environment(), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=280)  # fmt: skip
        assert (done.returncode == 0) == (code == 0), done.stdout[-3000:]
        return done.stdout

    shell(recipe, tmp_path)
    folder = tmp_path / "egs/mycorpus/asr1"
    make_corpus(folder)
    faults = shell(validate, folder, code=1)  # the tables are unsorted and one has Windows line ends: both are told
    assert "data/train/text:1" in faults and "sort" in faults.lower()
    shell(fix, folder)
    shell(tables, folder)
    shell(validate, folder)
    output = shell(f"{run.strip()} {' '.join(SHORT)}", folder)
    assert re.search(r"^%WER \d", output, re.M) and (folder / "exp/speech_llm/report.html").exists()
    subprocess.run(["rm", "-r", folder / "exp/conformer_ctc"], check=True)
    shell(short_first.replace("--optim.lr", f"{STEPS} --optim.lr").replace("--optim.steps 280", "--optim.steps 2"), folder)
    assert all((folder / "exp" / name / "model.safetensors").exists() for name in ("short", "conformer_ctc"))
