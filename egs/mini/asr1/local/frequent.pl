#!/usr/bin/env perl
# Print the lines that are made of the N most frequent characters of a text file alone: a smaller corpus, each unit of it heard often.
#   local/frequent.pl 800 news.txt > spoken.txt
use strict;
use warnings;
use utf8;
use open qw(:std :encoding(UTF-8));
die "usage: local/frequent.pl N TEXT\n" unless @ARGV == 2 && $ARGV[0] =~ /^[1-9]\d*$/;
my ($number, $path) = @ARGV;
open my $text, '<', $path or die "local/frequent.pl: $path: $!\n";
my (@lines, %count);
while (<$text>) {
    chomp;
    push @lines, $_;
    $count{$_}++ for /\p{Script=Han}/g;
}
my @order = sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count;
splice @order, $number if @order > $number;
my %known = map { $_ => 1 } @order;
print map { "$_\n" } grep { length && !grep { !$known{$_} } split //, $_ } @lines;
