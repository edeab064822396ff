"""The LLM's own tokenizer: loaded without running any of its code, and fingerprinted for the checkpoint."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from speechlm.core.errors import UserError
from speechlm.text.hot_list import hot_list_options
from speechlm.text.prompt import Prompt, PromptTemplate

# Names of a tokenizer saved as nothing but its tokenizer.json.
_GENERIC = ("TokenizersBackend", "PreTrainedTokenizerFast")


def check_reachable(checkpoint: str) -> None:
    """Raise UserError at once if `checkpoint` is no folder, not in the local cache, and the hub does not answer.

    Without this, each file of a misspelt folder is asked for six times over half a minute where there is no network.
    """
    if Path(checkpoint).is_dir():
        return
    from huggingface_hub import constants, get_session, try_to_load_from_cache

    help_line = "give a folder as Hugging Face's save_pretrained writes it, or a hub name while there is a network"
    try:
        if isinstance(try_to_load_from_cache(checkpoint, "config.json"), str):
            return
    except ValueError:
        raise UserError(
            f"checkpoint '{checkpoint}': no such folder, and no name of the hub's form; {help_line}"
        ) from None
    try:
        if constants.HF_HUB_OFFLINE:
            raise ConnectionError("offline mode is on")
        get_session().head(constants.ENDPOINT, timeout=5)
    except Exception as error:  # the HTTP library under the hub's client has changed more than once
        raise UserError(
            f"checkpoint '{checkpoint}': no such folder here, and {constants.ENDPOINT} cannot be reached ({error}); "
            f"{help_line}"
        ) from None


def load_llm_tokenizer(checkpoint: str) -> Any:
    """Load the tokenizer of a Hugging Face name or directory; no code of the checkpoint is ever run.

    A checkpoint whose tokenizer_config.json says that tokenizer.json is all there is, is taken at its word:
    transformers 5 would build a Qwen2 tokenizer around the vocabulary of any model of that architecture, and silently
    lose characters.

    Raises UserError when there is no such folder and the hub does not answer, or when it holds no tokenizer.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast
    from transformers.models.auto.tokenization_auto import get_tokenizer_config

    check_reachable(checkpoint)
    local = Path(checkpoint).is_dir()
    try:
        declared = get_tokenizer_config(checkpoint, local_files_only=local).get("tokenizer_class")
        if declared in _GENERIC:
            return PreTrainedTokenizerFast.from_pretrained(checkpoint, local_files_only=local)
        return AutoTokenizer.from_pretrained(checkpoint, local_files_only=local, trust_remote_code=False)
    except (OSError, ValueError, ImportError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"checkpoint '{checkpoint}': no tokenizer in it ({reason}); it needs tokenizer.json (or tokenizer.model) "
            "and tokenizer_config.json"
        ) from error


def encode_text(tokenizer: Any, text: str) -> list[int]:
    """Turn plain text into ids: nothing is put around it, and a special token's spelling in it stays plain text."""
    return tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)


def special_pieces(tokenizer: Any) -> dict[str, int]:
    """List the special tokens a prompt may name, with their ids, `<s>`, `</s>` and `[SEP]` standing for the roles.

    A tokenizer that has no token spelled `<s>`, `</s>` or `[SEP]` but one in the role (bos, eos, sep) answers to these
    names too, so that `<s>{speech}[SEP]{text}</s>` works for more than one family.
    """
    pieces = {str(token): int(i) for i, token in tokenizer.added_tokens_decoder.items()}
    pieces.update(zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True))
    roles = {"<s>": tokenizer.bos_token_id, "</s>": tokenizer.eos_token_id, "[SEP]": tokenizer.sep_token_id}
    for name, token in roles.items():
        if token is not None:
            pieces.setdefault(name, token)
    return pieces


def prompt_of(tokenizer: Any, text: dict[str, Any]) -> Prompt:
    """Turn the prompt of an experiment's section `text` into token ids of this tokenizer.

    Raises UserError where the tokenizer cannot write what stands between two phrases of a list.
    """
    lists = hot_list_options(text)
    made = prompt_ids(tokenizer, text["prompt"], list_template=lists.hot_template, list_join=lists.hot_join)
    between = encode_text(tokenizer, lists.hot_join)
    if made.hot and (not between or tokenizer.unk_token_id in between):
        raise UserError(f"text.hot_join: the LLM's tokenizer cannot write {lists.hot_join!r}; take another")
    return made


def prompt_ids(tokenizer: Any, template: str, **lists: str) -> Prompt:
    """Turn a prompt's template into token ids of this tokenizer; lists: list_template, list_join of `PromptTemplate`."""
    return PromptTemplate(template, **lists).pieces(
        lambda text: encode_text(tokenizer, text),
        special_pieces(tokenizer),
        bos=tokenizer.bos_token_id,
        eos=tokenizer.eos_token_id,
    )


def check_fits(tokenizer: Any, vocab_size: int) -> None:
    """Raise UserError if the tokenizer can give an id that the LLM's embedding table does not have."""
    largest = max(tokenizer.get_vocab().values())
    if largest >= vocab_size:
        raise UserError(
            f"tokenizer '{tokenizer.name_or_path}': its largest id is {largest}, but the LLM has {vocab_size} "
            "embeddings; tokenizer and model must come from the same checkpoint"
        )


def tokenizer_hash(tokenizer: Any) -> str:
    """Fingerprint what decides the token ids (sha256), the same for a hub name and a copy of it in a folder.

    Padding and truncation, which a call may change, do not count.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    state: dict[str, Any] = json.loads(backend.to_str()) if backend is not None else {"vocab": tokenizer.get_vocab()}
    for setting in ("padding", "truncation"):
        state.pop(setting, None)
    state["special"] = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
    return hashlib.sha256(json.dumps(state, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
