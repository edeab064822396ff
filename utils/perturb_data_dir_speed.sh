#!/usr/bin/env bash
# Make a data directory in which everybody speaks FACTOR times as fast, by commands with sox in wav.scp.
# Usage: perturb_data_dir_speed.sh FACTOR SOURCE DESTINATION   (e.g. 0.9 data/train data/train_sp0.9)
# Utterances and speakers get the prefix "spFACTOR-". What reads the audio must have sox and --allow_pipes true;
# features.augment changes the speed during training without either.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib/datadir.sh
. "$(dirname "$(realpath "$0")")/lib/datadir.sh"
[[ $# == 3 ]] || usage
factor=$1 from=${2%/} to=${3%/}
[[ $factor =~ ^[0-9]*\.?[0-9]+$ && ! $factor =~ ^[0.]*$ ]] || fail "the factor must be a number above 0, not '$factor'"
awk -v f="$factor" 'BEGIN {exit f == 1}' || fail "with the factor 1 nothing changes; use copy_data_dir.sh"
need "$from/utt2spk" "$from/wav.scp"
[[ $(realpath "$from") != $(realpath -m "$to") ]] || fail "$to: source and destination are one folder"
export PRE=sp$factor-
export FACTOR=$factor

prefixed() { # the table on standard input with the prefix before the first word
  awk '{print ENVIRON["PRE"] $0}' | sort
}

# A wav.scp whose commands end with sox; the names of files are quoted for the shell.
faster() {
  perl -ne '
    chomp;
    my ($id, $rest) = split " ", $_, 2;
    my $end = "-t wav - speed $ENV{FACTOR} |";
    if ($rest =~ /\|\s*$/) { print "$id $rest sox -t wav - $end\n"; next }
    die "$id: audio inside of an archive ($rest); write it into files first\n" if $rest =~ /:\d+$/;
    my $type = $rest =~ /\.wav$/i ? "-t wav " : "";
    if ($rest =~ m{[^\w@%+=:,./-]}) { $rest =~ s/\x27/\x27\\\x27\x27/g; $rest = "\x27$rest\x27" }
    print "$id sox $type$rest $end\n";'
}

divided() { # the columns from $1 divided by the factor
  awk -v first="$1" '{
    for (i = first; i <= NF && i < first + 2; i++) if ($i > 0) $i = sprintf("%.4f", $i / ENVIRON["FACTOR"])
    print
  }'
}

begin_dir "$to"
awk '{print ENVIRON["PRE"] $1, ENVIRON["PRE"] $2}' "$from/utt2spk" | sort >"$_new/utt2spk"
"$_utils/utt2spk_to_spk2utt.pl" "$_new/utt2spk" | sort >"$_new/spk2utt"
faster <"$from/wav.scp" | prefixed >"$_new/wav.scp"
if [[ -f $from/segments ]]; then
  divided 3 <"$from/segments" | awk '{$2 = ENVIRON["PRE"] $2; print}' | prefixed >"$_new/segments"
fi
for name in utt2dur reco2dur; do
  [[ ! -f $from/$name ]] || divided 2 <"$from/$name" | prefixed >"$_new/$name"
done
for name in text utt2lang spk2gender spk2age reco2num_channels; do
  [[ ! -f $from/$name ]] || prefixed <"$from/$name" >"$_new/$name"
done
if [[ -f $from/utt2uniq ]]; then
  prefixed <"$from/utt2uniq" >"$_new/utt2uniq"
else
  awk '{print ENVIRON["PRE"] $1, $1}' "$from/utt2spk" | sort >"$_new/utt2uniq"
fi
finish_dir "$to"
validate_tables "$to"
command -v sox >/dev/null ||
  echo "${0##*/}: warning: there is no sox here, which $to/wav.scp needs; run tools/install_audio.sh" >&2
echo "${0##*/}: $to holds $(wc -l <"$to/utt2spk") utterances; pass --allow_pipes true to what reads their audio"
