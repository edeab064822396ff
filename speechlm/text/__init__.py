"""Text of every kind: the normaliser, token lists, pinyin, lexicons and prompts."""

KINDS: dict[str, str] = {
    "char": "speechlm.text.tokens:CharTokenizer",
    "word": "speechlm.text.tokens:WordTokenizer",
    "bpe": "speechlm.text.bpe:BpeTokenizer",
    "phone": "speechlm.text.phone_tokens:PhoneTokenizer",
    "pinyin": "speechlm.text.pinyin_tokens:PinyinTokenizer",
}
