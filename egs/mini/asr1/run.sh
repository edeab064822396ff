#!/usr/bin/env bash
# Mandarin that is synthesised here: no download, some minutes on two CPU cores. The whole path on a small scale: a Conformer
# with CTC; a small LLM that learns pinyin -> characters; both joined by a bridge; beam search; scores and a report.
#   ./run.sh [--stage 0] [--stop_stage 6] [--cmd run.pl] [--nj 2] [--text_file TEXT]
# shellcheck disable=SC2086 # train_options are words
set -euo pipefail
stage=0
stop_stage=6
cmd=run.pl           # or "slurm.pl --config conf/slurm.conf", "queue.pl"
nj=2
text_file=           # one sentence a line instead of the built-in sentences
num_train=3200
num_dev=100
num_test=200
ctc=conformer_ctc
llm=speech_llm
train_options=       # for all trainings, as in "--train.seed 2 --optim.steps 100"
. ./path.sh
. utils/parse_options.sh
. ./cmd.sh
. utils/stages.sh

lang() {
  steps/tokens.sh --kind char --language zh data/train/text data/lang_char
  steps/tokens.sh --kind pinyin --language zh data/train/text data/lang_pinyin
  steps/tokens.sh --kind pinyin --language zh --options "--units initial_final --tones false" data/train/text data/lang_phone
}
text_model() {
  [ -f exp/llm_init/config.json ] ||
    speechlm make_llm --text data/train/text --out exp/llm_init --dim 192 --layers 4 --heads 4 --kv_heads 2 --ffn_dim 512
  steps/train.sh --cmd "$cuda_cmd" conf/pinyin_llm.yaml exp/pinyin_llm $train_options
  speechlm export exp/pinyin_llm --llm exp/pinyin_llm/llm
}
recogniser() {
  steps/train.sh --cmd "$cuda_cmd" conf/pinyin_ctc.yaml exp/pinyin_ctc $train_options
  steps/train.sh --cmd "$cuda_cmd" conf/$ctc.yaml exp/$ctc $train_options
  steps/train.sh --cmd "$cuda_cmd" conf/$llm.yaml exp/$llm --train.start_from "[exp/$ctc]" $train_options
}
decode() {
  for name in "$ctc" "$llm"; do steps/decode.sh --cmd "$decode_cmd" --nj "$nj" "exp/$name" data/dev data/test; done
}

stage 0 "Corpus -> data/train/wav.scp data/test/wav.scp" steps/prepare.sh mini data ${text_file:+--text_file "$text_file"} \
  --num_train "$num_train" --num_dev "$num_dev" --num_test "$num_test" --nj "$nj"
stage 1 "Features -> data/train/feats.scp data/train/cmvn.ark" \
  steps/features.sh --config "conf/$ctc.yaml" --cmd "$train_cmd" --nj "$nj" data/{train,dev,test}
stage 2 "Lexicon and units -> data/lang_char/tokens.txt data/lang_pinyin/tokens.txt" lang
stage 3 "Text model: pinyin to characters -> exp/pinyin_llm/llm/config.json" text_model
stage 4 "Training -> exp/$ctc/model.safetensors exp/$llm/model.safetensors" recogniser
stage 5 "Decoding -> exp/$llm/decode_test/text" decode
stage 6 "Scoring -> RESULTS.md" steps/score.sh --unit char --language zh data "exp/$ctc" "exp/$llm"
