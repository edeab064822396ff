"""A tiny CSJ in the layouts of its editions: .sdb files of short units with tags, and their audio."""

from __future__ import annotations

from pathlib import Path

from test.corpora.miniature import sound

Units = list[tuple[float, float, str, list[str]]]
"""(start, end, channel, surface forms of the morphemes)."""

LECTURES: dict[str, Units] = {
    "A01F0001": [  # eval2
        (0.4, 0.9, "L", ["(F えー)", "それでは", "発表", "し", "ます"]),
        (1.0, 1.6, "L", ["音声", "の", "(A シーディー", "アール;ＣＤ－Ｒ)", "です"]),
        (2.4, 2.9, "L", ["(R ×××)", "さん", "が"]),
    ],
    "A01M0056": [(0.2, 0.8, "L", ["(D こ)", "(W コレ;これ)", "は", "実験", "です"])],  # eval2
    "A01M0097": [(0.2, 0.8, "L", ["結果", "を", "<雑音>", "示し", "ます"])],  # eval1
    "S00F0019": [(0.2, 0.8, "L", ["(笑 そう", "です", "ね)"])],  # eval3
    "S05M0613": [(0.2, 0.8, "L", ["評価", "の", "話し手"])],  # the speaker of A01M0056
    "A02M0999": [(0.1, 0.7, "L", ["(? 言語,原語)", "の", "研究"]), (1.9, 2.4, "L", ["(A 二千三;２００３)", "年"])],
    "S01F0888": [(0.1, 0.9, "L", ["(F あのー)", "旅行", "に", "行き", "まし", "た"])],
    "S02M0777": [(0.1, 0.9, "L", ["犬", "を", "飼っ", "て", "い", "ます"])],
    "M00F0666": [(0.1, 0.9, "L", ["次", "の", "講義", "です"]), (1.0, 1.1, "L", ["<息>"])],
    "D01M0555": [(0.1, 0.6, "L", ["はい"]), (0.5, 0.9, "R", ["そう", "です", "か"]), (1.0, 1.4, "L", ["ええ"])],
}


def sdb(name: str, units: Units) -> str:
    """Write a lecture's short units: a line for a morpheme, seventeen columns, as the published files have."""
    lines = []
    for number, (start, end, channel, words) in enumerate(units, start=1):
        for place, word in enumerate(words, start=1):
            columns = [""] * 17
            columns[2], columns[3] = name, f"{number:04d} {start:09.3f}-{end:09.3f} {channel}:-{place:03d}-001"
            columns[5], columns[10], columns[11] = word, "カナ", "名詞"
            lines.append("\t".join(columns))
    return "\n".join(lines) + "\n"


def encoded(text: str, encoding: str) -> bytes:
    """Encode; EUC-JP has its own place in Unicode for the wide minus."""
    return text.replace("－", "−" if encoding == "euc_jp" else "－").encode(encoding)


def csj(folder: Path, *, edition: str = "usb") -> Path:
    """Make the corpus as on the USB medium (Shift_JIS) or on the DVDs (EUC-JP)."""
    for name, units in LECTURES.items():
        part = "core" if name < "M" else "noncore"
        places = {"usb": (f"MORPH/SDB/{part}", f"WAV/{part}"), "dvd": (f"dvd3/{name}", f"dvd3/{name}")}[edition]
        table = folder / places[0] / f"{name}.sdb"
        table.parent.mkdir(parents=True, exist_ok=True)
        table.write_bytes(encoded(sdb(name, units), "cp932" if edition == "usb" else "euc_jp"))
        for side in ("-L", "-R") if name[0] == "D" else ("",):
            sound(folder / places[1] / f"{name}{side}.wav", seconds=3.0)
    return folder
