#!/usr/bin/env perl
# Run the jobs of a recipe on this machine; see run.pl --help and utils/README.md.
use strict;
use warnings;
use Cwd 'realpath';
use File::Basename 'dirname';
my $lib;
BEGIN { $lib = dirname(realpath(__FILE__)) . '/lib' }
use lib $lib;
use POSIX qw(:sys_wait_h setpgid);
use JobCall qw(read_call command_of log_of seconds_of);
use JobLog qw(jobs_to_run make_log_dirs progress report say);

my $grace = 30;    # seconds between the request to stop and SIGKILL: time to save

my $stopped;
# What is ignored stays so: under nohup, or in the background of a script.
$SIG{$_} = sub { $stopped = shift } for grep { ($SIG{$_} // '') ne 'IGNORE' } qw(INT TERM HUP);
$SIG{CHLD} = sub { };    # interrupts the pause in the loop below

my $call = eval { read_call('run.pl', { file => '', text => '' }, undef, @ARGV) } or fail($@);
my $options = $call->{options};
my @todo    = jobs_to_run($call);
eval { make_log_dirs($call, @todo); 1 } or fail($@);
my $all   = @{ $call->{jobs} };
my $limit = $options->{time} ? seconds_of($options->{time}) : undef;
my @free_gpus = $options->{gpu} ? gpus($options->{gpu}) : ();
my $slots     = slots();
my (%running, %failed);    # process => {job, began, gpus, killed}; job => why
my $ended = $all - @todo;

while ((@todo || %running) && !$stopped) {
    start(shift @todo) while @todo && keys %running < $slots && !$stopped;
    my $news = 0;
    while ((my $process = waitpid -1, WNOHANG) > 0) { $news = end($process, $?) || $news }
    check_time($_) for values %running;
    progress($call, $ended, scalar keys %failed, $all) if $news;
    select undef, undef, undef, 0.1 if !$news && %running && !$stopped;
}
stop_all() if $stopped;
exit report($call, \%failed, $all);

sub fail { print STDERR "run.pl: $_[0]"; exit 1 }

# How many jobs at once: as many as asked for, or as the cores, the memory and the GPUs allow.
sub slots {
    return $options->{max_jobs_run} if $options->{max_jobs_run} && !@free_gpus;
    my $cores  = qx(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc 2>/dev/null) || 1;
    my @limits = ($options->{max_jobs_run} // $cores / ($options->{num_threads} // 1));
    push @limits, @free_gpus / $options->{gpu} if @free_gpus;
    if (($options->{mem} // '') =~ /^([\d.]+)([KMGT]?)$/i && $1 > 0) {
        my $asked = $1 * { K => 1, M => 2**10, '' => 2**10, G => 2**20, T => 2**30 }->{ uc $2 };
        push @limits, $1 / $asked if slurp('/proc/meminfo') =~ /^MemTotal:\s*(\d+)/m;
    }
    my ($least) = sort { $a <=> $b } @limits;
    return $least < 1 ? 1 : int $least;
}

sub slurp { my ($file) = @_; local $/; open my $input, '<', $file or return ''; return <$input> // '' }

# The GPUs of this machine; a recipe that asks for one also runs, slowly, where there is none.
sub gpus {
    my ($asked) = @_;
    my $visible = $ENV{CUDA_VISIBLE_DEVICES};
    my @gpus = defined $visible ? split /,/, $visible : map { m{(\d+)$} } glob '/dev/nvidia[0-9]*';
    fail("--gpu $asked: this machine has only " . @gpus . " GPU\n") if @gpus && @gpus < $asked;
    say($call, "--gpu $asked: this machine has no GPU, the jobs run without") unless @gpus;
    return @gpus;
}

sub start {
    my ($job) = @_;
    my @gpus = splice @free_gpus, 0, @free_gpus ? $options->{gpu} : 0;
    my $threads = $options->{num_threads} // ($all > 1 && !defined $ENV{OMP_NUM_THREADS} ? 1 : '-');
    pipe my $reader, my $writer or fail("pipe: $!\n");
    my $process = fork // fail("fork: $!\n");
    if (!$process) {
        setpgid(0, 0);
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP CHLD PIPE);
        $ENV{CUDA_VISIBLE_DEVICES} = join ',', @gpus if @gpus;
        close $writer;
        open STDIN, '<&', $reader or POSIX::_exit(1);
        exec $^X, "$lib/job.pl", log_of($call, $job), $threads, '-', $job, 'here' or POSIX::_exit(127);
    }
    setpgid($process, $process);
    close $reader;
    local $SIG{PIPE} = 'IGNORE';
    print $writer command_of($call, $job);
    close $writer;
    $running{$process} = { process => $process, job => $job, began => time, gpus => \@gpus };
}

sub end {
    my ($process, $status) = @_;
    my $run = delete $running{$process} or return 0;
    push @free_gpus, @{ $run->{gpus} };
    my $code = $status & 127 ? 128 + ($status & 127) : $status >> 8;
    if ($run->{killed}) { $failed{ $run->{job} } = "code $code, over the time limit $options->{time}" }
    elsif ($code)       { $failed{ $run->{job} } = "code $code" }
    $ended++;
    return 1;
}

sub check_time {
    my ($run) = @_;
    my $over = defined $limit ? time - $run->{began} - $limit : 0;
    if ($over > $grace) { kill -9, $run->{process} }
    return if $over <= 0 || $run->{killed}++;
    if (open my $log, '>>', log_of($call, $run->{job})) {
        print $log "# run.pl: over the time limit $options->{time}, stopped\n";
    }
    kill 'TERM', $run->{process};
}

# Ctrl-C and the like: ask the jobs to stop, then make them; at once if there is a second Ctrl-C.
sub stop_all {
    my $signal = $stopped;
    undef $stopped;
    say($call, "stopped by SIG$signal, stopping " . keys(%running) . ' running jobs; ' . @todo . ' were not started');
    kill 'TERM', keys %running;
    my @groups = keys %running;
    my $until  = time + $grace;
    while (%running && time < $until && !$stopped) {
        while ((my $process = waitpid -1, WNOHANG) > 0) { end($process, $?) }
        select undef, undef, undef, 0.1 if %running && !$stopped;
    }
    kill -9, @groups;    # also what a job left behind that has ended
    exit 128 + { HUP => 1, INT => 2, TERM => 15 }->{$signal};
}
