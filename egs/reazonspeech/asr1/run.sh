#!/usr/bin/env bash
# ReazonSpeech, Japanese television: HuBERT, a bridge and GPT (2312.03668), and HuBERT with CTC alone. The corpus has no test set:
# held-out clips are development and test set; JSUT basic5000 and Common Voice join them where their folders are given.
#   ./run.sh --corpus_dir DIR --size small --ngpu 8         DIR holds tsv/small.tsv and data/000/*.flac (archives unpacked)
#   ./run.sh --corpus_dir DIR --jsut_dir DIR2 --commonvoice_dir DIR3/ja
#   ./adapt.sh --target_dir DIR                             then: LoRA adaptation to another domain, with its forgetting
# shellcheck disable=SC2086 # confs and the options are words
set -euo pipefail
stage=0
stop_stage=6
cmd=run.pl           # or "slurm.pl --config conf/slurm.conf", "queue.pl"
nj=8
ngpu=1
corpus_dir=
size=small           # tiny 8.5 h, small 100 h, medium 1,000 h, large 5,000 h, all 35,000 h
jsut_dir=            # holds jsut_ver1.1
commonvoice_dir=     # holds test.tsv and clips
num_held_out=2000    # clips for development and test, half each
confs="hubert_ctc hubert_conv_gpt hubert_ctc_compress_gpt"
train_options=       # for all trainings, as in "--train.seed 2"
llm_options=         # for those with an LLM, as in "--encoder.adapt frozen"
. ./path.sh
. utils/parse_options.sh
. ./cmd.sh
. utils/stages.sh

prepare() {
  steps/prepare.sh reazonspeech data --corpus_dir "$corpus_dir" --splits "$size"
  steps/hold_out.sh "data/$size" "$num_held_out"
  if [ -n "$jsut_dir" ]; then
    steps/prepare.sh jsut data/more/jsut --corpus_dir "$jsut_dir" --splits basic5000
    utils/copy_data_dir.sh data/more/jsut/basic5000 data/basic5000
  fi
  if [ -n "$commonvoice_dir" ]; then
    steps/prepare.sh commonvoice data/more/commonvoice --corpus_dir "$commonvoice_dir" --splits test
    utils/copy_data_dir.sh data/more/commonvoice/test data/commonvoice
  fi
}
sets="data/dev data/test${jsut_dir:+ data/basic5000}${commonvoice_dir:+ data/commonvoice}"
left=()
for name in $confs; do left+=("exp/$name"); done

stage 0 "Corpus -> data/train/wav.scp data/test/wav.scp" prepare
# No stage 1: HuBERT reads the audio and is trained. No stage 3: the LLM comes trained.
stage 2 "Characters -> data/lang_char/tokens.txt" steps/tokens.sh --kind char --language ja data/train/text data/lang_char
stage 4 "Training ->$(printf ' %s/model.safetensors' "${left[@]}")" \
  steps/train_all.sh --cmd "$cuda_cmd" --ngpu "$ngpu" --llm_options="$llm_options" "$confs" $train_options
stage 5 "Decoding -> ${left[-1]}/decode_test/text" steps/decode_all.sh --cmd "$decode_cmd" --nj "$nj" --ngpu "$((ngpu > 0))" \
  "${left[*]}" $sets
stage 6 "Scoring -> RESULTS.md" steps/score.sh --unit char --language ja data "${left[@]}"
