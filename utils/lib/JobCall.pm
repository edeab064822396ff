# What run.pl, slurm.pl and queue.pl are asked to do: options, jobs, log and command of one call.
package JobCall;
use strict;
use warnings;
use Exporter 'import';
use JobConfig 'read_config';

our @EXPORT_OK = qw(read_call command_of log_of quoted seconds_of);

my $usage = <<'END';
Usage: %s [options] [JOB=FIRST:LAST] LOG COMMAND...
 e.g.: %s --mem 4G JOB=1:4 exp/log/count.JOB.log wc -l data/split4/JOB/text
JOB is replaced by the number of the job in the log's name and in the command. A word of the command is passed on as it
is, except a lone |  ||  |&  &&  ;  &  (  )  {  }  !  <  >  >> and >FILE, 2>&1 and the like, which are for the shell
that runs the job; a single word is a whole shell command: %s LOG 'sort a | uniq > b'.

  --num-threads N      threads of one job (default 1 if there are several jobs)
  --mem SIZE           memory of one job, such as 4G
  --gpu N              GPUs of one job
  --time LIMIT         stop a job after MINUTES, M:S, H:M:S or DAYS-HOURS[:M[:S]]
  --max-jobs-run N     jobs at the same time
  --skip-done true     leave out jobs whose log tells of the same command and ends with code 0
  --start-timeout N    give up if no job has started after N seconds (default 0: wait for ever)
  --config FILE        defaults of options and, for a scheduler, how to submit
END

my %rule = (
    num_threads   => [qr/^[1-9]\d*$/,          'a whole number from 1'],
    mem           => [qr/^\d+(\.\d+)?[KMGT]?$/i, 'a size such as 4G'],
    gpu           => [qr/^\d+$/,               'a whole number'],
    time          => [qr/^(\d+-)?\d+(:\d+){0,2}$/, 'MINUTES, M:S, H:M:S or DAYS-HOURS[:M[:S]]'],
    max_jobs_run  => [qr/^[1-9]\d*$/,          'a whole number from 1'],
    skip_done     => [qr/^(true|false)$/,      'true or false'],
    start_timeout => [qr/^\d+$/,               'a whole number of seconds'],
);

# $default: {file, text} of the configuration; $native: how many values an option with a single dash has, or undef.
sub read_call {
    my ($program, $default, $native, @words) = @_;
    usage($program, @words) if !@words || $words[0] eq '--help';
    my ($file, $asked, %given, @native, $name, @jobs) = ($default->{file}, 0);
    while (@words) {
        if ($words[0] =~ /^--([A-Za-z][\w-]*)(?:=(.*))?$/s) {
            my ($option, $value) = ($1, $2);
            shift @words;
            $value = take_value("--$option", \@words) unless defined $value;
            $option =~ tr/-/_/;
            if ($option eq 'config') { ($file, $asked) = ($value, 1) }
            else { $given{$option} = $value }
        } elsif ($words[0] =~ /^-[A-Za-z]/) {
            my $option = shift @words;
            die "$option: no such option\n" unless $native;
            push @native, $option, map { take_value($option, \@words) } 1 .. $native->($option);
        } elsif (!$name && $words[0] =~ /^([A-Za-z_]\w+)=(\d+)(?::(\d+))?$/) {
            ($name, my $first, my $last) = ($1, $2, $3 // $2);
            $first <= $last or die "$words[0]: the first job is after the last\n";
            @jobs = ($first .. $last);
            shift @words;
        } else { last }
    }
    my ($log, @command) = @words;
    die "expected LOG COMMAND... after the options; see $program --help\n" unless @command;
    die "$log: the name of the log begins with '-'\n" if $log =~ /^-/;
    die "$log: several jobs would write this one log; put $name into its name\n" if @jobs > 1 && index($log, $name) < 0;
    my $config = read_config($file, $asked, $default->{text});
    my %options = (%{ $config->{default} }, %given);
    check($_, $options{$_}, $native ? $config : {}, $program) for sort keys %options;
    my $command = @command == 1 ? $command[0] : join ' ', map { shell_word($_) } @command;
    $command =~ s/\s+\z//;
    return { program => $program, config => $config, options => \%options, native => \@native,
        name => $name, jobs => $name ? \@jobs : [1], log => $log, command => $command };
}

# Asked for, the usage is the output; otherwise it is a fault.
sub usage {
    my ($program, $asked) = @_;
    (my $text = $usage) =~ s/%s/$program/g;
    print { $asked ? *STDOUT : *STDERR } $text;
    exit($asked ? 0 : 1);
}

sub take_value {
    my ($option, $words) = @_;
    die "$option: its value is missing\n" if !@$words || $words->[0] =~ /^--[A-Za-z]/;
    return shift @$words;
}

sub check {
    my ($name, $value, $config, $program) = @_;
    (my $spelt = "--$name") =~ tr/_/-/;
    if ($rule{$name}) { die "$spelt: must be $rule{$name}[1], not '$value'\n" unless $value =~ $rule{$name}[0] }
    else { die "$spelt: no such option; see $program --help\n" unless $config->{option}{$name} }
}

# One word of the command for the shell, to which lone operators and redirections are left.
sub shell_word {
    my ($word) = @_;
    return $word if $word =~ /^(?:\|\|?|\|&|&&?|;|\(|\)|\{|\}|!|<|\d*>>?|\d*>&\d+)$/;
    return $1 . quoted($2) if $word =~ /^((?:\d*|&)>>?)([^>&=].*)$/s;
    return quoted($word);
}

# A word that the shell takes as it is. In an assignment NAME=VALUE only the value may be quoted.
sub quoted {
    my ($word) = @_;
    return $word if $word =~ m{^[\w@%+=:,./^-]+$}a;
    my ($start, $rest) = $word =~ /^([A-Za-z_]\w*=)?(.*)$/sa;
    $rest =~ s/'/'\\''/g;
    return ($start // '') . "'$rest'";
}

sub command_of { my ($call, $job) = @_; return replaced($call, $call->{command}, $job) }
sub log_of     { my ($call, $job) = @_; return replaced($call, $call->{log},     $job) }

sub replaced {
    my ($call, $text, $job) = @_;
    $text =~ s/$call->{name}/$job/g if $call->{name};
    return $text;
}

# A time limit in Slurm's form as seconds.
sub seconds_of {
    my ($text) = @_;
    my ($days, $rest) = $text =~ /^(?:(\d+)-)?(.*)$/;
    my @parts = split /:/, $rest;
    unshift @parts, 0 if !defined $days && @parts < 3;    # no hours
    push @parts, 0 while @parts < 3;
    return ($days // 0) * 86400 + $parts[0] * 3600 + $parts[1] * 60 + $parts[2];
}

1;
