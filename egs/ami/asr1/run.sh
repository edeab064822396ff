#!/usr/bin/env bash
# AMI, 80 hours of meetings on headset microphones, free to get: the stand-in for Switchboard where LDC's data are not at hand.
# A Conformer-Transducer, alone and taught by two layers of BERT, without and with the conversation around (2309.04031).
#   ./run.sh --corpus_dir DIR [--stage 0] [--stop_stage 6] [--cmd run.pl] [--nj 16]
# DIR holds the manual annotations (words, segments, corpusResources) and amicorpus/*/audio/*.Headset-?.wav.
# shellcheck disable=SC2086 # lists of names and options are words
set -euo pipefail
stage=0
stop_stage=6
cmd=run.pl           # or "slurm.pl --config conf/slurm.conf", "queue.pl"
nj=16
ngpu=1
corpus_dir=
allow_partial=false  # take part of the meetings
confs="conformer_transducer conformer_transducer_kd_uniform2 conformer_transducer_kd_uniform2_context"
train_options=       # for all trainings, as in "--train.seed 2 --optim.steps 100"
. ./path.sh
. utils/parse_options.sh
. ./cmd.sh
. utils/stages.sh

left=()
for conf in $confs; do left+=("exp/$conf"); done

recognisers() {
  for conf in $confs; do
    steps/train.sh --cmd "$cuda_cmd" --ngpu "$ngpu" "conf/$conf.yaml" "exp/$conf" $train_options
  done
}
decode() {
  for exp in "${left[@]}"; do steps/decode.sh --cmd "$decode_cmd" --nj "$nj" "$exp" data/dev data/test; done
}

stage 0 "Corpus -> data/train/wav.scp data/test/wav.scp" \
  steps/prepare.sh ami data --corpus_dir "$corpus_dir" --allow_partial "$allow_partial"
stage 1 "Features -> data/train/feats.scp data/train/cmvn.ark" \
  steps/features.sh --config "conf/${confs%%[[:space:]]*}.yaml" --cmd "$train_cmd" --nj "$nj" data/{train,dev,test}
stage 2 "Units -> data/lang_char/tokens.txt" steps/tokens.sh --kind char --language en data/train/text data/lang_char
stage 4 "Training -> ${left[-1]}/model.safetensors" recognisers
stage 5 "Decoding -> ${left[-1]}/decode_test/text" decode
stage 6 "Scoring -> RESULTS.md" steps/score.sh --unit word --language en data "${left[@]}"
