#!/usr/bin/env perl
# Run the jobs of a recipe on a GridEngine cluster; see queue.pl --help and utils/README.md.
use strict;
use warnings;
use Cwd 'realpath';
use File::Basename 'dirname';
use lib dirname(realpath(__FILE__)) . '/lib';
use JobCall qw(read_call seconds_of);
use JobQueue qw(run_on_queue ask);

my $default = <<'END';
command qsub -V -S /bin/bash
option mem=* -l mem_free=$0,ram_free=$0
option mem=0
option num_threads=* -pe smp $0
option num_threads=1
option gpu=* -l gpu=$0
option gpu=0
option time=* -l h_rt=$0
option max_jobs_run=* -tc $0
END

my $scheduler = {
    title       => 'GridEngine',
    kind        => 'gridengine',
    own         => {},
    array       => sub { my ($count) = @_; return ('-t', "1:$count") },
    names       => sub { my ($title, $log) = @_; return ('-terse', '-cwd', '-j', 'y', '-N', $title, '-o', $log) },
    task        => '${SGE_TASK_ID/undefined/1}',
    task_mark   => '.',
    submit_id   => sub { return $_[0] =~ /^(\d+)(?:\.\S*)?\s*$/m ? $1 : undef },
    states      => \&states,
    fates       => \&fates,
    why_waiting => \&why_waiting,
    cancel      => ['qdel'],
};

my $native = sub { return { '-V' => 0, '-cwd' => 0, '-notify' => 0, '-pe' => 2 }->{ $_[0] } // 1 };
my $code = eval { run_on_queue(call(), $scheduler) };
if (!defined $code) { print STDERR "queue.pl: $@"; $code = 1 }
exit $code;

sub call {
    my $call = read_call('queue.pl', { file => 'conf/queue.conf', text => $default }, $native, @ARGV);
    die "-sync is of no use here: queue.pl always waits for its jobs\n" if grep { $_ eq '-sync' } @{ $call->{native} };
    # GridEngine reads a plain number as seconds, and knows no days.
    my $options = $call->{options};
    $options->{time} = seconds_of($options->{time}) if defined $options->{time};
    return $call;
}

# Of every task that has not ended, its state.
sub states {
    my ($id) = @_;
    my %states;
    for my $line (split /\n/, ask('qstat', '-u', '*', '-g', 'd') // return) {
        my ($job, undef, undef, undef, $state, @rest) = split ' ', $line;
        next unless defined $state && $job eq $id;
        my $task = @rest && $rest[-1] =~ /^\d+$/ && @rest >= 4 + ($state =~ /[rt]/ ? 1 : 0) ? $rest[-1] : 1;
        $states{$task} = $state =~ /E/ ? ['stuck', "state $state: " . error_reason($id)] : [$state, ''];
    }
    return \%states;
}

sub error_reason {
    my ($id) = @_;
    return (ask('qstat', '-j', $id) // '') =~ /^error reason\s+\d*:\s*(.*)$/m ? $1 : 'no reason given';
}

# How tasks ended, as far as the accounting file can be read and tells more than an exit code.
sub fates {
    my ($id) = @_;
    my (%fates, $task);
    for my $line (split /\n/, ask('qacct', '-j', $id) // '') {
        $task = $1 =~ /^\d+$/ ? $1 : 1 if $line =~ /^taskid\s+(\S+)/;
        $fates{$task} = $1 if $task && $line =~ /^failed\s+([1-9]\d*\s*:.*?)\s*$/;
    }
    return \%fates;
}

sub why_waiting {
    my ($id) = @_;
    my $text = ask('qstat', '-j', $id) // '';
    return join '; ', map { s/^\s+|\s+$//gr } split /\n/, $1 if $text =~ /^scheduling info:\s*(\S.*)/ms && $1 !~ /^\(/;
    return join '; ', grep { /\S/ } split /\n\s*/, ask('sh', '-c', 'qalter -w v "$1" || :', 'sh', $id) // '';
}
