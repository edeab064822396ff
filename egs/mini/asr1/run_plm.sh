#!/usr/bin/env bash
# 2409.17750 on a small scale: a small LM that has read text serves as CTC encoder of synthesised speech, beside the same layers
# with random weights, convolutions alone and a Conformer; a general test set and one of classical verses. One sentence a line:
#   ./run_plm.sh --speech_text NEWS --poems POEMS [--lm_text "FILE FILE"] [--stage 0] [--stop_stage 6] [--cmd run.pl] [--nj 2]
# The LM never reads five characters in a row of a held-out sentence or verse. Data and models lie beside those of run.sh.
# shellcheck disable=SC2086 # lm_text and sweep_options are words
set -euo pipefail
stage=0
stop_stage=6
cmd=run.pl
nj=2
ngpu=0
speech_text=         # what is spoken, such as AISHELL-1's transcripts
poems=               # read by the LM; some verses, of characters that are spoken, make the second test set
lm_text=             # more text for the LM
num_train=6000
num_test=300
dim=256
layers=6
sweep_options=       # for speechlm sweep, as in "--seeds 1 --optim.steps 100"
. ./path.sh
. utils/parse_options.sh
. ./cmd.sh
. utils/stages.sh

prepare() {
  steps/prepare.sh mini data --text_file "$speech_text" --num_train "$num_train" --num_dev 100 --num_test "$num_test" --nj "$nj"
  local/verses.pl data/train/text < "$poems" > data/verses.txt
  steps/prepare.sh mini data/verses --text_file data/verses.txt --num_train 1 --num_dev 1 --num_test "$num_test" --nj "$nj"
  rm -rf data/poems
  utils/copy_data_dir.sh data/verses/test data/poems
}
text() {
  speechlm aux_text --transcripts data/train/text --held_out data/dev data/test data/poems --ngram 5 \
    --sources "$poems" $lm_text --out data/train_text
  speechlm make_llm --text data/train_text/text --out exp/plm_init --dim "$dim" --layers "$layers" --heads 4 --ffn_dim $((3 * dim))
}

stage 0 "Corpus -> data/train/wav.scp data/poems/wav.scp" prepare
stage 1 "Features -> data/train/feats.scp data/train/cmvn.ark" \
  steps/features.sh --config conf/conformer_ctc.yaml --cmd "$train_cmd" --nj "$nj" data/{train,dev,test,poems}
stage 2 "Characters -> data/lang_char/tokens.txt" steps/tokens.sh --kind char --language zh data/train/text data/lang_char
stage 3 "Text of the LM -> data/train_text/text exp/plm_init/config.json" text
stage 4 "LM and recognisers, decoded and scored (stages 4-6) -> RESULTS.md" \
  speechlm sweep conf/sweep/plm.yaml --cmd "$cuda_cmd" --nj 1 --ngpu "$ngpu" --decode_nj "$nj" $sweep_options
