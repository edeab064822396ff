#!/usr/bin/env bash
# Read English by Mandarin speakers, children and adults (speechocean762, OpenSLR 101). Give the corpus' folder; noises, a
# Kaldi table id -> path (relative to its own folder), are optional.
#   ./run.sh --corpus_dir DIR [--noise_scp DIR/noise.scp] [--lm_text FILE] [--lexicon FILE] [--stage 0] [--stop_stage 6]
# shellcheck disable=SC2086 # train_options are words
set -euo pipefail
stage=0
stop_stage=6
cmd=run.pl
nj=2
corpus_dir=
noise_scp=           # noises that are added to the training speech
lm_text=             # more English sentences, one a line, for the text model and the synthesised speech
lexicon=             # pronunciations (the corpus' resource/lexicon.txt, cmudict); without one the encoder starts with letters
synth=3000           # sentences to be synthesised (English), on which the encoder learns first; 0 for none
ctc=conformer_ctc
llm=speech_llm
train_options=       # for all trainings, as in "--train.seed 2"
. ./path.sh
. utils/parse_options.sh
. ./cmd.sh
. utils/stages.sh

lang() {
  steps/noise.sh "$noise_scp" data/noise.scp
  steps/text.sh --held_out "data/dev data/test" data/train/text "$lm_text" data/train_text
  steps/tokens.sh --kind char --language en data/train_text/text data/lang_char
  if [ -n "$lexicon" ]; then
    steps/tokens.sh --kind phone --language en --options "--lexicon $lexicon" data/train_text/text data/lang_synth
  else
    steps/tokens.sh --kind char --language en data/train_text/text data/lang_synth
  fi
}
synthesise() {
  local dev
  cut -d ' ' -f 2- data/train_text/text > data/sentences.txt
  dev=$(awk 'END { print NR < 500 ? int(NR / 10) + 1 : 50 }' data/sentences.txt)
  steps/prepare.sh mini data/synth --text_file data/sentences.txt --language en --num_train "$synth" \
    --num_dev "$dev" --num_test 1 --nj "$nj"
  steps/features.sh --config "conf/$ctc.yaml" --cmd "$train_cmd" --nj "$nj" data/synth/{train,dev}
  steps/train.sh --cmd "$cuda_cmd" conf/synth_ctc.yaml exp/synth_ctc $train_options
}
text_model() {
  [ "$synth" = 0 ] || synthesise
  [ -f exp/llm_init/config.json ] ||
    speechlm make_llm --text data/train_text/text --out exp/llm_init --dim 192 --layers 4 --heads 4 --kv_heads 2 --ffn_dim 512
  steps/train.sh --cmd "$cuda_cmd" conf/lm.yaml exp/lm $train_options
  speechlm export exp/lm --llm exp/lm/llm
}
recogniser() {
  local noise=() from=()
  [ ! -s data/noise.scp ] || noise=(--augment.noise data/noise.scp)
  [ "$synth" = 0 ] ||
    from=(--train.start_from "[exp/synth_ctc]" --data.train "[data/train, data/synth/train]" --data.shares "[0.5, 0.5]")
  steps/train.sh --cmd "$cuda_cmd" conf/$ctc.yaml exp/$ctc ${noise[@]+"${noise[@]}"} ${from[@]+"${from[@]}"} $train_options
  steps/train.sh --cmd "$cuda_cmd" conf/$llm.yaml exp/$llm --train.start_from "[exp/$ctc]" $train_options
}
decode() {
  for name in "$ctc" "$llm"; do steps/decode.sh --cmd "$decode_cmd" --nj "$nj" "exp/$name" data/dev data/test; done
}

stage 0 "Corpus -> data/train/wav.scp data/test/wav.scp" steps/prepare.sh speechocean data --corpus_dir "$corpus_dir"
stage 1 "Features -> data/train/feats.scp data/train/cmvn.ark" \
  steps/features.sh --config "conf/$ctc.yaml" --cmd "$train_cmd" --nj "$nj" data/{train,dev,test}
stage 2 "Units -> data/lang_char/tokens.txt data/lang_synth/tokens.txt" lang
stage 3 "Synthesised speech and text model -> exp/lm/llm/config.json" text_model
stage 4 "Training -> exp/$ctc/model.safetensors exp/$llm/model.safetensors" recogniser
stage 5 "Decoding -> exp/$llm/decode_test/text" decode
stage 6 "Scoring -> RESULTS.md" steps/score.sh --unit word --language en data "exp/$ctc" "exp/$llm"
