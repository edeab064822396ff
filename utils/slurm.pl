#!/usr/bin/env perl
# Run the jobs of a recipe on a Slurm cluster; see slurm.pl --help and utils/README.md.
use strict;
use warnings;
use Cwd 'realpath';
use File::Basename 'dirname';
use lib dirname(realpath(__FILE__)) . '/lib';
use JobCall 'read_call';
use JobQueue qw(run_on_queue ask);

my $default = <<'END';
command sbatch --ntasks=1
option mem=* --mem=$0
option mem=0
option num_threads=* --cpus-per-task=$0
option gpu=* --gres=gpu:$0
option gpu=0
option time=* --time=$0
END

my $scheduler = {
    title       => 'Slurm',
    kind        => 'slurm',
    own         => { max_jobs_run => 1 },
    array       => sub { my ($count, $at_once) = @_; return "--array=1-$count" . ($at_once ? "%$at_once" : '') },
    names       => \&names,
    task        => '${SLURM_ARRAY_TASK_ID:-1}',
    task_mark   => '_',
    submit_id   => sub { return $_[0] =~ /^(\d+)(?:;\S*)?\s*\z/m ? $1 : undef },
    states      => \&states,
    fates       => \&fates,
    why_waiting => \&why_waiting,
    cancel      => ['scancel'],
};

my $native = sub { return 1 };    # -p gpu
my $code = eval {
    my $call = read_call('slurm.pl', { file => 'conf/slurm.conf', text => $default }, $native, @ARGV);
    run_on_queue($call, $scheduler);
};
if (!defined $code) { print STDERR "slurm.pl: $@"; $code = 1 }
exit $code;

sub names {
    my ($title, $log) = @_;
    $log =~ s/%/%%/g;    # to Slurm %j and the like stand for numbers
    return ('--parsable', '--open-mode=append', "--job-name=$title", "--output=$log");
}

# Of every task that has not ended, its state and the reason for it.
sub states {
    my ($id) = @_;
    my %states;
    my $text = ask('squeue', '--noheader', '--array', "--jobs=$id", '--format=%K|%T|%r') // return gone($id);
    for my $line (split /\n/, $text) {
        my ($task, $state, $reason) = split /\|/, $line, 3;
        next unless defined $reason;
        $state = 'stuck' if $state eq 'PENDING' && $reason =~ /requeued.held|MaxRequeue|DependencyNeverSatisfied/i;
        $states{ $task =~ /^\d+$/ ? $task : 1 } = [$state, $reason];
    }
    return \%states;
}

# squeue fails when the controller does not answer, and also when it has forgotten the job.
sub gone {
    my ($id) = @_;
    my $text = ask('sh', '-c', 'squeue --noheader --jobs="$1" || :', 'sh', $id) // '';
    return $text =~ /Invalid job id/ ? {} : undef;
}

# How tasks ended, as far as more can be said than their exit code.
sub fates {
    my ($id) = @_;
    my %fates;
    for my $try (1 .. 4) {
        my $text = ask('scontrol', 'show', 'job', '--oneliner', $id) // '';
        for my $line (split /\n/, $text) {
            my ($state) = $line =~ /\bJobState=(\w+)/ or next;
            my $task = $line =~ /\bArrayTaskId=(\d+)\b/ ? $1 : 1;
            $state = "killed by signal $1" if $state eq 'FAILED' && $line =~ /\bExitCode=\d+:([1-9]\d*)/;
            $fates{$task} = $state unless $state =~ /^(COMPLETED|FAILED|RUNNING|COMPLETING|PENDING)$/;
        }
        last unless $text =~ /\bJobState=(RUNNING|COMPLETING)\b/;
        select undef, undef, undef, 0.5;
    }
    return \%fates;
}

sub why_waiting {
    my ($id) = @_;
    my ($line) = split /\n/, ask('squeue', '--noheader', "--jobs=$id", '--format=%T (%r)') // '';
    return $line;
}
