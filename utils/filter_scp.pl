#!/usr/bin/env perl
# Keep the lines of a table whose id is in a list (or with --exclude: is not).
use strict;
use warnings;

my $usage = <<'END';
Usage: filter_scp.pl [--exclude] [-f FIELD] id-list [table] > kept
  id-list    only the first word of each line counts, so any table can be the list
  table      standard input if absent or -
  --exclude  keep the lines that are not in the list
  -f FIELD   the id is this word of a line (from 1; default 1)
END

my ($exclude, $field) = (0, 1);
while (@ARGV && $ARGV[0] =~ /^-./) {
    my $option = shift;
    if    ($option eq '--exclude')                                { $exclude = 1 }
    elsif ($option eq '-f' && @ARGV && $ARGV[0] =~ /^[1-9]\d*$/) { $field   = shift }
    elsif ($option eq '-f')     { die "filter_scp.pl: -f needs the number of a word, from 1\n" }
    elsif ($option eq '--help') { print STDERR $usage; exit 1 }
    else                        { die "filter_scp.pl: no such option: $option\n" }
}
if (@ARGV < 1 || @ARGV > 2) { print STDERR $usage; exit 1 }
my ($list, $table) = (@ARGV, '-');

my %listed;
open my $ids, '<', $list or die "filter_scp.pl: $list: $!\n";
while (my $line = <$ids>) {
    my ($id) = split ' ', $line, 2;
    defined $id or die "filter_scp.pl: $list:$.: empty line; remove it\n";
    $listed{$id} = 1;
}
close $ids or die "filter_scp.pl: $list: $!\n";

my $input = \*STDIN;
if ($table ne '-') { undef $input; open $input, '<', $table or die "filter_scp.pl: $table: $!\n" }
while (my $line = <$input>) {
    my @words = split ' ', $line, $field + 1;
    @words >= $field or die "filter_scp.pl: $table:$.: the line has no word $field\n";
    print $line if ($listed{ $words[$field - 1] } // 0) != $exclude;
}
close STDOUT or die "filter_scp.pl: cannot write: $!\n";
