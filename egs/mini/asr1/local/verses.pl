#!/usr/bin/env perl
# Print verses, each once: pairs of neighbours of a line, cut at punctuation, all of whose characters stand in a Kaldi text file.
#   local/verses.pl data/train/text < poems.txt > verses.txt
use strict;
use warnings;
use utf8;
use open qw(:std :encoding(UTF-8));
die "usage: local/verses.pl TEXT < POEMS\n" unless @ARGV == 1;
open my $text, '<', $ARGV[0] or die "local/verses.pl: $ARGV[0]: $!\n";
my (%known, %seen);
while (<$text>) {
    my (undef, $said) = split ' ', $_, 2;
    $known{$_} = 1 for split //, $said // '';
}
while (<STDIN>) {
    chomp;
    my @verses = grep { length } split /[^\p{Script=Han}]+/;
    while (my ($first, $second) = splice @verses, 0, 2) {
        my $both = $first . ($second // '');
        print "$both\n" if defined $second && !$seen{$both}++ && !grep { !$known{$_} } split //, $both;
    }
}
