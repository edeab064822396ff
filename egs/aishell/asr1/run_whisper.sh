#!/usr/bin/env bash
# AISHELL-1: an LLM learns pinyin -> characters from text, then hears: Whisper, pooling, LoRA of its lowest layers (2409.16005).
#   ./run_whisper.sh --corpus_dir DIR --ngpu 1                           rows: none, pinyin, and the control without pinyin
#   ./run_whisper.sh --aux_text "news.txt.gz wiki.txt" --confs "whisper_pool_llama2_pinyin_aux10 whisper_pool_llama2_pinyin_aux100"
#   ./run_whisper.sh --stage 3 --confs "whisper_pool_qwen whisper_pool_qwen_pinyin"
# shellcheck disable=SC2086 # confs, aux_text and the options are words
set -euo pipefail
stage=0
stop_stage=6
cmd=run.pl           # or "slurm.pl --config conf/slurm.conf", "queue.pl"
nj=4
ngpu=1
corpus_dir=downloads
download=false
allow_partial=false  # accept another number of utterances than 120,098 / 14,326 / 7,176
confs="whisper_pool_llama2 whisper_pool_llama2_pinyin whisper_pool_llama2_lmonly"
aux_text=            # text files, a sentence or paragraph a line, for the rows _aux10 and _aux100
sets="dev test"      # that are decoded
compress=0           # of the cache: 0 is float32 (164 GB for large-v3), 3 half of it, 2 a quarter
whisper_options=     # as in "--encoder.checkpoint openai/whisper-small"
text_options=        # for stage 3, as in "--pinyin_noise.initial 0.1 --pinyin_noise.nasal 0.1"
train_options=       # for stage 4, as in "--llm.train_layers 0-9"
. ./path.sh
. utils/parse_options.sh
. ./cmd.sh
. utils/stages.sh

prepare() {
  local options=(--corpus_dir "$corpus_dir" --allow_partial "$allow_partial")
  if [ "$download" = true ]; then options+=(--download); fi
  steps/prepare.sh aishell data "${options[@]}"
}
texts() { # transcripts alone, and with 10 or 100 times as much other text where a row asks for it; then one list of units for all
  local times names="data/text" held="--transcripts data/train/text --held_out data/dev data/test"
  [ -f data/text/text ] || speechlm aux_text $held --out data/text
  for times in 10 100; do
    [[ $confs == *_aux$times* ]] || continue
    names="$names data/text_aux$times"
    [ -f data/text_aux$times/text ] || speechlm aux_text $held --sources $aux_text --times $times --out data/text_aux$times
  done
  steps/lexicon.sh --options=--noise_units data/lang_pinyin $names
}
text_models() {
  local name
  for name in $models; do
    steps/train.sh --cmd "$cuda_cmd" --ngpu "$ngpu" conf/$name.yaml exp/$name $text_options
  done
}
recognisers() {
  local name
  for name in $confs; do
    steps/train.sh --cmd "$cuda_cmd" --ngpu "$ngpu" conf/$name.yaml exp/$name $train_options
  done
}
decode() {
  local name
  for name in $confs; do
    steps/decode.sh --cmd "$decode_cmd" --nj "$nj" --ngpu "$((ngpu > 0))" exp/$name $decoded
  done
}
# whisper_pool_llama2_pinyin_aux10 begins with pinyin_llama2_aux10, whisper_pool_llama2_lmonly with pinyin_llama2_lmonly
models=$(for name in $confs; do sed -nE 's/^whisper_pool_([^_]*)_pinyin(.*)$/pinyin_\1\2/p; s/^whisper_pool_([^_]*_lmonly)$/pinyin_\1/p' <<< "$name"; done)
left=() decoded=$(printf 'data/whisper/%s ' $sets)
for name in $confs; do left+=("exp/$name"); done

stage 0 "Corpus -> data/train/wav.scp data/test/wav.scp" prepare
stage 1 "Whisper's outputs -> data/whisper/train/feats.scp data/whisper/encoder.json" steps/encode.sh --cmd "$cuda_cmd" \
  --nj "$((ngpu > 0 ? ngpu : nj))" --ngpu "$((ngpu > 0))" --compress "$compress" --options "$whisper_options" \
  conf/whisper_encoder.yaml data/whisper data/{train,dev,test}
stage 2 "Texts, lexicon, pinyin units -> data/text/leakage.json data/lang_pinyin/lexicon.txt" texts
if [ -n "$models" ]; then stage 3 "Text models: pinyin to characters ->$(printf ' exp/%s/model.safetensors' $models)" text_models; fi
stage 4 "Training ->$(printf ' %s/model.safetensors' "${left[@]}")" recognisers
stage 5 "Decoding -> ${left[-1]}/decode_*/text" decode
stage 6 "Scoring -> RESULTS.md" steps/score.sh --unit char --language zh data/whisper "${left[@]}"
