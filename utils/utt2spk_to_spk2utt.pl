#!/usr/bin/env perl
# Turn lines "utterance speaker" into lines "speaker utterance utterance ...", in order of first appearance.
use strict;
use warnings;

if (@ARGV > 1 || (!@ARGV && -t STDIN) || grep { $_ eq '--help' } @ARGV) {
    print STDERR "Usage: utt2spk_to_spk2utt.pl [utt2spk] > spk2utt   (standard input without a file)\n";
    exit 1;
}
my ($name, $input) = ($ARGV[0] // 'standard input', \*STDIN);
if (@ARGV) { undef $input; open $input, '<', $name or die "utt2spk_to_spk2utt.pl: $name: $!\n" }
my (@speakers, %utterances, %seen);
while (my $line = <$input>) {
    my @words = split ' ', $line;
    @words == 2 or fail("expected 'utterance speaker', found " . @words . " words");
    my ($utterance, $speaker) = @words;
    $seen{$utterance}++ and fail("utterance $utterance occurs twice; remove one");
    push @speakers, $speaker unless $utterances{$speaker};
    push @{ $utterances{$speaker} }, $utterance;
}
print join(' ', $_, @{ $utterances{$_} }), "\n" for @speakers;
close STDOUT or die "utt2spk_to_spk2utt.pl: cannot write: $!\n";

sub fail { die "utt2spk_to_spk2utt.pl: $name:$.: $_[0]\n" }
