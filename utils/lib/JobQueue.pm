# Submit the jobs of a call to a scheduler as one array, wait for them by their status files, and cancel them on Ctrl-C.
#
# The scheduler is asked only whether the jobs still exist, seldom: waiting costs it nothing, and a job that vanished
# (killed, cancelled, a dead node) or can never start does not make the call hang. A scheduler is a hash of
#   title, kind               its name for messages and for job.pl
#   own                       options that need no line in the configuration
#   names(title, log)      -> words that give the job its name and its log, and make it print the id
#   array(count, at_once)  -> words that make an array of tasks 1..count
#   task                      the shell's expression for the number of the task
#   submit_id(output)      -> the id in what the submission printed
#   states(id)             -> {task => [state, reason]} of tasks that wait or run; undef if it does not answer
#   fates(id)              -> {task => what the scheduler says of an ended task}
#   why_waiting(id)        -> why it has not started
#   cancel                    words that cancel, before the id
#   task_mark                 what stands between the id and the number of a task
package JobQueue;
use strict;
use warnings;
use Cwd 'getcwd';
use Exporter 'import';
use POSIX ();
use File::Basename qw(basename dirname);
use File::Temp 'tempdir';
use File::Path 'remove_tree';
use JobConfig 'submit_words';
use JobLog qw(end_log jobs_to_run make_log_dirs progress report say);
use JobCall qw(log_of quoted);

our @EXPORT_OK = qw(run_on_queue ask);

my $patience = 4;     # seconds that a status file may come after the job has left the queue (network file systems)
my $notice   = 30;    # seconds after which to tell why nothing has started

my $stopped;

# What a command prints, or undef if it fails or does not answer within a minute.
sub ask {
    my (@words) = @_;
    open my $output, '-|', 'sh', '-c', 'exec timeout 60 "$@" 2>&1', 'sh', @words or return;
    local $/;
    my $text = <$output>;
    return close $output ? $text // '' : undef;
}

