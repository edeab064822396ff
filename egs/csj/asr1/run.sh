#!/usr/bin/env bash
# CSJ, spontaneous Japanese (lectures, simulated public speaking), licensed by NINJAL and in the user's hands: HuBERT, a bridge and GPT
# (2312.03668) trained on it; or a model that was trained elsewhere adapted to it with LoRA, as in the paper, and what that costs there.
#   ./run.sh --corpus_dir DIR --ngpu 8                      DIR is the medium: MORPH/SDB and WAV, or dvd3/A01F0001 ...
#   ./run.sh --corpus_dir DIR --start ../../reazonspeech/asr1/exp/hubert_conv_gpt --sources "../../reazonspeech/asr1/data/test"
# shellcheck disable=SC2086,SC2046 # confs, sets and options are words
set -euo pipefail
stage=0
stop_stage=6
cmd=run.pl           # or "slurm.pl --config conf/slurm.conf", "queue.pl"
nj=8
ngpu=1
corpus_dir=
prepare_options=     # as in "--kinds A S M D --fillers false --dev_utterances 2000"
sets="dev eval1 eval2 eval3"
confs="hubert_ctc hubert_conv_gpt hubert_ctc_compress_gpt"
start=               # finished experiment that is adapted; empty: confs are trained from their checkpoints
adapt=lora_adapt     # how
sources=             # data directories of the domain that `start` was trained on, to see what is forgotten
train_options=       # for all trainings, as in "--train.seed 2"
llm_options=         # for those with an LLM, as in "--encoder.adapt frozen"
. ./path.sh
. utils/parse_options.sh
. ./cmd.sh
. utils/stages.sh

prepare() {
  steps/prepare.sh csj data --corpus_dir "$corpus_dir" $prepare_options
  local dir
  for dir in $sources; do utils/copy_data_dir.sh "$dir" "data/source_$(basename "$dir")"; done
}
adapt() {
  steps/borrow.sh "$start" exp
  steps/train.sh --cmd "$cuda_cmd" --ngpu "$ngpu" conf/$adapt.yaml exp/$adapt --train.start_from "[$before]" $train_options
}
left=()
for name in $confs; do left+=("exp/$name"); done
old_sets=$(for dir in $sources; do echo "source_$(basename "$dir")"; done)
if [ -n "$start" ]; then
  before=exp/$(basename "$start")
  left=("$before" "exp/$adapt")
  if [ -z "$sources" ]; then
    echo "run.sh: --start wants --sources, data directories of its own domain: an adaptation is told with its price" >&2
    exit 1
  fi
fi

stage 0 "Corpus -> data/train/wav.scp data/dev/wav.scp" prepare
# No stage 1: HuBERT reads the audio and is trained. No stage 3: the LLM comes trained.
stage 2 "Characters -> data/lang_char/tokens.txt" steps/tokens.sh --kind char --language ja data/train/text data/lang_char
if [ -n "$start" ]; then
  stage 4 "Adaptation -> ${left[-1]}/model.safetensors" adapt
else
  stage 4 "Training ->$(printf ' %s/model.safetensors' "${left[@]}")" \
    steps/train_all.sh --cmd "$cuda_cmd" --ngpu "$ngpu" --llm_options="$llm_options" "$confs" $train_options
fi
stage 5 "Decoding -> ${left[-1]}/decode_*/text" steps/decode_all.sh --cmd "$decode_cmd" --nj "$nj" --ngpu "$((ngpu > 0))" \
  "${left[*]}" $(printf 'data/%s ' $sets $old_sets)
if [ -n "$start" ]; then
  stage 6 "Target won, source lost -> RESULTS.md" steps/adapt_report.sh --unit char --language ja \
    --source "$old_sets" --target "$sets" data "${left[@]}"
else
  stage 6 "Scoring -> RESULTS.md" steps/score.sh --unit char --language ja data "${left[@]}"
fi
