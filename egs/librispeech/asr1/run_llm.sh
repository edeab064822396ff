#!/usr/bin/env bash
# LibriSpeech with a speech LLM (2406.17272): HuBERT-large, Conv1dMLP and Vicuna-7B; adapters on both sides; matching loss; a last
# pass with sound without words, against insertions. Out of domain: ../../tedlium/asr1, ../../commonvoice/asr1.
#   ./run_llm.sh --corpus_dir DIR --musan DIR [--esc50 DIR] [--rir_scp SCP] [--stage 0] [--stop_stage 6]
#   ./run_llm.sh --stage 4 --confs wavlm_qwen3_0.6b                    a small pair for one card; also whisper_qwen3_1.7b
#   ./run_llm.sh --stage 4 --grid true                                 {frozen, lora, full} encoder x LLM instead of the confs
# Checkpoints must hold safetensors. Of those that are published as pytorch_model.bin only (HuBERT-large, Vicuna) make a copy:
#   speechlm to_safetensors lmsys/vicuna-7b-v1.5 --out downloads/vicuna       a folder will do, too
# and give its folder: --train_options "--llm.checkpoint downloads/vicuna --encoder.checkpoint downloads/hubert".
# shellcheck disable=SC2086,SC2206,SC2046 # confs, sets, grids and options are words
set -euo pipefail
stage=0
stop_stage=6
cmd=run.pl           # or "slurm.pl --config conf/slurm.conf", "queue.pl"
nj=1                 # decoding jobs, each with a model of its own
ngpu=1
corpus_dir=downloads
download=false
hours=960
allow_partial=false
musan=               # sound without words: MUSAN's folder,
esc50=               # ESC-50's folder,
noise_scp=           # tables id -> path; none of the three: no data/nonspeech
nonspeech_options=   # as in "--hours 20 --seconds 1-20"
rir_scp=             # room responses for hubert_convmlp_vicuna_nset
confs="hubert_convmlp_vicuna hubert_convmlp_vicuna_lora_both hubert_convmlp_vicuna_match hubert_convmlp_vicuna_nset"
grid=false
train_options=       # for all trainings, as in "--train.seed 2"
test_sets="dev test_clean test_other nonspeech_test"
tune_grid="no_repeat_ngram=0,4,5,6 length_penalty=-0.5,0,0.5,1" # chosen on 200 utterances of dev; empty: as in the conf
. ./path.sh
. utils/parse_options.sh
. ./cmd.sh
. utils/stages.sh

prepare() {
  local options=(--corpus_dir "$corpus_dir" --hours "$hours" --allow_partial "$allow_partial") sounds=()
  if [ "$download" = true ]; then options+=(--download); fi
  steps/prepare.sh librispeech data "${options[@]}"
  if [ -n "$musan" ]; then sounds+=(--musan "$musan"); fi
  if [ -n "$esc50" ]; then sounds+=(--esc50 "$esc50"); fi
  if [ -n "$noise_scp" ]; then sounds+=(--noise_scp $noise_scp); fi
  if ((${#sounds[@]})); then steps/nonspeech.sh data "${sounds[@]}" $nonspeech_options; fi
  if [ -n "$rir_scp" ]; then steps/noise.sh "$rir_scp" data/rir.scp; fi
}
# How the two sides of one cell of the grid are trained, on top of hubert_convmlp_vicuna.yaml: ENCODER LLM
cell() {
  local how="--encoder.adapt $1 --llm.adapt $2"
  if [ "$1" = lora ]; then how+=" --encoder.lora.rank 8 --encoder.lora.alpha 16 --encoder.lora.layers 14-23"; fi
  if [ "$2" = lora ]; then how+=" --llm.lora.rank 16 --llm.lora.alpha 16"; fi
  if [ "$2" = full ]; then how+=" --llm.dtype float32 --train.recompute true"; fi
  if [ "$2" = full ] && ((ngpu > 1)); then how+=" --train.parallel fsdp"; fi
  echo "$how"
}
train() {
  local name options
  for name in $names; do
    if [ "$grid" = true ]; then
      IFS=_ read -r _ encoder llm <<< "$name"
      steps/train.sh --cmd "$cuda_cmd" --ngpu "$ngpu" conf/hubert_convmlp_vicuna.yaml exp/$name $(cell "$encoder" "$llm") $train_options
      continue
    fi
    options=$train_options
    if [[ $name == *_nset ]] && [ -s data/rir.scp ]; then options="--augment.reverb data/rir.scp $options"; fi
    steps/train.sh --cmd "$cuda_cmd" --ngpu "$ngpu" conf/$name.yaml exp/$name $options
  done
}
tune() {
  [ -d data/dev_tune ] || utils/subset_data_dir.sh data/dev "$(($(wc -l < data/dev/utt2spk) < 200 ? $(wc -l < data/dev/utt2spk) : 200))" data/dev_tune
  local name
  for name in $names; do
    if [ exp/$name/tune_dev_tune/best.yaml -nt exp/$name/model.safetensors ]; then continue; fi
    $decode_cmd --gpu "$((ngpu > 0))" exp/$name/log/tune.log \
      speechlm tune exp/$name --data data/dev_tune --grid $tune_grid --results RESULTS.md
  done
}
decode() {
  local name sets=() set options=
  for set in $test_sets; do if [ -d data/$set ]; then sets+=("data/$set"); fi; done
  for name in $names; do
    if [ -n "$tune_grid" ]; then options="--tuned exp/$name/tune_dev_tune/best.yaml"; fi
    steps/decode.sh --cmd "$decode_cmd" --nj "$nj" --ngpu "$((ngpu > 0))" --options "$options" exp/$name "${sets[@]}"
  done
}
names=$confs
if [ "$grid" = true ]; then names=$(printf 'grid_%s ' {frozen,lora,full}_{frozen,lora,full}); fi
left=()
for name in $names; do left+=("exp/$name"); done

stage 0 "Corpus -> data/train/wav.scp data/test_clean/wav.scp" prepare
# No stages 1-3: the encoders read waveforms, the LLM brings its tokens and its training.
stage 4 "Training -> ${left[-1]}/model.safetensors" train
if [ -n "$tune_grid" ]; then stage 5 "Tuning -> ${left[-1]}/tune_dev_tune/best.yaml" tune; fi
stage 5 "Decoding -> ${left[-1]}/decode_*/text" decode
stage 6 "Scoring -> RESULTS.md" steps/score.sh --unit word --language en data "${left[@]}"
