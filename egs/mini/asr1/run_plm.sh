#!/usr/bin/env bash
# 2409.17750 on a small scale: the layers of a small LM that has read text serve as CTC encoder of speech, beside the same layers
# with random weights, no layers at all and a Conformer. Form B, PLM(Linear(Enc_ASR(X))), on characters; form A,
# PLM(Linear(Conv(X))), on initials and finals. Synthesised sentences, synthesised classical verses, real words (egs/hsk).
#   ./run_plm.sh --speech_text NEWS --poems POEMS --hsk_dir DIR [--lm_text "FILE FILE"] [--stage 0] [--stop_stage 6] [--nj 2]
# Texts: one sentence a line. Of what is not spoken, the LM reads nothing with five characters in a row of a held-out sentence.
# shellcheck disable=SC2086 # lm_text and the options are words
set -euo pipefail
stage=0
stop_stage=6
cmd=run.pl
nj=2
ngpu=0
speech_text=         # what is spoken, such as AISHELL-1's transcripts
poems=               # read by the LM; some verses, of characters that are spoken, make the second test set
hsk_dir=             # real words: they train too, and those of characters that are spoken make the third test set
lm_text=             # more text for the LM
num_chars=800        # only sentences of the most frequent characters are spoken: each is heard often
num_train=4200
num_test=200
num_verses=180
num_voices=20
dim=128
layers=6
form_b=plm_over      # plm_over_long: the same rows, trained three times as long
train_options=       # for the LM and the recogniser under form B, as in "--optim.steps 100"
sweep_options=       # for speechlm sweep, as in "--seeds 1 --optim.steps 100"
. ./path.sh
. utils/parse_options.sh
. ./cmd.sh
. utils/stages.sh
d=data/plm

corpus() {
  mkdir -p $d
  local/frequent.pl "$num_chars" "$speech_text" > $d/spoken.txt
  steps/prepare.sh mini $d --text_file $d/spoken.txt --num_train "$num_train" --num_dev 60 --num_test "$num_test" \
    --num_voices "$num_voices" --noise 0.3 --nj "$nj"
  local/verses.pl $d/train/text < "$poems" > $d/verses.txt
  steps/prepare.sh mini $d/verses --text_file $d/verses.txt --num_train 1 --num_dev 1 --num_test "$num_verses" --nj "$nj"
  steps/prepare.sh hsk $d/words --corpus_dir "$hsk_dir"
  steps/part.sh $d/verses/test $d/poems
  for pair in test:hsk train:hsk_train; do
    local/heard.pl $d/train/text < $d/words/${pair%:*}/text > $d/words/heard
    steps/part.sh --list $d/words/heard $d/words/${pair%:*} $d/${pair#*:}
  done
}
units() { # of characters; and data directories whose text is initials and finals, all words among them
  steps/tokens.sh --kind char --language zh $d/train/text $d/lang_char
  steps/tokens.sh --kind pinyin --language zh --options "--units initial_final --tones false" $d/train/text $d/lang_pinyin
  for set in train words/train dev test poems hsk; do
    out=$d/phone/${set%/train}
    steps/part.sh $d/$set "$out"
    speechlm units --tokens $d/lang_pinyin --text $d/$set/text --out "$out/text"
  done
  steps/tokens.sh --kind word --language none $d/phone/train/text $d/lang_phone
}
text_model() {
  speechlm aux_text --transcripts $d/train/text --held_out $d/dev $d/test $d/poems --ngram 5 \
    --sources "$speech_text" "$poems" $lm_text --out $d/train_text
  [ -f exp/plm_init/config.json ] ||
    speechlm make_llm --text $d/train_text/text --out exp/plm_init --dim "$dim" --layers "$layers" --heads 4 --ffn_dim $((3 * dim))
  steps/train.sh --cmd "$cuda_cmd" --ngpu "$ngpu" conf/text_lm.yaml exp/text_lm --encoder.dim "$dim" $train_options
  speechlm export exp/text_lm --llm exp/text_lm/llm
}
encoder() {
  steps/train.sh --cmd "$cuda_cmd" --ngpu "$ngpu" conf/plm_short.yaml exp/plm_short $train_options
  steps/train.sh --cmd "$cuda_cmd" --ngpu "$ngpu" conf/plm_phone.yaml exp/plm_phone $train_options
  steps/encode.sh --cmd "$cuda_cmd" --nj "$nj" --ngpu "$ngpu" exp/plm_phone $d/over $d/{train,hsk_train,dev,test,poems,hsk}
}
sweep() { speechlm sweep "conf/sweep/$1.yaml" --cmd "$cuda_cmd" --nj 1 --ngpu "$ngpu" --decode_nj "$nj" $sweep_options; }

stage 0 "Corpus -> $d/train/wav.scp $d/poems/wav.scp $d/hsk/wav.scp" corpus
stage 1 "Features -> $d/train/feats.scp $d/train/cmvn.ark" \
  steps/features.sh --config conf/plm_phone.yaml --cmd "$train_cmd" --nj "$nj" $d/{train,words/train,hsk_train,dev,test,poems,hsk}
stage 2 "Characters, initials and finals -> $d/lang_char/tokens.txt $d/lang_phone/tokens.txt" units
stage 3 "Text, and the LM that reads it -> exp/text_lm/llm/config.json" text_model
stage 4 "Encoder of form B, and its outputs once -> exp/plm_phone/model.safetensors $d/over/encoder.json" encoder
stage 5 "Form B, trained, decoded and scored -> RESULTS.md" sweep "$form_b"
stage 6 "Form A, trained, decoded and scored -> RESULTS.md" sweep plm
