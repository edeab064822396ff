#!/usr/bin/env bash
# LoRA domain adaptation of a finished model to any corpus in Kaldi's form (CSJ in the paper, which its owner must have), with the
# price: error rates of target AND source domain, before and after (2312.03668).
#   ./adapt.sh --target_dir DIR --start hubert_conv_gpt --conf lora_adapt         DIR holds train, dev, test
#   ./adapt.sh --target_dir DIR --start hubert_conv_gpt --conf lora_adapt --tag _r32 --train_options "--llm.lora.rank 32"
# Recipes that offer it have a link to this file beside their run.sh.
# shellcheck disable=SC2086 # train_options are words
set -euo pipefail
stage=0
stop_stage=6
cmd=run.pl
nj=4
ngpu=1
target_dir=          # Kaldi data directories train, dev, test (wav.scp, text, utt2spk)
start=hubert_conv_gpt
conf=lora_adapt
source_sets="test"     # sets of the domain the model was trained on
tag=                 # after the name in exp/
train_options=
. ./path.sh
. utils/parse_options.sh
. ./cmd.sh
. utils/stages.sh

take_over() {
  local set
  for set in train dev test; do
    utils/validate_data_dir.sh --no-feats "$target_dir/$set"
    utils/copy_data_dir.sh "$target_dir/$set" data/target_$set
  done
}
sources=()
for set in $source_sets; do sources+=("data/$set"); done

stage 0 "Target domain -> data/target_train/wav.scp data/target_test/text" take_over
stage 4 "Adaptation -> exp/$conf$tag/model.safetensors" steps/train.sh --cmd "$cuda_cmd" --ngpu "$ngpu" \
  conf/$conf.yaml "exp/$conf$tag" --train.start_from "[exp/$start]" $train_options
stage 5 "Decoding before and after, both domains -> exp/$conf$tag/decode_target_test/text" steps/decode_all.sh \
  --cmd "$decode_cmd" --nj "$nj" --ngpu "$((ngpu > 0))" "exp/$start exp/$conf$tag" "${sources[@]}" data/target_test
stage 6 "Target won, source lost -> RESULTS.md" steps/adapt_report.sh --unit char --language ja \
  --source "$source_sets" --target target_test data "exp/$start" "exp/$conf$tag"
