"""Speech encoders: Seq of features, samples or units in, Seq of vectors out."""

KINDS: dict[str, str] = {
    "conformer": "speechlm.encoders.conformer:ConformerEncoder",
    "conv": "speechlm.encoders.conv:ConvEncoder",
    "plm": "speechlm.encoders.plm:PlmEncoder",
    "ssl": "speechlm.encoders.ssl:SslEncoder",
    "whisper": "speechlm.encoders.whisper:WhisperEncoder",
    "pinyin": "speechlm.encoders.pinyin:PinyinEncoder",
    "none": "speechlm.encoders.none:NoneEncoder",
    "cached": "speechlm.encoders.cached:CachedEncoder",
}
