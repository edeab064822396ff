"""The encoders that hold no pretrained model: what the battery does not ask."""

from __future__ import annotations

import pytest
import torch

from speechlm.core.seq import Seq
from speechlm.encoders.conformer import ConformerEncoder
from speechlm.encoders.conv import ConvEncoder
from speechlm.encoders.none import NoneEncoder
from speechlm.encoders.pinyin import PinyinEncoder


def test_the_conformer_of_2309_04031_can_be_built():
    """10 blocks of 512, 8 heads, kernel 31; 71 M with predictor and joint in the paper."""
    with torch.device("meta"):
        encoder = ConformerEncoder(80, dim=512, layers=10, heads=8, ffn_dim=2048, kernel=31, channels=256)
    assert len(encoder.layers()) == 10
    assert sum(p.numel() for p in encoder.layers()[0].parameters()) * 10 == 60_605_440


def test_conformer_sees_the_whole_utterance():
    encoder = ConformerEncoder(5, dim=8, layers=1, heads=2, ffn_dim=8, kernel=3, channels=2).eval()
    x = torch.randn(1, 80, 5)
    y = x.clone()
    y[0, -1] += 3
    before, after = (encoder(Seq(given, torch.tensor([80]))).data[0, 0] for given in (x, y))
    assert not torch.equal(before, after)


def test_every_dropout_of_the_conformer_acts():
    speech = Seq.of([torch.randn(40, 5)])
    for name in ("dropout", "attention_dropout", "input_dropout"):
        rates = {"dropout": 0.0, "attention_dropout": 0.0, "input_dropout": 0.0}
        small = dict(dim=8, layers=1, heads=2, ffn_dim=8, kernel=3, channels=2)
        still = ConformerEncoder(5, **small, **rates).train()
        assert torch.equal(still(speech).data, still(speech).data)
        moving = ConformerEncoder(5, **small, **{**rates, name: 0.5}).train()
        assert not torch.equal(moving(speech).data, moving(speech).data), name


def test_conv_encoder_sees_its_surroundings_only():
    encoder = ConvEncoder(5, dim=8, channels=2).eval()
    x = torch.randn(1, 80, 5)
    y = x.clone()
    y[0, -1] += 3
    before, after = (encoder(Seq(given, torch.tensor([80]))).data[0] for given in (x, y))
    assert (before != after).any(1).nonzero()[:, 0].tolist() == [19]


def test_pinyin_is_a_table():
    encoder = PinyinEncoder(7, dim=3, init_std=0.5)
    ids = Seq.of([torch.tensor([4, 6, 4]), torch.tensor([1])])
    out = encoder(ids)
    assert torch.equal(out.data[0], encoder.table.weight[torch.tensor([4, 6, 4])])
    assert not out.data[1, 1:].any()
    assert encoder.layers() == [encoder.table]


def test_the_table_starts_as_small_as_token_embeddings():
    torch.manual_seed(0)
    assert PinyinEncoder(1417, dim=64).table.weight.std().item() == pytest.approx(0.02, rel=0.02)


def test_units_must_be_ids():
    with pytest.raises(ValueError, match="must be int64 ids, are torch.float32"):
        PinyinEncoder(7)(Seq.of([torch.randn(4)]))


def test_none_gives_nothing_for_anything():
    for data in (torch.randn(2, 5), torch.randn(2, 5, 3), torch.zeros(2, 0), torch.zeros(2, 5, dtype=torch.int64)):
        out = NoneEncoder(0, dim=6)(Seq(data, torch.tensor([data.shape[1], 0])))
        assert out.data.shape == (2, 0, 6) and out.data.dtype == torch.float32
        assert out.lens.tolist() == [0, 0]
