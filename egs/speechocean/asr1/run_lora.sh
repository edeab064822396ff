#!/usr/bin/env bash
# 2406.17272 on a small scale: low-rank adapters on encoder and LLM, the matching loss, sound without words against insertions.
# An encoder, a small LLM and a bridge that are trained here stand for HuBERT, Vicuna and a trained Conv1dMLP.
#   ./run_lora.sh --corpus_dir DIR --noise_scp DIR/noise.scp --sentences_dir DIR [--digits_dir DIR] [--lm_text "FILE FILE"]
#     [--stage 0] [--stop_stage 6]
# sentences_dir: Kaldi data directories of other English sentences; digits_dir: spoken digits, for lora_nset; both only tested on.
# Data and models lie beside those of run.sh; the trained ones in exp/lora*.
# shellcheck disable=SC2046,SC2086 # sets, sweeps and options are words
set -euo pipefail
stage=0
stop_stage=6
cmd=run.pl
nj=2
ngpu=0
corpus_dir=
noise_scp=           # sounds without words, a Kaldi table id -> path
sentences_dir=       # holds data/<set> for each of
sentences_sets="en_jfk en_librispeech en_librivox en_ljspeech"
digits_dir=
num_digits=60        # of the digits' test set
lm_text=             # more English sentences, one a line, for the LLM and the synthesised speech
synth=2800           # sentences to be synthesised, of at most 60 letters
held_out=50          # more of them for development, and as many to test on
sweeps="lora_grid lora_nset"
train_options=       # for the trainings of the common start
sweep_options=       # for speechlm sweep, as in "--seeds 1"
. ./path.sh
. utils/parse_options.sh
. ./cmd.sh
. utils/stages.sh

prepare() {
  local set sets=()
  steps/prepare.sh speechocean data --corpus_dir "$corpus_dir"
  utils/subset_data_dir.sh data/test $(($(wc -l < data/test/utt2spk) / 2)) data/test_half
  steps/prepare.sh kaldi data/sentences_all --corpus_dir "$sentences_dir" --splits $sentences_sets
  for set in $sentences_sets; do sets+=("data/sentences_all/$set"); done
  utils/combine_data.sh data/sentences "${sets[@]}"
  if [ -n "$digits_dir" ]; then
    steps/prepare.sh fsdd data/digits_all --corpus_dir "$digits_dir"
    utils/subset_data_dir.sh data/digits_all/test "$num_digits" data/digits
  fi
  steps/nonspeech.sh data --noise_scp "$noise_scp" --seconds 1-4 --test_share 0.3
}
# Everything that is tested on, for a set of features or a text that must not be read before.
tests() {
  local set
  for set in data/test data/sentences data/digits; do if [ -d $set ]; then echo $set; fi; done
}
synthesise() {
  steps/text.sh --held_out "data/dev $(tests | tr '\n' ' ')" data/train/text "$lm_text" data/train_text
  cut -d ' ' -f 2- data/train_text/text | awk 'length <= 60' > data/short_sentences.txt
  steps/prepare.sh mini data/voices --text_file data/short_sentences.txt --language en --num_train "$synth" \
    --num_dev "$held_out" --num_test "$held_out" --num_voices 6 --noise 0 --nj "$nj"
  steps/features.sh --config conf/lora_ctc.yaml --cmd "$train_cmd" --nj "$nj" --options "--allow_upsample true" \
    data/{train,dev,test_half,nonspeech,nonspeech_test} data/voices/{train,dev} $(tests)
}
bases() {
  steps/train.sh --cmd "$cuda_cmd" --ngpu "$ngpu" conf/lora_voices_ctc.yaml exp/lora/voices_ctc $train_options
  steps/train.sh --cmd "$cuda_cmd" --ngpu "$ngpu" conf/lora_ctc.yaml exp/lora/ctc $train_options
  [ -f exp/lora/llm_init/config.json ] ||
    speechlm make_llm --text data/train_text/text --out exp/lora/llm_init --dim 160 --layers 3 --heads 4 --kv_heads 2 --ffn_dim 400
  steps/train.sh --cmd "$cuda_cmd" --ngpu "$ngpu" conf/lora_text.yaml exp/lora/text $train_options
  steps/train.sh --cmd "$cuda_cmd" --ngpu "$ngpu" conf/lora_text.yaml exp/lora/text_more --train.start_from "[exp/lora/text]" \
    --optim.steps 300 --train.valid_every 150 --optim.warmup 30 $train_options # the first 400 end amid the learning
  speechlm export exp/lora/text_more --llm exp/lora/text_more/llm
}
common_start() {
  steps/part.sh data/voices/train data/lora_voices # a name of its own in the cache
  steps/encode.sh --cmd "$train_cmd" --nj "$nj" --ngpu "$ngpu" exp/lora/ctc data/lora_cache data/{train,dev,lora_voices}
  steps/train.sh --cmd "$cuda_cmd" --ngpu "$ngpu" conf/lora_start.yaml exp/lora/start $train_options
  steps/train.sh --cmd "$cuda_cmd" --ngpu "$ngpu" conf/lora_start.yaml exp/lora/start_more --train.start_from "[exp/lora/start]" \
    --optim.steps 220 --train.valid_every 220 --optim.warmup 10 $train_options # as above
  speechlm export exp/lora/start_more --llm exp/lora/start_more/llm
}
sweep() {
  local name
  for name in $sweeps; do
    speechlm sweep conf/sweep/$name.yaml --cmd "$cuda_cmd" --nj 1 --ngpu "$ngpu" --decode_nj "$nj" $sweep_options
  done
}

stage 0 "Corpora -> data/train/wav.scp data/nonspeech_test/wav.scp" prepare
stage 1 "Synthesised speech and features -> data/voices/train/feats.scp data/nonspeech_test/feats.scp" synthesise
stage 2 "Units -> data/lang_char/tokens.txt" steps/tokens.sh --kind char --language en data/train_text/text data/lang_char
stage 3 "Encoder and LLM -> exp/lora/ctc/model.safetensors exp/lora/text_more/llm/config.json" bases
stage 3 "Common start -> exp/lora/start_more/llm/config.json" common_start
stage 4 "Tables: training, decoding, scoring (stages 4-6) -> RESULTS.md" sweep
