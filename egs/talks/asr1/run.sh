#!/usr/bin/env bash
# 2309.04031 on a small scale: a Conformer-Transducer taught by the layers of a small BERT, none, some, with the text around, and
# by a second one. Chapters are read by synthesised voices, a sentence after the other; besides, real read sentences (speechocean).
#   ./run.sh --text_file TRANSCRIPTS --more_text "FILE FILE" --corpus_dir SPEECHOCEAN --lexicon CMUDICT [--stage 0] [--stop_stage 6]
# TRANSCRIPTS: lines of READER-CHAPTER-NUMBER WORDS, as LibriSpeech's. What all students begin with is learnt without a teacher, on other text
# in the same voices: the encoder by CTC, then the transducer over it.
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
num_small=160        # the smaller training set: the first chapters of the larger one, 8 minutes
num_dev=100
num_test=300
num_start=1100       # sentences with which the encoder starts
num_voices=6
bert="--dim 128 --layers 6 --steps 500 --mask 0.3"
bert2="--dim 128 --layers 3 --steps 400 --mask 0.3 --pieces 1200 --seed 2"
train_options=       # for what the students begin with
sweeps="kd kd_all"
sweep_options=       # for speechlm sweep, as in "--seeds 1 --optim.steps 100"
sets="train train_small dev test start_train start_dev speechocean_train speechocean_test"
. ./path.sh
. utils/parse_options.sh
. ./cmd.sh
. utils/stages.sh

dirs=()
for set in $sets; do dirs+=("data/$set"); done

prepare() {
  local voices=(--language en --num_voices "$num_voices" --nj "$nj") set
  steps/prepare.sh talks data --text_file "$text_file" --num_train "$num_train" --num_dev "$num_dev" --num_test "$num_test" "${voices[@]}"
  utils/subset_data_dir.sh --first data/train "$num_small" data/train_small
  cat $more_text > data/more.txt
  steps/prepare.sh mini data/start --text_file data/more.txt --num_train "$num_start" --num_dev 20 --num_test 1 "${voices[@]}"
  steps/prepare.sh speechocean data/speechocean --corpus_dir "$corpus_dir"
  for set in train test; do utils/copy_data_dir.sh "data/speechocean/$set" "data/speechocean_$set"; done
  for set in train dev; do utils/copy_data_dir.sh "data/start/$set" "data/start_$set"; done
}
lang() { # phones are learnt within minutes, letters and pieces of words were not; the references of the test sets are phones, too
  local set
  utils/combine_data.sh data/all data/{train,dev,test,start_train,speechocean_train,speechocean_test}
  steps/tokens.sh --kind phone --language en --options "--lexicon $lexicon" data/all/text data/lang_phone
  for set in test speechocean_test; do
    utils/copy_data_dir.sh "data/$set" "data/${set}_phones"
    speechlm units --tokens data/lang_phone --text "data/$set/text" --out "data/${set}_phones/text"
  done
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
start() {
  steps/train.sh --cmd "$cuda_cmd" --ngpu "$ngpu" conf/start_ctc.yaml exp/start_ctc $train_options
  steps/train.sh --cmd "$cuda_cmd" --ngpu "$ngpu" conf/start_real.yaml exp/start_real $train_options
  steps/train.sh --cmd "$cuda_cmd" --ngpu "$ngpu" conf/start_transducer.yaml exp/start_transducer $train_options
}
students() {
  for sweep in $sweeps; do
    speechlm sweep conf/sweep/$sweep.yaml --cmd "$cuda_cmd" --nj 1 --ngpu "$ngpu" --decode_nj "$nj" $sweep_options
  done
}

stage 0 "Corpora -> data/train/wav.scp data/start/train/wav.scp data/speechocean_test/wav.scp" prepare
stage 1 "Features -> data/train/feats.scp data/start_train/feats.scp" \
  steps/features.sh --config conf/start_ctc.yaml --cmd "$train_cmd" --nj "$nj" "${dirs[@]}"
stage 2 "Phones -> data/lang_phone/tokens.txt data/test_phones/text" lang
stage 3 "Teachers -> exp/bert/config.json exp/bert2/config.json" teachers
stage 4 "What students begin with -> exp/start_transducer/model.safetensors" start
stage 5 "Students, trained, decoded and scored (stages 4-6) -> RESULTS.md" students
