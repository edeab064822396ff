# The configuration of slurm.pl and queue.pl in Kaldi's form (conf/slurm.conf, conf/queue.conf):
#   command sbatch --ntasks=1         how to submit
#   default gpu=0                     an option's value when it is not given
#   option gpu=0                      words for one value of an option (here none)
#   option gpu=* --gres=gpu:$0        words for any other value, which stands for $0
package JobConfig;
use strict;
use warnings;
use Exporter 'import';
use Text::ParseWords 'shellwords';

our @EXPORT_OK = qw(read_config submit_words);

# The parsed file, or the parsed text $default if $file does not exist and was not asked for.
sub read_config {
    my ($file, $asked, $default) = @_;
    my ($name, @lines) = ('built-in configuration', split /^/, $default);
    if ($asked || -e $file) {
        open my $input, '<', $file or die "--config $file: $!\n";
        ($name, @lines) = ($file, <$input>);
    }
    my $config = { name => $name, command => [], default => {}, option => {} };
    my $number = 0;
    read_line($config, $_, "$name:" . ++$number) for @lines;
    return $config;
}

sub read_line {
    my ($config, $line, $place) = @_;
    $line =~ s/(^|\s)#.*//s;
    $line =~ s/^\s+|\s+$//g;
    return if $line eq '';
    my ($kind, $rest) = split ' ', $line, 2;
    my ($key, $words) = split ' ', $rest // '', 2;
    my ($name, $value) = ($key // '') =~ /^([A-Za-z]\w*)=(\S*)$/;
    if ($kind eq 'command' && defined $key) { $config->{command} = [words_of($rest, $place)] }
    elsif ($kind eq 'option' && defined $name) { $config->{option}{$name}{$value} = [words_of($words // '', $place)] }
    elsif ($kind eq 'default' && defined $name && !defined $words) { $config->{default}{$name} = $value }
    else { die "$place: expected 'command WORDS', 'option NAME=VALUE WORDS' or 'default NAME=VALUE': $line\n" }
}

sub words_of {
    my ($text, $place) = @_;
    my @words = shellwords($text);
    die "$place: a quote is not closed: $text\n" if $text =~ /\S/ && !@words;
    return @words;
}

# The words that submit a job with these options; options in $own mean something without a line in the file.
sub submit_words {
    my ($config, $options, $own) = @_;
    die "$config->{name}: there is no line 'command WORDS'\n" unless @{ $config->{command} };
    my @words = @{ $config->{command} };
    for my $name (sort keys %$options) {
        my ($value, $lines) = ($options->{$name}, $config->{option}{$name});
        my $found = $lines ? $lines->{$value} // $lines->{'*'} : undef;
        (my $spelt = "--$name $value") =~ tr/_/-/;
        die "$config->{name} has no line 'option $name=$value' or 'option $name=*', needed for $spelt\n"
            unless $found || $own->{$name};
        push @words, map { (my $word = $_) =~ s/\$0/$value/g; $word } @{ $found // [] };
    }
    return @words;
}

1;
