#!/usr/bin/env bash
# HuBERT, a bridge and GPT (2312.03668) on a small scale: which bridge, what to freeze, LoRA to another domain and what it forgets.
# Source domain: synthesised phrases. Target domain: real words of two speakers (Tofugu). Transcripts are kana, of which a CPU
# learns 80 in minutes. READINGS: sentences in hiragana, one a line, as those of JSUT basic5000.
#   ./run.sh --corpus_dir DIR --readings READINGS [--stage 0] [--stop_stage 6] [--cmd run.pl] [--nj 2]
# shellcheck disable=SC2086 # options are words
set -euo pipefail
stage=0
stop_stage=6
cmd=run.pl
nj=2
ngpu=0
corpus_dir=
readings=
num_train=3200       # phrases that are spoken
num_held_out=160     # of them, for development and test of the source domain: the same voices, other phrases
num_voices=4
dim=144              # of the GPT
layers=3
train_options=       # for the text model and the encoder, as in "--optim.steps 100"
sweep_options=       # for speechlm sweep, as in "--seeds 1 --rows full lora"
. ./path.sh
. utils/parse_options.sh
. ./cmd.sh
. utils/stages.sh

words() { steps/prepare.sh tofugu data --corpus_dir "$corpus_dir" --reading; }
phrases() {
  local/phrases.pl < "$readings" > data/phrases.txt
  steps/prepare.sh mini data/spoken --language ja --text_file data/phrases.txt --num_train "$num_train" --num_dev 1 --num_test 1 \
    --num_voices "$num_voices" --noise 0 --nj "$nj"
  local/hold_out.sh data/spoken/train "$num_held_out" data/source
}
units() {
  steps/text.sh data/train/text data/phrases.txt data/unit_text
  steps/text.sh --held_out "data/source_dev data/source_test data/dev data/test" data/source_train/text data/phrases.txt data/lm_text
  steps/tokens.sh --kind char --language ja data/unit_text/text data/lang_char
}
pretrained() {
  [ -f exp/llm_init/config.json ] || speechlm make_llm --text data/unit_text/text --out exp/llm_init \
    --architecture gpt_neox --dim "$dim" --layers "$layers" --heads 4 --ffn_dim $((8 * dim / 3))
  [ -f exp/hubert_init/config.json ] || python local/make_hubert.py --out exp/hubert_init
  steps/train.sh --cmd "$cuda_cmd" --ngpu "$ngpu" conf/hubert_ctc.yaml exp/hubert_ctc $train_options
  for name in kana_llm kana_copy; do
    steps/train.sh --cmd "$cuda_cmd" --ngpu "$ngpu" conf/$name.yaml exp/$name --encoder.dim "$dim" $train_options
  done
  speechlm export exp/kana_copy --llm exp/kana_copy/llm
}
ablation() {
  speechlm sweep conf/sweep/ablation.yaml --cmd "$cuda_cmd" --nj 1 --ngpu "$ngpu" --decode_nj "$nj" $sweep_options
}
forgotten() {
  local sweep=exp/ablation after
  for after in "$sweep"/{full,lora,lora_adapt,lora_adapt_mix}-seed*; do
    [ ! -d "$after" ] || speechlm forgetting --before "$sweep/start-seed1" --after "$after" --source source_test --target test
  done
}

stage 0 "Real words -> data/train/wav.scp data/test/wav.scp" words
stage 0 "Synthesised phrases -> data/source_train/wav.scp data/source_test/wav.scp" phrases
stage 2 "Kana -> data/lang_char/tokens.txt data/lm_text/text" units
# No stage 1: HuBERT reads the audio.
stage 3 "The parts that come trained: GPT, HuBERT -> exp/kana_copy/llm/config.json exp/hubert_ctc/model.safetensors" pretrained
stage 4 "Bridges, freezing, LoRA, decoded and scored (stages 4-6) -> RESULTS.md" ablation
stage 6 "Target won, source lost -> RESULTS.md" forgotten
