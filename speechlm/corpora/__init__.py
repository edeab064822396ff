"""Corpora: each kind knows where its corpus comes from and lists its utterances."""

KINDS: dict[str, str] = {
    "mini": "speechlm.corpora.mini:MiniCorpus",
    "talks": "speechlm.corpora.talks:TalksCorpus",
    "kaldi": "speechlm.corpora.kaldi:KaldiCorpus",
    "fsdd": "speechlm.corpora.fsdd:FsddCorpus",
    "speechocean": "speechlm.corpora.speechocean:SpeechoceanCorpus",
    "hsk": "speechlm.corpora.hsk:HskCorpus",
    "tofugu": "speechlm.corpora.tofugu:TofuguCorpus",
    "aishell": "speechlm.corpora.aishell:AishellCorpus",
    "commonvoice": "speechlm.corpora.commonvoice:CommonvoiceCorpus",
    "jsut": "speechlm.corpora.jsut:JsutCorpus",
    "csj": "speechlm.corpora.csj:CsjCorpus",
    "reazonspeech": "speechlm.corpora.reazonspeech:ReazonspeechCorpus",
    "musan": "speechlm.corpora.musan:MusanCorpus",
    "tedlium": "speechlm.corpora.tedlium:TedliumCorpus",
    "swbd": "speechlm.corpora.swbd:SwbdCorpus",
    "fisher": "speechlm.corpora.fisher:FisherCorpus",
    "ami": "speechlm.corpora.ami:AmiCorpus",
    "librispeech": "speechlm.corpora.librispeech:LibrispeechCorpus",
}
