#!/usr/bin/env perl
# Turn lines "speaker utterance utterance ..." into lines "utterance speaker".
use strict;
use warnings;

if (@ARGV > 1 || (!@ARGV && -t STDIN) || grep { $_ eq '--help' } @ARGV) {
    print STDERR "Usage: spk2utt_to_utt2spk.pl [spk2utt] > utt2spk   (standard input without a file)\n";
    exit 1;
}
my ($name, $input) = ($ARGV[0] // 'standard input', \*STDIN);
if (@ARGV) { undef $input; open $input, '<', $name or die "spk2utt_to_utt2spk.pl: $name: $!\n" }
my %seen;
while (my $line = <$input>) {
    my ($speaker, @utterances) = split ' ', $line;
    @utterances or fail("expected 'speaker utterance ...', found fewer than 2 words");
    for my $utterance (@utterances) {
        $seen{$utterance}++ and fail("utterance $utterance occurs twice; remove one");
        print "$utterance $speaker\n";
    }
}
close STDOUT or die "spk2utt_to_utt2spk.pl: cannot write: $!\n";

sub fail { die "spk2utt_to_utt2spk.pl: $name:$.: $_[0]\n" }
