"""Switchboard, eval2000, RT-03 and Fisher in LDC's own layouts, with synthesised two-channel sphere files of seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from test.corpora.miniature import write

RATE = 8000
WORDS = ["yeah", "i", "like", "to", "talk", "about", "the", "weather", "in", "texas", "and", "you", "know", "what", "my",
         "dog", "does", "too"]  # fmt: skip


def ulaw(samples: np.ndarray) -> np.ndarray:
    """ITU-T G.711 mu-law codes (uint8) of samples in [-1, 1]."""
    value = np.clip(np.abs(samples) * 32635, 0, 32635).astype(np.int64) + 132
    exponent = np.floor(np.log2(value)).astype(np.int64) - 7
    mantissa = (value >> (exponent + 3)) & 15
    sign = np.where(samples < 0, 0x80, 0)
    return (~(sign | (exponent << 4) | mantissa) & 0xFF).astype(np.uint8)


def sphere(path: Path, channels: list[np.ndarray]) -> Path:
    """Write a NIST SPHERE file of mu-law samples, channels interleaved: its header is text, 1,024 bytes."""
    fields = {"channel_count": len(channels), "sample_count": len(channels[0]), "sample_rate": RATE,
              "sample_n_bytes": 1, "sample_sig_bits": 8}  # fmt: skip
    lines = ["NIST_1A", "   1024", *(f"{name} -i {value}" for name, value in fields.items())]
    lines += ["sample_byte_format -s1 1", "sample_coding -s4 ulaw", "end_head", ""]
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.stack([ulaw(channel) for channel in channels], axis=1)
    path.write_bytes("\n".join(lines).encode().ljust(1024) + data.tobytes())
    return path


def tones(frequency: float, seconds: float) -> np.ndarray:
    """A tone of its own for each channel, so that taking the wrong one shows."""
    return 0.3 * np.sin(2 * np.pi * frequency * np.arange(round(RATE * seconds)) / RATE)


def switchboard(folder: Path, conversations: int = 6, turns: int = 4) -> Path:
    """LDC97S62 and the Mississippi State transcripts; side A sounds at 300 Hz, side B at 900 Hz."""
    root = folder / "LDC97S62"
    for number in range(2001, 2001 + conversations):
        seconds = 2.0 * turns + 1
        sphere(root / f"swb1_d{1 + number % 2}" / "data" / f"sw0{number}.sph", [tones(300, seconds), tones(900, seconds)])
        place = root / "swb_ms98_transcriptions" / str(number)[:2] / str(number)
        for side, shift in (("A", 0.0), ("B", 1.0)):
            name = f"sw{number}{side}-ms98-a"
            lines = [f"{name}-0001 0.000000 {0.2 + shift:.6f} [silence]"]
            for turn in range(turns):
                start, first = 2 * turn + shift + 0.2, (number + 5 * turn) % 9
                words = " ".join(WORDS[first : first + 4 + turn % 3])
                lines.append(f"{name}-{turn + 2:04d} {start:.6f} {start + 0.9:.6f} {words}")
            lines.append(f"{name}-{turns + 2:04d} {2 * turns + 0.1:.6f} {2 * turns + 0.6:.6f} [laughter]")
            write(place / f"{name}-trans.text", *lines)
    write(root / "swb_ms98_transcriptions" / "sw-ms98-dict.text", "//  the dictionary", "I ay", "B b iy", "M eh m",
          "T t iy", "V v iy", "N eh n", "A ey", "S eh s", "IBM ay b iy eh m", "TV t iy v iy", "NASA n ae s ax")  # fmt: skip
    return root


STM = [
    ';; CATEGORY "0" "" ""',
    *(f';; LABEL "{label}" "{label}" ""' for label in ("O", "en", "sw", "F", "M", "en-F", "en-M", "sw-F", "sw-M", "FSH")),
    "en_4156 A en_4156_A 0.20 1.20 <O,en,F,en-F> (%HESITATION) yeah i like the weather",
    "en_4156 B en_4156_B 1.30 2.10 <O,en,M,en-M> { uh-huh / @ } and you",
    "en_4156 A en_4156_A 2.20 3.00 <O,en,F,en-F> (th-) that's my dog",
    "sw_4390 A sw_4390_A 0.00 0.20 <O,sw,F,sw-F> IGNORE_TIME_SEGMENT_IN_SCORING",
    "sw_4390 A sw_4390_A 0.20 1.50 <O,sw,F,sw-F> what do you know about texas",
    "sw_4390 B sw_4390_B 1.60 2.40 <O,sw,M,sw-M> (%HESITATION)",
    "sw_4390 B sw_4390_B 2.50 3.40 <O,sw,M,sw-M> i talk to the dog",
    "sw_4390 A sw_4390_A 3.45 3.90 <O,sw,F,sw-F> outside of the partition",
]
GLM = [
    ";; what the first sign of the file is, comments begin with", '* name "test.glm"', "* format = 'NIST1'",
    "* copy_no_hit = 'T'", "* case_sensitive = 'F'", ";; hesitations",
    "[UH]  =>  [%HESITATION] / [ ] __ [ ] ;; a hesitation", "[UM]  =>  [%HESITATION] / [ ] __ [ ]",
    "[UH-HUH]  =>  [%BCACK] / [ ] __ [ ]", "[MHM]  =>  [%BCACK] / [ ] __ [ ]",
    "[THAT'S]  =>  {THAT'S / THAT IS} / [ ] __ [ ]", "[COLOUR]  =>  [COLOR] / [ ] __ [ ]",
]  # fmt: skip


def eval2000(folder: Path) -> Path:
    """LDC2002S09 with LDC2002T43."""
    for name, first in (("en_4156", 400), ("sw_4390", 500)):
        sphere(folder / "LDC2002S09/hub5e_00/english" / f"{name}.sph", [tones(first, 4.0), tones(3 * first, 4.0)])
    turns = [line.split() for line in STM if not line.startswith(";;")]
    pem = [" ".join([*t[:2], "unknown_speaker", *t[3:5]]) for t in turns if t[3] != "3.45"]
    write(folder / "LDC2002S09/hub5e_00/english/hub5e_00.pem", ";; partition", *pem)
    reference = folder / "LDC2002T43/2000_hub5_eng_eval_tr/reference"
    write(reference / "hub5e00.english.000405.stm", *STM)
    write(reference / "en20000405_hub5.glm", *GLM)
    return folder


def rt03(folder: Path) -> Path:
    """LDC2007S10: sides are 1 and 2."""
    root = folder / "LDC2007S10/rt_03/data"
    sphere(root / "audio/eval03/english/cts/fsh_60262.sph", [tones(350, 3.0), tones(1050, 3.0)])
    write(root / "references/eval03/english/cts/fsh_60262.stm",
          ';; LABEL "O" "O" ""', ';; LABEL "F" "F" ""', ';; LABEL "M" "M" ""', ';; LABEL "FSH" "FSH" ""',
          "fsh_60262 1 fsh_60262_1 0.10 1.20 <O,F,FSH> you know the weather",
          "fsh_60262 2 fsh_60262_2 1.30 2.50 <O,M,FSH> yeah i do")  # fmt: skip
    write(root / "trans_rules/en20030506.glm", *GLM)
    return folder


def fisher(folder: Path) -> Path:
    """LDC2004S13 and LDC2004T19."""
    sphere(folder / "fe_03_p1_sph1/audio/000/fe_03_00001.sph", [tones(300, 6.0), tones(900, 6.0)])
    write(folder / "fe_03_p1_tran/data/trans/000/fe_03_00001.txt",
          "# fe_03_00001.sph", "# Transcribed at the LDC", "", "0.20 1.10 A: hello i watch t._v. [laughter]", "",
          "1.20 2.00 B: (( who is )) that", "", "2.10 3.00 B: uh-huh", "", "3.10 3.90 A: [noise]")  # fmt: skip
    return folder


def tiny_bert(folder: Path, layers: int = 4) -> Path:
    """A BERT of 16 dimensions with whole words and letters as pieces, in Hugging Face's layout."""
    import torch
    from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast

    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(set(WORDS) - set(letters)), *letters, *(f"##{x}" for x in letters)]
    BertTokenizerFast(vocab={word: i for i, word in enumerate(pieces)}, do_lower_case=True).save_pretrained(folder)
    torch.manual_seed(layers)
    config = BertConfig(vocab_size=len(pieces), hidden_size=16, num_hidden_layers=layers, num_attention_heads=2,
                        intermediate_size=24, max_position_embeddings=128)  # fmt: skip
    BertForMaskedLM(config).save_pretrained(folder)
    return folder
