"""The look-up bridge: sure posteriors give the table's own rows, doubtful ones their mean; what the pinyin encoder learnt fits in."""

import pytest
import torch

from speechlm.bridges.ctc_lookup import CtcLookupBridge
from speechlm.core.errors import UserError
from speechlm.core.seq import Seq
from speechlm.encoders.pinyin import PinyinEncoder
from speechlm.io.weights import save_weights
from speechlm.training.weights import load_trained


def heard(best: list[int], units: int = 6, certainty: float = 40.0) -> Seq:
    return Seq.of([torch.nn.functional.one_hot(torch.tensor(best), units) * certainty])


def test_sure_runs_are_rows_of_the_table() -> None:
    bridge = CtcLookupBridge(8, 4, 6, features=False)
    logits = heard([0, 3, 3, 0, 3, 5, 5, 0, 0, 2])
    out = bridge(Seq.of([torch.randn(10, 8)]), logits)
    torch.testing.assert_close(out.data[0], bridge.table.weight[[3, 3, 5, 2]])
    assert bridge.notes["certainty"] == pytest.approx(1.0) and bridge.notes["kept_ratio"] == pytest.approx(0.4)


def test_doubt_is_handed_on_without_the_blank() -> None:
    bridge = CtcLookupBridge(8, 4, 3, features=False)
    probabilities = torch.tensor([[[0.2, 0.5, 0.3], [0.1, 0.7, 0.2]]])
    out = bridge(Seq.of([torch.randn(2, 8)]), Seq(probabilities.log(), torch.tensor([2])))
    first = (0.5 / 0.8 + 0.7 / 0.9) / 2
    wanted = first * bridge.table.weight[1] + (1 - first) * bridge.table.weight[2]
    torch.testing.assert_close(out.data[0, 0], wanted)


def test_silence_gives_one_vector() -> None:
    bridge = CtcLookupBridge(8, 4, 6)
    out = bridge(Seq.of([torch.randn(5, 8)]), heard([0] * 5))
    assert out.lens.tolist() == [1] and out.data.isfinite().all() and bridge.notes["all_blank"] == 1


def test_the_table_comes_from_text_pre_training(tmp_path) -> None:
    encoder, bridge = PinyinEncoder(6, dim=4), CtcLookupBridge(8, 4, 6)
    save_weights(tmp_path / "model.safetensors", {"encoder.table.weight": encoder.table.weight.detach()}, {})
    model = torch.nn.ModuleDict({"bridge": bridge})
    report = load_trained(model, tmp_path, strict=False, renamed=["encoder.table=bridge.table"])
    assert report.loaded == ["bridge.table.weight"]
    ids = Seq(torch.tensor([[3, 5, 2]]), torch.tensor([3]))
    same = bridge(Seq.of([torch.zeros(3, 8)]), heard([3, 5, 2]))
    torch.testing.assert_close(same.data, encoder(ids).data, atol=1e-3, rtol=0)
    with pytest.raises(UserError, match="must be OLD=NEW"):
        load_trained(model, tmp_path, strict=False, renamed=["encoder.table"])


def test_refusals() -> None:
    with pytest.raises(ValueError, match="^bridge ctc_lookup: "):
        CtcLookupBridge(8, 4, 6, temperature=0.0)
    with pytest.raises(ValueError, match="needs ctc_logits"):
        CtcLookupBridge(8, 4, 6)(Seq.of([torch.zeros(3, 8)]))
