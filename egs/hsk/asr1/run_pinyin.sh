#!/usr/bin/env bash
# 2409.16005 on a small scale: a small LLM learns pinyin -> characters from text before it hears. In the place of Whisper stands a
# Conformer that has learnt initials and finals; in that of AISHELL-1, synthesised phrases of its sentences in three amounts; beside
# them the real words.
#   ./run_pinyin.sh --speech_text NEWS --corpus_dir DIR [--lm_text "FILE FILE"] [--stage 0] [--stop_stage 6] [--cmd run.pl] [--nj 2]
# Texts: one sentence a line, cut into phrases of 4 to 8 characters. What shares 5 characters in a row with a phrase of development or
# test set, or is one, is in no text beside the transcripts.
# Data and models lie beside those of run.sh.
# shellcheck disable=SC2086 # lm_text and the options are words
set -euo pipefail
stage=0
stop_stage=6
cmd=run.pl
nj=2
ngpu=0
speech_text=         # what is spoken, such as AISHELL-1's transcripts
corpus_dir=          # the real words (run.sh)
lm_text=             # more text, such as THCHS-30, poems, word lists
num_chars=2000       # only phrases of the most frequent characters are spoken
num_encoder=5800     # phrases that the encoder learns from; the others are new to it
num_paired="2450 12250 49000" # phrases of paired speech, 1, 5 and 20 hours: small, middle, large, each holds the one before it
num_dev=200
num_test=600
shortest=4           # characters of a phrase
num_voices=4
num_generated=6000   # sentences made from templates, for the text side
dim=128
layers=4
encoder_options=     # for the encoder, as in "--optim.steps 100"
sweep_options=       # for speechlm sweep, as in "--seeds 1 --optim.steps 100"
. ./path.sh
. utils/parse_options.sh
. ./cmd.sh
. utils/stages.sh
d=data/pinyin
mini=../../mini/asr1/local

phrases() { # sentences -> whole words put together, $shortest characters or more, cut at punctuation
  python -c '
import sys
shortest = int(sys.argv[1])
from speechlm.text.pinyin import words
for line in sys.stdin:
    phrase = ""
    for word in [*words(line.strip()), None]:
        if word and word.known != "none":
            phrase += word.text
        if phrase and (not word or word.known == "none" or len(phrase) >= shortest):
            print(phrase)
            phrase = ""' "$shortest"
}
part() { # NAME FIRST LAST: the phrases of these numbers
  awk -v first="$2" -v last="$3" '{ n = $1; sub(/.*-/, "", n); if (n + 0 >= first && n + 0 <= last) print $1 }' $d/spoken/train/text > $d/.list
  steps/part.sh --list $d/.list $d/spoken/train "$d/$1"
}
corpus() {
  local small middle large end
  read -r small middle large <<< "$num_paired"
  end=$((num_encoder + large))
  mkdir -p $d
  phrases < "$speech_text" | sort -u > $d/phrases.txt
  $mini/frequent.pl "$num_chars" $d/phrases.txt |
    perl -CS -sne 'chomp; print "$_\n" if length >= $least && length() <= 8' -- -least="$shortest" > $d/spoken.txt
  steps/prepare.sh mini $d/spoken --text_file $d/spoken.txt --num_train $((end + num_dev + num_test)) --num_dev 1 --num_test 1 \
    --num_voices "$num_voices" --noise 0 --nj "$nj"
  part encoder 0 $((num_encoder - 1))
  part small "$num_encoder" $((num_encoder + small - 1))
  part middle "$num_encoder" $((num_encoder + middle - 1))
  part large "$num_encoder" $((end - 1))
  part dev "$end" $((end + num_dev - 1))
  part test $((end + num_dev)) $((end + num_dev + num_test - 1))
  steps/prepare.sh hsk $d/words --corpus_dir "$corpus_dir"
  for set in train test; do
    $mini/heard.pl $d/spoken/train/text < $d/words/$set/text > $d/words/heard
    steps/part.sh --list $d/words/heard $d/words/$set $d/words_$set
  done
}
texts() { # general: what the LLM has read before; small, middle, large: the transcripts; times10, all: more than those of small
  local held="--ngram 5 --held_out $d/dev $d/test $d/words/dev $d/words/test" set
  python -c 'import sys; from speechlm.corpora.mini_sentences import sentences; print(*sentences(int(sys.argv[1]), 1), sep="\n")' \
    "$num_generated" | cat - $lm_text | phrases > $d/more.txt
  speechlm aux_text --transcripts $d/encoder/text $held --sources $d/more.txt --shortest 2 --longest 8 --out $d/text_read
  $mini/heard.pl $d/spoken/train/text < $d/text_read/text > $d/.heard
  steps/part.sh --list $d/.heard $d/text_read $d/text_general
  cut -d ' ' -f 2- $d/text_general/text > $d/general.txt
  for set in small middle large; do speechlm aux_text --transcripts $d/$set/text $held --out $d/text_$set; done
  for set in times10:9 all:0; do
    speechlm aux_text --transcripts $d/small/text $held --sources $d/spoken.txt $d/general.txt --shortest 2 --longest 8 \
      --times ${set#*:} --out $d/text_${set%:*}
  done
  steps/lexicon.sh --options "--units initial_final --noise_units" $d/lang_pinyin $d/text_all $d/encoder
  steps/lexicon.sh --options=--noise_units $d/lang_syllable $d/text_all $d/encoder
  steps/lexicon.sh --options "--tones false" $d/lang_toneless $d/text_all $d/encoder
  [ -f exp/pinyin_init/config.json ] || speechlm make_llm --text $d/text_all/text $d/spoken/train/text --out exp/pinyin_init \
    --dim "$dim" --layers "$layers" --heads 4 --kv_heads 2 --ffn_dim $((3 * dim))
}
encoder() {
  for name in phone_start phone_encoder; do
    steps/train.sh --cmd "$cuda_cmd" --ngpu "$ngpu" conf/$name.yaml exp/$name $encoder_options
  done
  steps/encode.sh --cmd "$cuda_cmd" --nj "$nj" --ngpu "$ngpu" exp/phone_encoder $d/enc $d/{small,middle,large,dev,test,words_train,words_test}
}
sweep() {
  local name
  for name in "$@"; do
    speechlm sweep "conf/sweep/$name.yaml" --cmd "$cuda_cmd" --nj 1 --ngpu "$ngpu" --decode_nj "$nj" $sweep_options
  done
}

stage 0 "Corpus -> $d/spoken/train/wav.scp $d/words_test/wav.scp" corpus
stage 1 "Features -> $d/encoder/feats.scp $d/encoder/cmvn.ark" \
  steps/features.sh --config conf/phone_start.yaml --cmd "$train_cmd" --nj "$nj" $d/{encoder,small,middle,large,dev,test,words_train,words_test}
stage 2 "Texts, pinyin units, an LLM that knows nothing -> $d/text_all/leakage.json $d/lang_pinyin/tokens.txt" texts
stage 3 "Encoder, and its outputs once -> exp/phone_encoder/model.safetensors $d/enc/encoder.json" encoder
stage 4 "Text models and recognisers, decoded and scored (stages 4-6) -> RESULTS.md" sweep pinyin
stage 5 "The same with real words (stages 4-6) -> RESULTS.md" sweep pinyin_words
stage 6 "Tones, stride, layers, noise, bridges (stages 4-6) -> RESULTS.md" sweep pinyin_more
