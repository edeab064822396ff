#!/usr/bin/env perl
# Keep the lines of a Kaldi text (standard input) all of whose characters stand in another Kaldi text.
#   local/heard.pl data/train/text < data/other/text > heard
use strict;
use warnings;
use utf8;
use open qw(:std :encoding(UTF-8));
die "usage: local/heard.pl TEXT < TEXT\n" unless @ARGV == 1;
open my $text, '<', $ARGV[0] or die "local/heard.pl: $ARGV[0]: $!\n";
my %known;
while (<$text>) {
    my (undef, $said) = split ' ', $_, 2;
    $known{$_} = 1 for split //, $said // '';
}
while (<STDIN>) {
    chomp;
    my (undef, $said) = split ' ', $_, 2;
    print "$_\n" if length($said // '') && !grep { !$known{$_} } split //, $said;
}
