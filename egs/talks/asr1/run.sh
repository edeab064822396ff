#!/usr/bin/env bash
# 2309.04031 on a small scale: a Conformer-Transducer taught by the layers of a small BERT, none, some, with the text around, and
# by a second one. Chapters are read by synthesised voices, a sentence after the other; besides, real read sentences (speechocean).
#   ./run.sh --text_file TRANSCRIPTS --more_text "FILE FILE" --corpus_dir SPEECHOCEAN --lexicon CMUDICT [--stage 0] [--stop_stage 6]
# TRANSCRIPTS: lines of READER-CHAPTER-NUMBER WORDS, as LibriSpeech's. The encoder starts with phones of other text and the same voices.
# shellcheck disable=SC2086 # more_text, sizes and options are words
set -euo pipefail
stage=0
stop_stage=6
cmd=run.pl
nj=2
ngpu=0
text_file=
more_text=           # running text that only the teachers and the encoder's start know
corpus_dir=          # speechocean762
lexicon=             # pronunciations of words
num_train=1900
num_small=475        # the smaller training set: the first chapters of the larger one
num_dev=100
num_test=300
num_start=1100       # sentences with which the encoder starts
units=200
num_voices=6
bert="--dim 128 --layers 6 --steps 1000"
bert2="--dim 128 --layers 3 --steps 800 --pieces 1200 --seed 2"
train_options=       # for the encoder's start
sweeps="kd kd_all"
sweep_options=       # for speechlm sweep, as in "--seeds 1 --optim.steps 100"
. ./path.sh
. utils/parse_options.sh
. ./cmd.sh
. utils/stages.sh

prepare() {
  local voices=(--language en --num_voices "$num_voices" --nj "$nj") set
  steps/prepare.sh talks data --text_file "$text_file" --num_train "$num_train" --num_dev "$num_dev" --num_test "$num_test" "${voices[@]}"
  utils/subset_data_dir.sh --first data/train "$num_small" data/train_small
  cat $more_text > data/more.txt
  steps/prepare.sh mini data/start --text_file data/more.txt --num_train "$num_start" --num_dev 20 --num_test 1 "${voices[@]}"
  steps/prepare.sh speechocean data/speechocean --corpus_dir "$corpus_dir"
  for set in train test; do utils/copy_data_dir.sh "data/speechocean/$set" "data/speechocean_$set"; done
}
lang() {
  utils/combine_data.sh data/heard data/train data/speechocean_train
  steps/tokens.sh --kind bpe --language en --options "--size $units" data/heard/text data/lang_bpe
  utils/combine_data.sh data/start/heard data/start/train data/speechocean_train
  steps/tokens.sh --kind phone --language en --options "--lexicon $lexicon" data/start/heard/text data/lang_phone
}
teachers() { # they read, in running order, all but the readers of the development and test set
  awk '{ reader = $1; sub(/-.*/, "", reader) } FILENAME != ARGV[ARGC - 1] { held[reader]; next } !(reader in held) { $1 = ""; print }' \
    data/{dev,test}/spk2utt "$text_file" > data/teacher.txt
  cut -d ' ' -f 2- data/dev/text > data/teacher_dev.txt
  cut -d ' ' -f 2- data/speechocean_train/text > data/teacher_more.txt
  local read="--text data/teacher.txt $more_text data/teacher_more.txt --held_out data/teacher_dev.txt"
  [ -f exp/bert/config.json ] || $cmd exp/log/bert.log speechlm make_masked_lm $read --out exp/bert $bert
  [ -f exp/bert2/config.json ] || $cmd exp/log/bert2.log speechlm make_masked_lm $read --out exp/bert2 $bert2
}
recognisers() {
  steps/train.sh --cmd "$cuda_cmd" --ngpu "$ngpu" conf/start_ctc.yaml exp/start_ctc $train_options
  for sweep in $sweeps; do
    speechlm sweep conf/sweep/$sweep.yaml --cmd "$cuda_cmd" --nj 1 --ngpu "$ngpu" --decode_nj "$nj" $sweep_options
  done
}

stage 0 "Corpora -> data/train/wav.scp data/start/train/wav.scp data/speechocean_test/wav.scp" prepare
stage 1 "Features -> data/train/feats.scp data/start/train/feats.scp" \
  steps/features.sh --config conf/transducer.yaml --cmd "$train_cmd" --nj "$nj" data/{train,train_small,dev,test,start/train,start/dev,speechocean_train,speechocean_test}
stage 2 "Units -> data/lang_bpe/tokens.txt data/lang_phone/tokens.txt" lang
stage 3 "Teachers -> exp/bert/config.json exp/bert2/config.json" teachers
stage 4 "Encoder's start, then all students, decoded and scored (stages 4-6) -> RESULTS.md" recognisers
