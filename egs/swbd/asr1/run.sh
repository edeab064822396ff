#!/usr/bin/env bash
# Switchboard, 300 hours of telephone conversations: a Conformer-Transducer, alone and taught by several representations of
# BERT (2309.04031). LDC's sets as they come: LDC97S62 and, for the tests, LDC2002S09, LDC2002T43, LDC2007S10.
#   ./run.sh --corpus_dir DIR [--more "DIR ..."] [--fisher_dirs "DIR ..."] [--stage 0] [--stop_stage 6] [--cmd run.pl]
# shellcheck disable=SC2086 # lists of names, folders and options are words
set -euo pipefail
stage=0
stop_stage=6
cmd=run.pl           # or "slurm.pl --config conf/slurm.conf", "queue.pl"
nj=16
ngpu=1
corpus_dir=          # LDC97S62 with swb_ms98_transcriptions (www.openslr.org/5), or a folder that holds all sets
more=                # further folders: transcripts, eval2000, RT-03
fisher_dirs=         # folders of Fisher (LDC2004S13, T19, LDC2005S13, T19): 2,000 h besides
sets="train dev eval2000 rt03"
dev_utterances=4000
confs="conformer_transducer conformer_transducer_kd_last conformer_transducer_kd_uniform2
  conformer_transducer_kd_uniform2_context conformer_transducer_kd_two_teachers"
train_options=       # for all trainings, as in "--train.seed 2 --optim.steps 100"
. ./path.sh
. utils/parse_options.sh
. ./cmd.sh
. utils/stages.sh

train="data/train${fisher_dirs:+ data/fisher}"
tests=
for set in $sets; do [ "$set" = train ] || tests+=" data/$set"; done
left=()
for conf in $confs; do left+=("exp/$conf"); done

prepare() {
  steps/prepare.sh swbd data --corpus_dir "$corpus_dir" ${more:+--more $more} --dev_utterances "$dev_utterances" --splits $sets
  [ -z "$fisher_dirs" ] || [ -f data/fisher/text ] ||
    speechlm prepare fisher --data data --corpus_dir ${fisher_dirs%% *} --more $fisher_dirs
}
recognisers() {
  for conf in $confs; do
    steps/train.sh --cmd "$cuda_cmd" --ngpu "$ngpu" "conf/$conf.yaml" "exp/$conf" --data.train "[${train// /, }]" $train_options
  done
}
decode() {
  for exp in "${left[@]}"; do steps/decode.sh --cmd "$decode_cmd" --nj "$nj" "$exp" $tests; done
}
score() {
  steps/score.sh --unit word --language en data "${left[@]}"
  for exp in "${left[@]}"; do # as NIST counts: stm, glm, and each kind of recording apart
    for set in $sets; do
      [ ! -f "data/$set/glm" ] || speechlm score_hub5 --data "data/$set" --decode "$exp/decode_$set"
    done
  done
}

stage 0 "LDC's sets -> data/train/wav.scp data/train/segments" prepare
stage 1 "Features -> data/train/feats.scp data/train/cmvn.ark" \
  steps/features.sh --config "conf/${confs%%[[:space:]]*}.yaml" --cmd "$train_cmd" --nj "$nj" $train $tests
stage 2 "Units -> data/lang_char/tokens.txt" steps/tokens.sh --kind char --language en data/train/text data/lang_char
stage 4 "Training -> ${left[-1]}/model.safetensors" recognisers
stage 5 "Decoding -> ${left[-1]}/decode_dev/text" decode
stage 6 "Scoring -> RESULTS.md" score
