"""A base checkpoint named by its place on the hub: hashed by what is loaded of it, whatever else comes into the cache."""

from pathlib import Path

import pytest

from speechlm.core.errors import UserError
from speechlm.models.restore import hash_of


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder that stands in for the hub: what is asked for with the network appears in it."""
    import huggingface_hub

    def snapshot_download(name: str, *, local_files_only: bool = False, allow_patterns: list[str] | None = None) -> str:
        if name != "maker/model":
            raise FileNotFoundError(f"no {name}")
        if local_files_only and not any(tmp_path.iterdir()):
            raise FileNotFoundError("not in the cache")
        if not local_files_only:
            assert allow_patterns and "*.safetensors" in allow_patterns
            (tmp_path / "config.json").write_text("{}")
            (tmp_path / "model.safetensors").write_bytes(b"weights")
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return tmp_path


def test_what_is_not_in_the_cache_is_loaded_first(hub: Path) -> None:
    first = hash_of("maker/model")
    assert (hub / "model.safetensors").exists() and hash_of("maker/model") == first


def test_weights_are_loaded_where_only_a_tokenizer_was(hub: Path) -> None:
    (hub / "tokenizer.json").write_text("{}")
    with_tokenizer = hash_of("maker/model")
    (hub / "tokenizer.json").unlink()
    assert hash_of("maker/model") == with_tokenizer


def test_only_weights_and_configuration_count(hub: Path) -> None:
    first = hash_of("maker/model")
    (hub / "vocab.json").write_text("{}")
    assert hash_of("maker/model") == first, "a tokenizer that comes later is no other model"
    (hub / "model.safetensors").write_bytes(b"others")
    assert hash_of("maker/model") != first


def test_what_cannot_be_had_is_told(hub: Path) -> None:
    with pytest.raises(UserError, match="checkpoint 'maker/other': cannot be loaded from the hub"):
        hash_of("maker/other")
