#!/usr/bin/env perl
# Run one job of run.pl, slurm.pl or queue.pl: job.pl LOG THREADS STATUS_DIR JOB WHERE <COMMAND
#
# The log gets a header, what the command prints, and a last line "# Ended (code N) at DATE, elapsed time N seconds".
# THREADS: for OMP_NUM_THREADS, - leaves it alone. STATUS_DIR: JOB.start (seconds since 1970) and, when all is written,
# JOB.end (the exit code) appear there; - for none. WHERE: here (run.pl), slurm or gridengine.
# Signals reach the whole process group, of which this script must be the leader; a command that gets SIGUSR1 before
# its time is up can save its work and exit with 99: on a cluster it is then run again, and its log goes on.
use strict;
use warnings;
use Cwd 'realpath';
use File::Basename 'dirname';
use lib dirname(realpath(__FILE__));
use POSIX ();
use IO::Handle;
use JobLog qw(date_of end_line header_of);

# A list "a; b" must not go on with b when a was told to stop; a signal that asks to save is for the programs only.
my $shell = <<'END';
trap '_code=$?; exit $((_code > 0 ? _code : 143))' TERM
trap : USR1 USR2
_command=$(cat <&3)
exec 3<&-
if [[ $1 != here && -f ./path.sh ]]; then . ./path.sh || exit; fi
[[ $2 == - ]] || export OMP_NUM_THREADS=$2
set --
set -o pipefail
eval "$_command"
END

my ($log, $threads, $status, $job, $where) = @ARGV;
my $command = do { local $/; <STDIN> } // '';
$command =~ s/\s+\z//;
my $began = time;
my $again = ($ENV{ { slurm => 'SLURM_RESTART_COUNT', gridengine => 'RESTARTED' }->{$where} // '' } // 0) && -s $log;
open my $output, $again ? '>>' : '>', $log or die "$log: $!\n";
$output->autoflush(1);
print $output $again ? '# Started again at ' . date_of($began) . "\n" : header_of($command, $began) or die "$log: $!\n";
tell_status('start', $began);

my $process = start();
my %passed;    # Slurm sends a signal twice; a second one could hit a program that is about to end
for my $signal (qw(TERM USR1 USR2)) {
    $SIG{$signal} = sub {
        return if time - ($passed{$signal} // 0) < 2;
        $passed{$signal} = time;
        local $SIG{$signal} = 'IGNORE';
        kill $signal, 0;
    };
}
waitpid $process, 0;
my $code = $? & 127 ? 128 + ($? & 127) : $? >> 8;
finish($code);

sub runs_before {
    open my $input, '<', $log or return 0;
    return scalar grep { /^# To be run again/ } <$input>;
}

sub tell_status {
    my ($name, $text) = @_;
    return if $status eq '-';
    my $file = "$status/$job.$name";
    open my $mark, '>', "$file.new" or die "$file: $!\n";
    print $mark "$text\n";
    close $mark or die "$file: $!\n";
    rename "$file.new", $file or die "$file: $!\n";
}

sub start {
    pipe my $reader, my $writer or die "pipe: $!\n";
    my $process = fork // die "fork: $!\n";
    if (!$process) {
        close $writer;
        open STDIN,  '<',  '/dev/null';
        open STDOUT, '>>', $log;
        open STDERR, '>&', \*STDOUT;
        POSIX::dup2(fileno $reader, 3);
        exec 'bash', '-c', $shell, 'bash', $where, $threads or POSIX::_exit(127);
    }
    close $reader;
    local $SIG{PIPE} = 'IGNORE';
    print $writer $command;
    close $writer;
    return $process;
}

sub finish {
    my ($code) = @_;
    my $seconds = time - $began;
    # Run again: Slurm must be told, GridEngine does it for code 99. Not for ever, in case the command always ends so.
    if ($code == 99 && $where ne 'here' && runs_before() < 100) {
        append('# To be run again (code 99) at ' . date_of(time) . ", elapsed time $seconds seconds\n");
        exit 99 if $where eq 'gridengine' || requeue();
    }
    my $used = $threads eq '-' ? 1 : $threads;
    append("# Accounting: time=$seconds threads=$used\n" . end_line($code, $seconds));
    tell_status('end', $code);
    # To GridEngine 99 means "run again" and 100 "keep in the queue for ever".
    exit($where eq 'gridengine' && $code ? 1 : $code);
}

# Text on a line of its own, whatever the command printed last.
sub append {
    my ($text) = @_;
    open my $end, '+>>', $log or die "$log: $!\n";
    my $last = "\n";
    seek($end, -1, 2) && read $end, $last, 1;
    seek $end, 0, 2;
    print $end $last ne "\n" ? "\n" : '', $text;
    close $end or die "$log: cannot write: $!\n";
}

# Tell Slurm to run this task again; it ends this run with SIGTERM.
sub requeue {
    $SIG{TERM} = 'IGNORE';
    my ($id, $array) = @ENV{qw(SLURM_JOB_ID SLURM_ARRAY_JOB_ID)};
    $id = "${array}_$ENV{SLURM_ARRAY_TASK_ID}" if defined $array;
    open STDOUT, '>>', $log;
    open STDERR, '>&', \*STDOUT;
    return system('scontrol', 'requeue', $id) == 0;
}