# Run the call and give its exit status.
sub run_on_queue {
    my ($call, $scheduler) = @_;
    my $all  = @{ $call->{jobs} };
    my @jobs = jobs_to_run($call) or return 0;
    my @words = (submit_words($call->{config}, shown_options($call), $scheduler->{own}), @{ $call->{native} });
    make_log_dirs($call, @jobs);
    # What is ignored stays so: under nohup, or in the background of a script.
    $SIG{$_} = sub { $stopped //= shift } for grep { ($SIG{$_} // '') ne 'IGNORE' } qw(INT TERM HUP);
    my $queue = { call => $call, scheduler => $scheduler, jobs => \@jobs, all => $all, failed => {}, missing => {} };
    $queue->{left} = { map { $_ + 1 => $jobs[$_] } 0 .. $#jobs };    # task => job
    $queue->{dir} = make_dir($call, $jobs[0]);
    push @words, $scheduler->{array}->(scalar @jobs, $call->{options}{max_jobs_run}) if $call->{name};
    submit($queue, @words);
    if (!eval { wait_for_jobs($queue); 1 }) {
        ask(@{ $scheduler->{cancel} }, $queue->{id});
        die $@;
    }
    name_fates($queue) if %{ $queue->{failed} };
    my $code = report($call, $queue->{failed}, $all);
    $code ? show_scheduler_log($queue) : remove_tree($queue->{dir});
    return $code;
}

# The options that the configuration turns into words of the submission.
sub shown_options {
    my ($call) = @_;
    my %options = %{ $call->{options} };
    delete @options{qw(skip_done start_timeout)};
    return \%options;
}

# A folder beside the logs for the script and the status files of this call.
sub make_dir {
    my ($call, $job) = @_;
    my $parent = dirname(log_of($call, $job)) . '/q';
    mkdir $parent;
    my $name = basename($call->{log}, '.log');
    $name =~ s/\.?$call->{name}// if $call->{name};
    $name =~ s/[^\w.-]/_/g;
    $name =~ s/^(?![A-Za-z])/j/;    # GridEngine wants a letter
    $call->{title} = $name;
    my $dir = eval { tempdir("$name.XXXXXX", DIR => $parent) } or die "cannot write in $parent: $!\n";
    $dir = getcwd() . "/$dir" unless $dir =~ m{^/};
    chmod 0755, $dir;
    mkdir "$dir/status" or die "$dir/status: $!\n";
    return $dir;
}

sub submit {
    my ($queue, @words) = @_;
    my ($call, $scheduler) = @$queue{qw(call scheduler)};
    my $script = "$queue->{dir}/job.sh";
    open my $output, '>', $script or die "$script: $!\n";
    print $output script($queue);
    close $output or die "$script: $!\n";
    push @words, $scheduler->{names}->($call->{title}, "$queue->{dir}/scheduler.log"), $script;
    print_words("$queue->{dir}/submitted", @words);
    # In a process group of its own: Ctrl-C must not hit it between the submission and the answer with the id.
    my $process = open my $answer, '-|';
    defined $process or die "fork: $!\n";
    if (!$process) {
        setpgrp 0, 0;
        open STDERR, '>&', \*STDOUT;
        no warnings 'exec';
        exec @words or do { syswrite STDOUT, "$words[0]: $!\n"; POSIX::_exit(127) };
    }
    my $text = do { local $/; <$answer> } // '';
    my $done = close $answer;
    $queue->{id} = $done ? $scheduler->{submit_id}->($text) : undef;
    remove_tree($queue->{dir}) unless defined $queue->{id};
    defined $queue->{id} or die "the submission was refused: @words\n$text";
    $queue->{since} = time;
    print_words("$queue->{dir}/id", $queue->{id});
}

sub print_words {
    my ($file, @words) = @_;
    open my $output, '>', $file or die "$file: $!\n";
    print $output join(' ', map { quoted($_) } @words), "\n";
    close $output or die "$file: $!\n";
}

# The script that every task runs: it finds its job's number and hands over to job.pl.
sub script {
    my ($queue) = @_;
    my $call    = $queue->{call};
    my $threads = $call->{options}{num_threads} // ($queue->{all} > 1 ? '"${OMP_NUM_THREADS:-1}"' : '-');
    my $lib = quoted(dirname($INC{'JobQueue.pm'}));
    my ($name, $log, $command) = map { quoted($_ // '') } @$call{qw(name log command)};
    my ($cwd, $dir) = map { quoted($_) } getcwd(), $queue->{dir};
    return <<"END";
#!/bin/bash
cd $cwd || exit 1
jobs=(@{ $queue->{jobs} })
task=$queue->{scheduler}{task}
job=\${jobs[task - 1]}
name=$name
log=$log
command=$command
if [[ -n \$name ]]; then
  log=\${log//"\$name"/\$job}
  command=\${command//"\$name"/\$job}
fi
exec perl $lib/job.pl "\$log" $threads $dir/status "\$task" $queue->{scheduler}{kind} <<<"\$command"
END
}

sub wait_for_jobs {
    my ($queue) = @_;
    my ($pause, $check, $next) = (0.1, 2, time + 2);
    while (%{ $queue->{left} }) {
        stop($queue) if $stopped;
        my $news = read_status($queue);
        if (time >= $next && %{ $queue->{left} }) {
            check_jobs($queue);
            $check = %{ $queue->{missing} } ? 2 : 1.5 * $check > 30 ? 30 : 1.5 * $check;
            $next = time + $check;
        }
        $pause = $news ? 0.1 : $pause < 1 ? $pause * 1.2 : 1;
        select undef, undef, undef, $pause if %{ $queue->{left} } && !$stopped;
    }
}

# Note the jobs that have ended since the last look; gives how many.
sub read_status {
    my ($queue) = @_;
    opendir my $dir, "$queue->{dir}/status" or die "$queue->{dir}/status: $!\n";
    my @files = readdir $dir;
    $queue->{started} ||= grep { /^\d+\.start$/ } @files;
    my $news = 0;
    for my $task (map { /^(\d+)\.end$/ ? $1 : () } @files) {
        next unless exists $queue->{left}{$task};
        open my $input, '<', "$queue->{dir}/status/$task.end" or next;
        my $code = <$input> // next;
        chomp $code;
        end_task($queue, $task, $code ? "code $code" : undef);
        $news++;
    }
    return $news;
}

sub end_task {
    my ($queue, $task, $why) = @_;
    my $job = delete $queue->{left}{$task};
    delete $queue->{missing}{$task};
    $queue->{failed}{$job} = $why if defined $why;
    $queue->{task_of}{$job} = $task;
    my ($left, $failed, $all) = (scalar keys %{ $queue->{left} }, scalar keys %{ $queue->{failed} }, $queue->{all});
    progress($queue->{call}, $all - $left, $failed, $all);
}

# Ask the scheduler whether the jobs are still there, and whether they will start.
sub check_jobs {
    my ($queue) = @_;
    # Makes a network file system look into the folder anew.
    if (open my $file, '>', "$queue->{dir}/status/.look") { close $file; unlink "$queue->{dir}/status/.look" }
    my $states = $queue->{scheduler}{states}->($queue->{id});
    read_status($queue);
    if (!$states) {
        my $text = "$queue->{scheduler}{title} does not answer; waiting on for job $queue->{id}";
        say($queue->{call}, $text) if ++$queue->{silent} == 3;
        return;
    }
    $queue->{silent} = 0;
    for my $task (sort { $a <=> $b } keys %{ $queue->{left} }) {
        my ($state, $reason) = @{ $states->{$task} // [] };
        if (!defined $state) { lose_task($queue, $task) }
        elsif ($state eq 'stuck') {
            my $suffix = $queue->{call}{name} ? $queue->{scheduler}{task_mark} . $task : '';
            ask(@{ $queue->{scheduler}{cancel} }, $queue->{id} . $suffix);
            lose_task($queue, $task, $reason);
        }
        else { delete $queue->{missing}{$task} }
    }
    check_start($queue) if %{ $queue->{left} } && !$queue->{started};
}

# A task that left no status and is not in the queue has failed, once its status file has had time to appear.
sub lose_task {
    my ($queue, $task, $reason) = @_;
    my $since = $queue->{missing}{$task} //= time;
    return if !defined $reason && time - $since < $patience;
    my $job = $queue->{left}{$task};
    my $began;
    if (open my $input, '<', "$queue->{dir}/status/$task.start") { $began = <$input> }
    $reason //= $queue->{scheduler}{fates}->($queue->{id})->{$task} // 'killed or deleted';
    end_log($queue->{call}, $job, 137, "job $queue->{id}, task $task: $reason", defined $began ? $since - $began : 0);
    end_task($queue, $task, "code 137, $reason");
}

# Tell why nothing has started, and give up when the time for it is over.
sub check_start {
    my ($queue) = @_;
    my ($waited, $limit) = (time - $queue->{since}, $queue->{call}{options}{start_timeout} // 0);
    my $over = $limit && $waited >= $limit;
    return unless $over || $waited >= $notice;
    my $reason = $queue->{scheduler}{why_waiting}->($queue->{id}) || 'no reason given';
    if ($over) {
        ask(@{ $queue->{scheduler}{cancel} }, $queue->{id});
        my $text = "job $queue->{id} has not started within $limit seconds and was cancelled";
        fail($queue, "$text; $queue->{scheduler}{title} says: $reason");
    }
    return if $reason eq ($queue->{told} // '');
    say($queue->{call}, "job $queue->{id} has not started yet; $queue->{scheduler}{title} says: $reason");
    $queue->{told} = $reason;
}

sub fail {
    my ($queue, $text) = @_;
    say($queue->{call}, $text);
    remove_tree($queue->{dir});
    exit 1;
}

sub stop {
    my ($queue) = @_;
    my $signal = $stopped;
    undef $stopped;
    say($queue->{call}, "stopped by SIG$signal, cancelling job $queue->{id}");
    ask(@{ $queue->{scheduler}{cancel} }, $queue->{id});
    # Jobs that still write while they die must not meet those of the next call; a second Ctrl-C does not wait.
    for my $try (1 .. 60) {
        my $states = $queue->{scheduler}{states}->($queue->{id});
        last if $stopped || $states && !%$states;
        select undef, undef, undef, 0.5;
    }
    remove_tree($queue->{dir});
    exit 128 + { HUP => 1, INT => 2, TERM => 15 }->{$signal};
}

# Add what the scheduler knows of the failed jobs (TIMEOUT, CANCELLED, OUT_OF_MEMORY).
sub name_fates {
    my ($queue) = @_;
    my $fates = $queue->{scheduler}{fates}->($queue->{id});
    for my $job (keys %{ $queue->{failed} }) {
        my $fate = $fates->{ $queue->{task_of}{$job} } // next;
        $queue->{failed}{$job} .= ", $fate" unless $queue->{failed}{$job} =~ /,/;
    }
}

# What the scheduler itself wrote, if anything.
sub show_scheduler_log {
    my ($queue) = @_;
    open my $input, '<', "$queue->{dir}/scheduler.log" or return;
    my @lines = <$input> or return;
    splice @lines, 0, @lines - 5 if @lines > 5;
    say($queue->{call}, "$queue->{scheduler}{title} wrote into $queue->{dir}/scheduler.log:");
    print STDERR map { "    $_" } @lines;
}

1;
