"""Text of every kind: the normaliser, token lists, pinyin, lexicons and prompts."""

KINDS: dict[str, str] = {
    "char": "speechlm.text.tokens:CharTokenizer",
    "word": "speechlm.text.tokens:WordTokenizer",
    "bpe": "speechlm.text.bpe:BpeTokenizer",
    "pinyin": "speechlm.text.pinyin_tokens:PinyinTokenizer",
}
