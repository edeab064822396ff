#!/usr/bin/env bash
# TED-LIUM 3 (OpenSLR 51), English talks. Trained experiments of other recipes are tested out of domain; or a Conformer is trained here.
#   ./run.sh --corpus_dir DIR --exps "../../librispeech/asr1/exp/hubert_convmlp_vicuna_nset"    DIR holds TEDLIUM_release-3
#   ./run.sh --download true                                         50 GB; trains and tests conf/conformer_ctc.yaml
# shellcheck disable=SC2086 # exps, confs and options are words
set -euo pipefail
stage=0
stop_stage=6
cmd=run.pl           # or "slurm.pl --config conf/slurm.conf", "queue.pl"
nj=4
ngpu=1
corpus_dir=downloads
download=false
exps=                # trained experiments of other recipes
confs=conformer_ctc  # trained here where exps is empty
train_options=       # for all trainings, as in "--train.seed 2"
tuned=               # folder that `speechlm tune` made in the experiment, as tune_dev_tune; empty: options of the training
. ./path.sh
. utils/parse_options.sh
. ./cmd.sh
. utils/stages.sh

prepare() {
  local options=(--corpus_dir "$corpus_dir")
  if [ "$download" = true ]; then options+=(--download); fi
  if [ -n "$exps" ]; then options+=(--splits dev test); fi
  steps/prepare.sh tedlium data "${options[@]}"
}
left=()
for name in ${exps:-$confs}; do left+=("exp/$(basename "$name")"); done

stage 0 "Corpus -> data/dev/wav.scp data/test/wav.scp" prepare
if [ -n "$exps" ]; then
  stage 4 "Experiments of other recipes -> ${left[-1]}/model.safetensors" steps/borrow.sh $exps exp
else
  stage 1 "Features -> data/train/feats.scp data/train/cmvn.ark" \
    steps/features.sh --config "conf/${confs%%[[:space:]]*}.yaml" --cmd "$train_cmd" --nj "$nj" data/{train,dev,test}
  stage 2 "Units -> data/lang_bpe/tokens.txt" \
    steps/tokens.sh --kind bpe --language en --options "--size 500" data/train/text data/lang_bpe
  stage 4 "Training -> ${left[-1]}/model.safetensors" \
    steps/train_all.sh --cmd "$cuda_cmd" --ngpu "$ngpu" "$confs" $train_options
fi
stage 5 "Decoding -> ${left[-1]}/decode_test/text" steps/decode_all.sh --cmd "$decode_cmd" --nj "$nj" \
  --options="${exps:+--from_audio}" --tuned "$tuned" "${left[*]}" data/dev data/test
stage 6 "Scoring -> RESULTS.md" steps/score.sh --unit word --language en data "${left[@]}"
