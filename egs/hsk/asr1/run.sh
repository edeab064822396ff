#!/usr/bin/env bash
# Real Mandarin: words of the HSK lists, one speaker (audio-cmn, folder hsk). Pinyin error rate and CER.
#   ./run.sh --corpus_dir DIR [--stage 0] [--stop_stage 6] [--cmd run.pl] [--nj 2]
# shellcheck disable=SC2086 # train_options are words
set -euo pipefail
stage=0
stop_stage=6
cmd=run.pl
nj=2
corpus_dir=
lm_text=             # files of more Mandarin words or sentences, one a line, for the text model
pinyin=pinyin_ctc
ctc=conformer_ctc
llm=speech_llm
train_options=       # for all trainings, as in "--train.seed 2"
. ./path.sh
. utils/parse_options.sh
. ./cmd.sh
. utils/stages.sh

lang() {
  steps/text.sh --held_out "data/dev data/test" data/train/text "$lm_text" data/train_text
  steps/tokens.sh --kind char --language zh data/train/text data/lang_char
  steps/tokens.sh --kind pinyin --language zh --options "--units initial_final" data/train/text data/lang_phone
}
text_model() {
  [ -f exp/llm_init/config.json ] ||
    speechlm make_llm --text data/train_text/text --out exp/llm_init --dim 192 --layers 4 --heads 4 --kv_heads 2 --ffn_dim 512
  steps/train.sh --cmd "$cuda_cmd" conf/pinyin_llm.yaml exp/pinyin_llm $train_options
  speechlm export exp/pinyin_llm --llm exp/pinyin_llm/llm
}
recogniser() {
  for name in $pinyin $ctc $llm; do steps/train.sh --cmd "$cuda_cmd" conf/$name.yaml exp/$name $train_options; done
}
decode() {
  for name in $pinyin $ctc $llm; do steps/decode.sh --cmd "$decode_cmd" --nj "$nj" exp/$name data/dev data/test; done
}
score() {
  for set in dev test; do speechlm units --tokens data/lang_phone --text data/$set/text --out data/$set/text.phone; done
  steps/score.sh --unit word --ref text.phone --results "" data exp/$pinyin
  steps/score.sh --unit char --language zh data exp/$ctc exp/$llm
  speechlm results --out RESULTS.md exp/$pinyin exp/$ctc exp/$llm
}

stage 0 "Corpus -> data/train/wav.scp data/test/wav.scp" steps/prepare.sh hsk data --corpus_dir "$corpus_dir"
stage 1 "Features -> data/train/feats.scp data/train/cmvn.ark" \
  steps/features.sh --config "conf/$ctc.yaml" --cmd "$train_cmd" --nj "$nj" data/{train,dev,test}
stage 2 "Lexicon and units -> data/lang_char/tokens.txt data/lang_phone/tokens.txt" lang
stage 3 "Text model: pinyin to characters -> exp/pinyin_llm/llm/config.json" text_model
stage 4 "Training -> exp/$ctc/model.safetensors exp/$llm/model.safetensors" recogniser
stage 5 "Decoding -> exp/$llm/decode_test/text" decode
stage 6 "Scoring -> RESULTS.md" score
