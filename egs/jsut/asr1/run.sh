#!/usr/bin/env bash
# JSUT basic5000, Japanese sentences of one speaker (1711.00354): HuBERT, a bridge and GPT (2312.03668), and HuBERT with CTC alone.
# The paper trains on ReazonSpeech and tests on basic5000; here the last 500 sentences are development and test set.
#   ./run.sh --corpus_dir DIR --ngpu 8                      DIR holds jsut_ver1.1
#   ./run.sh --corpus_dir DIR --confs "hubert_ctc hubert_conv_gpt_small hubert_ctc_compress_gpt_small"
#   ./adapt.sh --target_dir DIR                             then: LoRA adaptation to another domain, with its forgetting
# shellcheck disable=SC2086,SC2046 # confs and train_options are words
set -euo pipefail
stage=0
stop_stage=6
cmd=run.pl           # or "slurm.pl --config conf/slurm.conf", "queue.pl"
nj=4
ngpu=1
corpus_dir=
num_held_out=500     # sentences for development and test, half each
sets="dev test"      # that are decoded
confs="hubert_ctc hubert_conv_gpt hubert_ctc_compress_gpt"
train_options=       # for all trainings, as in "--train.seed 2"
llm_options=         # for those with an LLM, as in "--losses.1.weight 0.3" or "--encoder.adapt frozen"
. ./path.sh
. utils/parse_options.sh
. ./cmd.sh
. utils/stages.sh

prepare() {
  steps/prepare.sh jsut data --corpus_dir "$corpus_dir" --splits basic5000
  steps/hold_out.sh data/basic5000 "$num_held_out"
}
left=()
for name in $confs; do left+=("exp/$name"); done

stage 0 "Corpus -> data/train/wav.scp data/test/wav.scp" prepare
# No stage 1: HuBERT reads the audio and is trained. No stage 3: the LLM comes trained.
stage 2 "Characters -> data/lang_char/tokens.txt" steps/tokens.sh --kind char --language ja data/train/text data/lang_char
stage 4 "Training ->$(printf ' %s/model.safetensors' "${left[@]}")" \
  steps/train_all.sh --cmd "$cuda_cmd" --ngpu "$ngpu" --llm_options="$llm_options" "$confs" $train_options
stage 5 "Decoding -> ${left[-1]}/decode_*/text" steps/decode_all.sh --cmd "$decode_cmd" --nj "$nj" --ngpu "$((ngpu > 0))" \
  "${left[*]}" $(printf 'data/%s ' $sets)
stage 6 "Scoring -> RESULTS.md" steps/score.sh --unit char --language ja data "${left[@]}"
