#!/usr/bin/env bash
# A text-only data directory: the transcripts of a set and more sentences, one a line, each once.
#   steps/text.sh [--held_out "data/dev data/test"] data/train/text "SENTENCES ..."|"" data/train_text
# Sentences that stand in a held-out set, as letters and digits in a row, are left out, counted.
set -euo pipefail
held_out=
help_message=$(sed -n '2,4s/^# \{0,1\}//p' "$0")
. utils/parse_options.sh
if [ $# -ne 3 ]; then
  echo "$help_message" >&2
  exit 1
fi
mkdir -p "$3"
{
  cut -d ' ' -f 2- "$1"
  # shellcheck disable=SC2086 # several files
  [ -z "$2" ] || cat $2
} | LC_ALL=C sort -u > "$3/.all"
# shellcheck disable=SC2086 # several directories
for set in $held_out; do cut -d ' ' -f 2- "$set/text"; done > "$3/.held_out"
perl -CSDA -Mutf8 -e '
  my ($said, $held_out, $all) = @ARGV;
  sub key { my $line = lc shift; $line =~ s/[^\p{L}\p{M}\p{N}]//g; return $line }
  my (%held, $left, $n);
  open my $file, "<", $held_out or die "$held_out: $!\n";
  $held{key($_)} = 1 while <$file>;
  open $file, "<", $all or die "$all: $!\n";
  while (<$file>) {
    next unless /\S/;
    if ($held{key($_)}) { $left++; next }
    printf "text-%08d %s", ++$n, $_;
  }
  printf STDERR "steps/text.sh: %d sentences of held-out sets left out of %s/text\n", $left, $said if $left;
' "$3" "$3/.held_out" "$3/.all" > "$3/text.new"
rm "$3/.held_out" "$3/.all"
if cmp -s "$3/text.new" "$3/text"; then rm "$3/text.new"; else mv "$3/text.new" "$3/text"; fi # a newer file would make token lists anew
awk '{ print $1, "text" }' "$3/text" > "$3/utt2spk"
echo "steps/text.sh: $(wc -l < "$3/text") sentences in $3/text"
