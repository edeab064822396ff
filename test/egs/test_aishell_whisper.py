"""egs/aishell/run_whisper.sh on the published layout with tiny Whisper and Llama checkpoints: all stages (2409.16005)."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from speechlm.core.seq import Seq
from speechlm.decoding.constraints import SearchOptions
from speechlm.decoding.llm import LLMBeamSearch
from speechlm.decoding.recognizer import llm_text, load_recognizer
from speechlm.decoding.spelling import token_pieces
from speechlm.io.tables import read_table
from speechlm.io.weights import load_weights
from speechlm.llms.causal import CausalLLM
from speechlm.llms.tokenizer import load_llm_tokenizer
from test.corpora import miniature
from test.egs.checkpoints import byte_llama
from test.egs.recipe import copy_recipe, run
from test.families.checkpoints import tiny_checkpoint

ROW, TEXT_MODEL = "whisper_pool_llama2_pinyin_aux10", "pinyin_llama2_aux10"
NEWS = "我们明天早上去北京。广州市房地产中介协会分析说。今天下午可能会下大雨，大家出门要带伞！楼市成交一直在下降，价格没有变化。\n"
NEWS += "".join(f"他说这个城市今年有{digit}万人来过。" for digit in "一二三四五六七八九十")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("whisper")
    folder = copy_recipe("aishell", place)
    miniature.aishell(place / "corpus")
    (place / "news.txt").write_text(NEWS, encoding="utf-8")
    llm, whisper = byte_llama(place / "llama"), tiny_checkpoint("whisper", place)
    steps = (
        f"--llm.checkpoint {llm} --llm.dtype float32 --train.precision fp32 --optim.steps 2 --optim.warmup 1 "
        "--train.valid_every 2 --train.trial false --decode.beam 2 --decode.max_tokens_per_second 20"
    )
    output = run(
        folder, "--stage", "0", "--stop_stage", "6", "--corpus_dir", str(place / "corpus"), "--allow_partial", "true",
        "--nj", "1", "--ngpu", "0", "--sets", "test", "--aux_text", str(place / "news.txt"), "--confs", ROW,
        "--whisper_options", f"--encoder.checkpoint {whisper} --encoder.window 1.0 --encoder.dtype float32 --device cpu",
        "--text_options", f"{steps} --encoder.dim 32 --pinyin_noise.initial 0.5 --pinyin_noise.tone 0.5",
        "--train_options", f"{steps} --optim.lr 1e-2 --data.workers 0", script="run_whisper.sh",
    )  # fmt: skip
    assert output.count("%WER") == 1
    return folder


def test_every_stage_leaves_what_it_says(recipe: Path) -> None:
    leakage = json.loads((recipe / "data/text_aux10/leakage.json").read_text(encoding="utf-8"))
    assert (leakage["transcripts"], leakage["auxiliary"]) == (1, 10)
    assert leakage["left_out_of_sources"]["ngram"] == {"dev": 1}
    assert "楼 lou2" in (recipe / "data/lang_pinyin/lexicon.txt").read_text(encoding="utf-8").splitlines()
    text = (recipe / "data/text_aux10/text").read_text(encoding="utf-8")
    assert text.count("\n") == 11 and "广州市" not in text
    units = (recipe / "data/lang_pinyin/tokens.txt").read_text(encoding="utf-8")
    assert "\nlou2 " in units and "\ncen2 " in units, "what noise makes of 城 (cheng2) is a unit too"
    assert "homophones" in (recipe / "RESULTS.md").read_text(encoding="utf-8")
    score = json.loads((recipe / f"exp/{ROW}/decode_test/scoring.json").read_text(encoding="utf-8"))
    assert set(score["homophones"]) >= {"same_syllable", "substitutions"}


def test_lowest_five_layers_train_and_the_others_stay_bit_by_bit(recipe: Path) -> None:
    before, after = (load_weights(recipe / f"exp/{name}/model.safetensors")[0] for name in (TEXT_MODEL, ROW))
    lora = {name for name in before if ".lora_" in name}
    assert lora == {name for name in after if ".lora_" in name} and len(lora) == 6 * 4 * 2
    for name in lora:
        layer = int(name.split(".layers.")[1].split(".")[0])
        assert torch.equal(before[name], after[name]) == (layer >= 5), name
    trained = json.loads((recipe / f"exp/{ROW}/model.json").read_text(encoding="utf-8"))["trained"]
    bridge = 2 * 16 + 16 * 32 + 32  # LayerNorm and Linear from Whisper's width to the LLM's
    assert trained == bridge + 5 * 4 * 8 * (32 + 32)
    text = json.loads((recipe / f"exp/{TEXT_MODEL}/model.json").read_text(encoding="utf-8"))["trained"]
    units = len((recipe / "data/lang_pinyin/tokens.txt").read_text(encoding="utf-8").splitlines())
    assert text == units * 32 + 6 * 4 * 8 * (32 + 32)


def test_the_checkpoint_holds_what_was_trained_and_names_its_bases(recipe: Path) -> None:
    tensors = load_weights(recipe / f"exp/{ROW}/model.safetensors")[0]
    assert all(".lora_" in name or name.startswith("bridge.") for name in tensors)
    bases = json.loads((recipe / f"exp/{ROW}/bases.json").read_text(encoding="utf-8"))
    assert set(bases["parts"]) == {"llm"} and len(bases["tokenizer"]) == 64
    key = json.loads((recipe / "data/whisper/encoder.json").read_text(encoding="utf-8"))
    assert key["kind"] == "whisper" and key["dim"] == 16


def test_cached_outputs_decode_as_the_encoder_itself_does(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same experiment with Whisper in the place of its cache, on the audio: the same numbers."""
    from speechlm.bin.assemble import make_dataset
    from speechlm.data.collate import collate
    from speechlm.io.expdir import ExpDir

    monkeypatch.chdir(recipe)
    other = tmp_path / "on_the_fly"
    shutil.copytree(recipe / f"exp/{ROW}", other)
    values = yaml.safe_load((other / "options.yaml").read_text(encoding="utf-8"))
    values["encoder"] = {
        "kind": "whisper", "checkpoint": str(recipe.parents[2] / "whisper"), "window": 1.0, "dtype": "float32",
        "attention": "sdpa", "gradient_checkpointing": False, "adapt": "frozen", "train_layers": None,
    }  # fmt: skip
    (other / "options.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    found = []
    for place, data in ((recipe / f"exp/{ROW}", "data/whisper/test"), (other, "data/test")):
        recognizer, options = load_recognizer(place, {}, "cpu")
        dataset = make_dataset(data, options, ExpDir(place), training=False)
        found.append(recognizer.recognize(collate([dataset.read(i, 0) for i in range(len(dataset))])))
    for cached, direct in zip(*found, strict=True):
        assert cached[0].tokens == direct[0].tokens
        assert cached[0].token_scores == pytest.approx(direct[0].token_scores, abs=1e-4)


def test_invalid_utf8_never_leaves_the_decoder(tmp_path: Path) -> None:
    """A random LLM over bytes writes broken characters when it may; with `valid_text` it never does."""
    checkpoint = str(byte_llama(tmp_path / "llama"))
    llm = CausalLLM(checkpoint=checkpoint).eval()
    tokenizer = load_llm_tokenizer(checkpoint)
    pieces, words = token_pieces(tokenizer, llm.vocab_size), llm_text(checkpoint)
    generator = torch.Generator().manual_seed(0)
    prompts = Seq.of([torch.randn(n, llm.dim, generator=generator) for n in (3, 9, 5, 7)])
    broken = 0
    for valid in (False, True):
        options = SearchOptions(beam=3, nbest=3, valid_text=valid)
        search = LLMBeamSearch(llm.model, llm.embed, [tokenizer.eos_token_id], options, pieces=pieces)
        for hypothesis in (one for nbest in search.search(prompts, [13, 17, 12, 19]) for one in nbest):
            spelled = b"".join(pieces[token] for token in hypothesis.tokens)
            if valid:
                spelled.decode("utf-8")
            else:
                broken += "\ufffd" in spelled.decode("utf-8", errors="replace")
            assert "\ufffd" not in words(hypothesis.tokens)
    assert broken, "the unconstrained search must have something to be kept from"


def test_the_recipe_searches_valid_characters_only(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(recipe)  # the cache of encoder outputs is named relative to the recipe
    recognizer, values = load_recognizer(recipe / f"exp/{ROW}", {}, "cpu")
    assert values["decode"]["valid_text"] and values["decode"]["no_repeat_unit"] == "character"
    assert recognizer.pieces is not None
    for text in read_table(recipe / f"exp/{ROW}/decode_test/text").values():
        text.encode("utf-8").decode("utf-8")
        assert "\ufffd" not in text and all(text.count(text[i : i + 8]) == 1 for i in range(len(text) - 7))
