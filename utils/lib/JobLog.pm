# The logs of jobs: which jobs are done already, how far a call is, and what failed.
package JobLog;
use strict;
use warnings;
use Exporter 'import';
use File::Basename 'dirname';
use File::Path 'make_path';
use POSIX qw(strftime uname);
use JobCall qw(command_of log_of);

our @EXPORT_OK = qw(date_of end_line end_log header_of jobs_to_run make_log_dirs progress report say);

sub say { my ($call, $text) = @_; print STDERR "\r\e[K" if -t STDERR; print STDERR "$call->{program}: $text\n" }

sub make_log_dirs {
    my ($call, @jobs) = @_;
    my %made;
    for my $dir (map { dirname(log_of($call, $_)) } @jobs) {
        next if $made{$dir}++ || -d $dir;
        make_path($dir, { error => \my $errors });
        my ($first) = map { values %$_ } @$errors;
        die "cannot make the folder $dir for the logs: $first\n" unless -d $dir;
    }
}

# The jobs of the call without those that are done, if they are to be skipped.
sub jobs_to_run {
    my ($call) = @_;
    my @jobs = @{ $call->{jobs} };
    return @jobs if ($call->{options}{skip_done} // 'false') eq 'false';
    my @left = grep { !is_done($call, $_) } @jobs;
    my ($skipped, $all) = (@jobs - @left, scalar @jobs);
    say($call, "$skipped of $all jobs skipped, their logs (" . stars($call) . ') say that they are done') if $skipped;
    return @left;
}

# Whether the log of a job begins with the same command and ends with code 0.
sub is_done {
    my ($call, $job) = @_;
    open my $input, '<', log_of($call, $job) or return 0;
    my ($header) = header_of(command_of($call, $job), 0) =~ /^(.*\n# Running on )/s;
    my $count = read $input, my $start, length $header;
    return 0 unless $count && $start eq $header;
    my $size = -s $input;
    seek $input, $size > 200 ? $size - 200 : 0, 0;
    local $/;
    return <$input> =~ /\n# Ended \(code 0\) at [^\n]*\n\z/;
}

sub stars { my ($call) = @_; return log_of($call, '*') }

sub progress {
    my ($call, $ended, $failed, $all) = @_;
    return unless -t STDERR && $all > 1;
    my $bad = $failed ? ", $failed failed" : '';
    print STDERR "\r\e[K$call->{program}: $ended / $all jobs ended$bad, logs are " . stars($call);
    print STDERR "\r\e[K" if $ended == $all;
}

sub date_of { my ($time) = @_; return strftime('%a %b %e %H:%M:%S %Z %Y', localtime $time) }

# How a log begins.
sub header_of {
    my ($command, $began) = @_;
    $command =~ s/\n/\n# /g;
    return "# $command\n# Running on " . (uname())[1] . cluster_job() . "\n# Started at " . date_of($began) . "\n#\n";
}

# The scheduler's number of the job that this process belongs to, to look it up with squeue, sacct or qacct.
sub cluster_job {
    if (my $id = $ENV{SLURM_ARRAY_JOB_ID} || $ENV{SLURM_JOB_ID}) {
        return ", Slurm job $id" . (defined $ENV{SLURM_ARRAY_TASK_ID} ? "_$ENV{SLURM_ARRAY_TASK_ID}" : '');
    }
    my $id = $ENV{SGE_O_HOST} && $ENV{JOB_ID} or return '';
    return ", GridEngine job $id" . ($ENV{SGE_TASK_ID} =~ /^\d+$/ ? ".$ENV{SGE_TASK_ID}" : '');
}

# How a log ends.
sub end_line {
    my ($code, $seconds) = @_;
    return "# Ended (code $code) at " . date_of(time) . ", elapsed time $seconds seconds\n";
}

# Complete the log of a job that could not do it itself.
sub end_log {
    my ($call, $job, $code, $text, $seconds) = @_;
    my $log = log_of($call, $job);
    open my $output, '>>', $log or return say($call, "$log: $!");
    print $output header_of(command_of($call, $job), time) unless -s $log;
    print $output "\n# $call->{program}: $text\n", end_line($code, $seconds);
    close $output or say($call, "$log: $!");
}

# Tell of the failed jobs ($failed: job => why) and give the exit status of the call.
sub report {
    my ($call, $failed, $all) = @_;
    my @jobs = sort { $a <=> $b } keys %$failed;
    return 0 unless @jobs;
    my $log = log_of($call, $jobs[0]);
    if ($call->{name}) {
        my %jobs_of;    # why => jobs
        push @{ $jobs_of{ $failed->{$_} } }, $_ for @jobs;
        my @reasons = sort { $jobs_of{$a}[0] <=> $jobs_of{$b}[0] } keys %jobs_of;
        say($call, @jobs . " / $all failed, log is in " . stars($call));
        say($call, 'failed jobs: ' . join '; ', map { ranges(@{ $jobs_of{$_} }) . " ($_)" } @reasons);
    } else { say($call, "job failed ($failed->{$jobs[0]}), log is in $log") }
    show_end($call, $log);
    note_for_stages(map { log_of($call, $_) } @jobs);
    return 1;
}

sub show_end {
    my ($call, $log) = @_;
    open my $input, '<', $log or return say($call, "there is no log $log");
    my $size = -s $input;
    seek $input, $size - 20000, 0 if $size > 20000;
    my @lines = <$input>;
    splice @lines, 0, @lines - 12 if @lines > 12;
    say($call, "the end of $log:");
    print STDERR map { chomp; (length > 300 ? '    ' . substr($_, 0, 300) . ' ...' : "    $_") . "\n" } @lines;
}

# run.sh repeats the names of these logs when a stage fails (see stages.sh).
sub note_for_stages {
    my @logs = @_;
    my $file = $ENV{FAILED_LOGS_TO} // return;
    open my $output, '>>', $file or return;
    print $output map { "$_\n" } @logs > 3 ? (@logs[0 .. 2], @logs - 3 . ' more') : @logs;
    close $output;
}

# 1,2,3,7 as "1-3,7"
sub ranges {
    my @runs;
    for my $job (@_) {
        if (@runs && $runs[-1][1] == $job - 1) { $runs[-1][1] = $job }
        else { push @runs, [$job, $job] }
    }
    return join ',', map { $_->[0] == $_->[1] ? $_->[0] : "$_->[0]-$_->[1]" } @runs;
}

1;
