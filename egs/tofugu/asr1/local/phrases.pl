#!/usr/bin/env perl
# Cut readings of sentences at their commas into short phrases of hiragana, each once.
#   local/phrases.pl [SHORTEST LONGEST] < READINGS > data/phrases.txt
use strict;
use warnings;
use utf8;
use open qw(:std :encoding(UTF-8));
die "usage: local/phrases.pl [SHORTEST LONGEST] < READINGS\n" unless @ARGV == 0 || @ARGV == 2;
my ($shortest, $longest) = (@ARGV, 4, 20);
my %seen;
while (<STDIN>) {
    chomp;
    for (split /[、。,.!?？！\s]+/) {
        print "$_\n" if /^[\p{Hiragana}ー]+$/ && length >= $shortest && length() <= $longest && !$seen{$_}++;
    }
}
