"""Subword units of sentencepiece (1808.06226): byte pair encoding or a unigram model, trained on the transcripts."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from speechlm.core.errors import UserError
from speechlm.io.files import atomic_open
from speechlm.text.normalize import check_language, normalize
from speechlm.text.tokens import BLANK, UNK, Options, Tokenizer

MODEL_FILE = "bpe.model"


class BpeTokenizer(Tokenizer):
    """Pieces of a sentencepiece model; the model's own file lies beside the list as `bpe.model`.

    Our id is the model's id plus one: the model has `<unk>` 0 and no other special piece, we put `<blank>` before it.
    """

    kind = "bpe"

    def __init__(self, model: bytes, *, language: str = "none") -> None:
        from sentencepiece import SentencePieceProcessor

        self.model = model
        self.processor = SentencePieceProcessor(model_proto=model)
        pieces = [self.processor.id_to_piece(i) for i in range(self.processor.get_piece_size())]
        super().__init__([BLANK, *pieces], language=language)

    @staticmethod
    def build(
        texts: Iterable[str],
        *,
        size: int,
        language: str = "none",
        model_type: Literal["bpe", "unigram"] = "bpe",
        coverage: float = 1.0,
    ) -> BpeTokenizer:
        """Train a model of at most `size` units, blank and unknown included.

        One thread and all sentences in their order: the same text gives the same model. coverage: share of the
        characters' occurrences that must have a unit (0.9995 for languages with thousands of characters).
        """
        from sentencepiece import SentencePieceTrainer

        language = check_language(language)
        sentences = [text for text in (normalize(text, language) for text in texts) if text]
        if not sentences:
            raise UserError("there is no text to train subword units on")
        written = io.BytesIO()
        try:
            SentencePieceTrainer.train(
                sentence_iterator=iter(sentences),
                model_writer=written,
                model_type=model_type,
                vocab_size=size - 1,
                hard_vocab_limit=False,
                character_coverage=coverage,
                normalization_rule_name="identity",
                num_threads=1,
                unk_id=0,
                bos_id=-1,
                eos_id=-1,
                pad_id=-1,
                unk_piece=UNK,
                max_sentence_length=65536,
                minloglevel=2,
            )
        except RuntimeError as error:
            raise UserError(f"{size} units cannot be made of {len(sentences)} lines of text: {error}") from error
        return BpeTokenizer(written.getvalue(), language=language)

    def split(self, text: str) -> list[str]:
        """Cut text into pieces."""
        return self.processor.encode(text, out_type=str)

    def join(self, units: Sequence[str]) -> str:
        """Put pieces together."""
        return self.processor.decode_pieces(list(units)).strip()

    def save(self, folder: Path | str) -> None:
        """Write the model beside the token list."""
        super().save(folder)
        with atomic_open(Path(folder) / MODEL_FILE, "wb") as file:
            file.write(self.model)

    @classmethod
    def restore(cls, folder: Path, units: list[str], language: str, options: Options) -> Tokenizer:
        """Read the model; its pieces must be those of the token list."""
        path = folder / MODEL_FILE
        if not path.exists():
            raise UserError(f"{path}: no such file; make the folder again with speechlm tokens")
        made = cls(path.read_bytes(), language=language)
        if made.units != units:
            raise UserError(f"{folder}/tokens.txt: does not list the pieces of {MODEL_FILE}; make the folder again")
        return made
