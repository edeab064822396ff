"""Corpora: each kind knows where its corpus comes from and lists its utterances."""

KINDS: dict[str, str] = {
    "mini": "speechlm.corpora.mini:MiniCorpus",
    "kaldi": "speechlm.corpora.kaldi:KaldiCorpus",
    "fsdd": "speechlm.corpora.fsdd:FsddCorpus",
    "speechocean": "speechlm.corpora.speechocean:SpeechoceanCorpus",
    "hsk": "speechlm.corpora.hsk:HskCorpus",
    "aishell": "speechlm.corpora.aishell:AishellCorpus",
    "commonvoice": "speechlm.corpora.commonvoice:CommonvoiceCorpus",
    "jsut": "speechlm.corpora.jsut:JsutCorpus",
    "musan": "speechlm.corpora.musan:MusanCorpus",
    "tedlium": "speechlm.corpora.tedlium:TedliumCorpus",
    "librispeech": "speechlm.corpora.librispeech:LibrispeechCorpus",
}
