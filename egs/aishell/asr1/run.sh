#!/usr/bin/env bash
# AISHELL-1 (OpenSLR 33), 178 hours of read Mandarin: the layers of a text LM as a CTC encoder (2409.17750), its controls, a Conformer.
#   ./run.sh --download true                                15 GB into downloads/, resumed where it broke off, checked by md5
#   ./run.sh --corpus_dir DIR                               DIR holds data_aishell
#   ./run.sh --stage 4 --confs "conv_ctc plm_ctc_frozen"    experiments of stages 4-6; plm_on_encoder_* need conformer_ctc
#   ./run.sh --stage 4 --plm Qwen/Qwen1.5-1.8B --tag _1.8b --confs plm_ctc_full --train_options "--encoder.dropout 0.5"
# All rows with three seeds, mean and spread, once stages 0-2 are done: speechlm sweep conf/sweep/paper_table.yaml
# shellcheck disable=SC2086 # confs and train_options are words
set -euo pipefail
stage=0
stop_stage=6
cmd=run.pl           # or "slurm.pl --config conf/slurm.conf", "queue.pl"
nj=8
ngpu=1
corpus_dir=downloads
download=false
allow_partial=false  # accept another number of utterances than 120,098 / 14,326 / 7,176
confs="conv_ctc plm_ctc_random_frozen plm_ctc_frozen plm_ctc_random_full plm_ctc_full plm_ctc_lora conformer_ctc
  plm_on_encoder_frozen plm_on_encoder_full"
plm=                 # another LM than that of the confs: name or folder
tag=                 # after the names of plm_* in exp/
train_options=       # for all trainings, as in "--train.seed 2"
. ./path.sh
. utils/parse_options.sh
. ./cmd.sh
. utils/stages.sh

prepare() {
  local options=(--corpus_dir "$corpus_dir" --allow_partial "$allow_partial")
  if [ "$download" = true ]; then options+=(--download); fi
  steps/prepare.sh aishell data "${options[@]}"
}
folder() { if [[ $1 == plm_* ]]; then echo "exp/$1$tag"; else echo "exp/$1"; fi; }
train() {
  local name options
  for name in "$@"; do
    options=$train_options
    if [ -n "$plm" ] && [[ $name == plm_* ]]; then options="--encoder.checkpoint $plm $options"; fi
    steps/train.sh --cmd "$cuda_cmd" --ngpu "$ngpu" conf/$name.yaml "$(folder $name)" $options
  done
}
decode() {
  local name
  for name in $confs; do steps/decode.sh --cmd "$decode_cmd" --nj "$nj" "$(folder $name)" data/dev data/test; done
}
form_a=() form_b=() left=()
for name in $confs; do
  left+=("$(folder $name)")
  if [[ $name == plm_on_encoder_* ]]; then form_b+=("$name"); else form_a+=("$name"); fi
done

stage 0 "Corpus -> data/train/wav.scp data/test/wav.scp" prepare
stage 1 "Features -> data/train/feats.scp data/train/cmvn.ark" \
  steps/features.sh --config "conf/${confs%%[[:space:]]*}.yaml" --cmd "$train_cmd" --nj "$nj" data/{train,dev,test}
stage 2 "Characters -> data/lang_char/tokens.txt" steps/tokens.sh --kind char --language zh data/train/text data/lang_char
# No stage 3: the text model comes trained, from Qwen's makers.
if ((${#form_a[@]})); then stage 4 "Training -> $(folder ${form_a[0]})/model.safetensors" train "${form_a[@]}"; fi
if ((${#form_b[@]})); then stage 4 "Training over the Conformer -> $(folder ${form_b[0]})/model.safetensors" train "${form_b[@]}"; fi
stage 5 "Decoding -> ${left[-1]}/decode_test/text" decode
stage 6 "Scoring -> RESULTS.md" steps/score.sh --unit char --language zh data "${left[@]}"
