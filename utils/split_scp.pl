#!/usr/bin/env perl
# Split a table into parts of consecutive lines, as even as can be; with --utt2spk no speaker is torn apart.
use strict;
use warnings;

my $usage = <<'END';
Usage: split_scp.pl [--utt2spk=FILE] table part1 part2 ...
   or: split_scp.pl -j JOBS JOB [--one-based] [--utt2spk=FILE] table [part]
  --utt2spk=FILE  keep the utterances of a speaker together
  -j JOBS JOB     write only part JOB (from 0) of JOBS, by default to standard output; table - is standard input
  --one-based     JOB counts from 1
END

my ($utt2spk, $jobs, $job, $one_based);
while (@ARGV && $ARGV[0] =~ /^-./) {
    my $option = shift;
    if    ($option =~ /^--utt2spk=(.+)/)        { $utt2spk   = $1 }
    elsif ($option eq '--one-based')            { $one_based = 1 }
    elsif ($option eq '-j' && @ARGV >= 2)       { ($jobs, $job) = splice @ARGV, 0, 2 }
    elsif ($option eq '--help')                 { usage() }
    else { fail("no such option, or no value for it: $option") }
}
usage() if @ARGV < 1 || (defined $jobs ? @ARGV > 2 : @ARGV < 2);
my ($table, @parts) = @ARGV;
if (defined $jobs) {
    $jobs =~ /^[1-9]\d*$/ && $job =~ /^\d+$/ or fail("-j needs two whole numbers, not $jobs $job");
    $job -= $one_based ? 1 : 0;
    $job >= 0 && $job < $jobs or fail("-j: there is no job $job of $jobs (counted from 0)");
    my $part = $parts[0] // '-';
    @parts = (undef) x $jobs;
    $parts[$job] = $part;
}

my @groups = $utt2spk ? groups_by_speaker() : map { [$_] } read_lines($table);
my ($have, $what) = (scalar @groups, $utt2spk ? 'speakers' : 'lines');
$have >= @parts or fail("$table has $have $what, too few for " . @parts . ' parts; use fewer jobs');
my $first = 0;
for my $end ($utt2spk ? cut_by_size() : cut_evenly()) {
    my $part = shift @parts;
    write_part($part, map { @$_ } @groups[$first .. $end - 1]) if defined $part;
    $first = $end;
}

sub usage { print STDERR $usage; exit 1 }
sub fail  { die "split_scp.pl: $_[0]\n" }

sub read_lines {
    my ($file) = @_;
    my $input = \*STDIN;
    if ($file ne '-') { undef $input; open $input, '<', $file or fail("$file: $!") }
    my @lines = <$input>;
    $lines[-1] .= "\n" if @lines && $lines[-1] !~ /\n\z/;
    return @lines;
}

# The lines of each speaker, speakers in order of first appearance.
sub groups_by_speaker {
    my (%speaker, %group, @groups);
    for my $line (read_lines($utt2spk)) {
        my @words = split ' ', $line;
        @words == 2 or fail("$utt2spk: not of the form 'utterance speaker': $line");
        $speaker{ $words[0] } = $words[1];
    }
    for my $line (read_lines($table)) {
        my ($utterance) = split ' ', $line, 2;
        my $name = $speaker{ $utterance // '' } // fail("$table: no speaker in $utt2spk for the line: $line");
        push @groups, $group{$name} = [] unless $group{$name};
        push @{ $group{$name} }, $line;
    }
    return @groups;
}

# Where the parts end if sizes differ by one at most, the larger ones first.
sub cut_evenly {
    my ($size, $more) = (int(@groups / @parts), @groups % @parts);
    my $end = 0;
    return map { $end += $size + ($_ < $more) } 0 .. $#parts;
}

# Where the parts end if each ends at the speaker nearest to its even share; every part gets a speaker.
sub cut_by_size {
    my ($total, $sum, $end, @ends) = (0, 0, 0);
    $total += @$_ for @groups;
    for my $part (1 .. @parts) {
        my $share = $total * $part / @parts;
        my $last  = @groups - (@parts - $part);    # leave one speaker for each later part
        $sum += @{ $groups[ $end++ ] };
        while ($end < $last && abs($sum + @{ $groups[$end] } - $share) <= abs($sum - $share)) {
            $sum += @{ $groups[ $end++ ] };
        }
        push @ends, $end;
    }
    $ends[-1] = @groups;
    return @ends;
}

sub write_part {
    my ($file, @lines) = @_;
    my $output = \*STDOUT;
    if ($file ne '-') { undef $output; open $output, '>', $file or fail("$file: $!") }
    print $output @lines;
    close $output or fail("$file: cannot write: $!");
}
