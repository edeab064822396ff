#!/usr/bin/env bash
# Spoken English digits, 8 kHz, the quickest check with real voices. Fetch the public repository
# (github.com/Jakobovski/free-spoken-digit-dataset) and give its folder.
#   ./run.sh --corpus_dir DIR [--stage 0] [--stop_stage 6] [--cmd run.pl] [--nj 2]
# shellcheck disable=SC2086 # train_options are words
set -euo pipefail
stage=0
stop_stage=6
cmd=run.pl
nj=2
corpus_dir=
ctc=conformer_ctc
llm=speech_llm
train_options=       # for all trainings, as in "--train.seed 2 --optim.steps 100"
. ./path.sh
. utils/parse_options.sh
. ./cmd.sh
. utils/stages.sh

text_model() {
  [ -f exp/llm_init/config.json ] ||
    speechlm make_llm --text data/train/text --out exp/llm_init --dim 96 --layers 2 --heads 4 --kv_heads 2 --ffn_dim 256
  steps/train.sh --cmd "$cuda_cmd" conf/lm.yaml exp/lm $train_options
  speechlm export exp/lm --llm exp/lm/llm
}
recogniser() {
  steps/train.sh --cmd "$cuda_cmd" conf/$ctc.yaml exp/$ctc $train_options
  steps/train.sh --cmd "$cuda_cmd" conf/$llm.yaml exp/$llm $train_options
}
decode() {
  for name in "$ctc" "$llm"; do steps/decode.sh --cmd "$decode_cmd" --nj "$nj" "exp/$name" data/test; done
}

stage 0 "Corpus -> data/train/wav.scp data/test/wav.scp" steps/prepare.sh fsdd data --corpus_dir "$corpus_dir"
stage 1 "Features -> data/train/feats.scp data/train/cmvn.ark" \
  steps/features.sh --config "conf/$ctc.yaml" --cmd "$train_cmd" --nj "$nj" data/{train,dev,test}
stage 2 "Units -> data/lang_word/tokens.txt" steps/tokens.sh --kind word --language en data/train/text data/lang_word
stage 3 "Text model -> exp/lm/llm/config.json" text_model
stage 4 "Training -> exp/$ctc/model.safetensors exp/$llm/model.safetensors" recogniser
stage 5 "Decoding -> exp/$llm/decode_test/text" decode
stage 6 "Scoring -> RESULTS.md" steps/score.sh --unit word --language en data "exp/$ctc" "exp/$llm"
