# Perl's Redis through the steps of the client matrix.
#
# usage: perl perl_redis.pl PORT PREFIX. Says `step ok` or `step FAIL reason`, one line per step.
# Where a step needs two clients at once, a child process is the other one.
use strict;
use warnings;
use POSIX ();

eval { require Redis; 1 } or do { print "SKIPPED Perl has no module Redis\n"; exit };
$| = 1;
print "version $Redis::VERSION\n";
my ($port, $prefix) = @ARGV;
my $BINARY = join('', map { chr } 0 .. 255) x 4096;    # 1 MiB with every byte value
my @keys = map { k("many:$_") } 0 .. 119;

sub k { return "$prefix:$_[0]" }
sub connection { return Redis->new(server => "127.0.0.1:$port", @_) }

sub text {
    my ($value) = @_;
    return 'nothing' unless defined $value;
    return '[' . join(', ', map { text($_) } @$value) . ']' if ref $value eq 'ARRAY';
    return '{' . join(', ', map { "$_: " . text($value->{$_}) } sort keys %$value) . '}' if ref $value eq 'HASH';
    return "$value";
}

sub expect {
    my ($what, $found, $wanted) = @_;
    ($found, $wanted) = (text($found), text($wanted));
    die "$what: found $found, wanted $wanted\n" if $found ne $wanted;
}

sub step {
    my ($name, $work) = @_;
    my $said = eval { $work->() };
    my $error = $@;
    $error =~ s/\s+/ /g;
    print "$name ", $error ? "FAIL " . substr($error, 0, 300) : ($said || '') eq '-' ? '-' : 'ok', "\n";
}

# A child with a connection of its own.
sub beside {
    my ($work) = @_;
    my $child = fork;
    return $child if $child;
    eval { $work->(connection()) };
    POSIX::_exit(0);
}

my $c = connection();

step connect => sub {
    expect 'ping', $c->ping, 'PONG';
    my $named = connection(name => 'matrix');
    expect 'name', $named->client_getname, 'matrix';
    expect 'select', $named->select(0), 'OK';
    expect 'info', exists $named->info->{redis_version}, 1;
    $named->quit;
};

step string => sub {
    expect 'set', $c->set(k('s') => '1', 'EX', 100), 'OK';
    expect 'get', $c->get(k('s')), '1';
    expect 'get of nothing', $c->get(k('none')), undef;
    expect 'incr', $c->incrby(k('s'), 41), 42;
    expect 'ttl', $c->ttl(k('s')) > 90, 1;
};

step hash => sub {
    expect 'hmset', $c->hmset(k('h'), a => 1, b => 'two'), 'OK';
    expect 'hgetall', { $c->hgetall(k('h')) }, { a => 1, b => 'two' };
};

step list => sub {
    expect 'rpush', $c->rpush(k('l'), 'a', 'b', 'c'), 3;
    expect 'lrange', [ $c->lrange(k('l'), 0, 1) ], [ 'a', 'b' ];
};

step set => sub {
    expect 'sadd', $c->sadd(k('set'), 'x', 'y'), 2;
    expect 'smembers', [ sort $c->smembers(k('set')) ], [ 'x', 'y' ];
};

step zset => sub {
    expect 'zadd', $c->zadd(k('z'), 1, 'one', 2.5, 'two'), 2;
    expect 'zscore', $c->zscore(k('z'), 'two'), '2.5';
    expect 'zrange', [ $c->zrange(k('z'), 0, -1, 'WITHSCORES') ], [ 'one', 1, 'two', 2.5 ];
};

step stream => sub {
    expect 'xadd', $c->xadd(k('x'), '5-1', 'f', 'v'), '5-1';
    expect 'xrange', [ $c->xrange(k('x'), '-', '+') ], [ [ '5-1', [ 'f', 'v' ] ] ];
};

step hyperloglog => sub {
    expect 'pfadd', $c->pfadd(k('hll'), 'a', 'b', 'c'), 1;
    expect 'pfcount', $c->pfcount(k('hll')), 3;
};

step geo => sub {
    expect 'geoadd', $c->geoadd(k('g'), 13.361389, 38.115556, 'Palermo', 15.087269, 37.502669, 'Catania'), 2;
    expect 'geodist', sprintf('%.0f', $c->geodist(k('g'), 'Palermo', 'Catania', 'km')), 166;
};

step bitmap => sub {
    expect 'setbit', $c->setbit(k('b'), 7, 1), 0;
    expect 'bitcount', $c->bitcount(k('b')), 1;
};

step binary => sub {
    expect 'set of 1 MiB', $c->set(k('binary'), $BINARY), 'OK';
    expect 'get of 1 MiB', $c->get(k('binary')) eq $BINARY, 1;
};

step pipeline => sub {
    my (@found, @wanted);
    for my $i (0 .. 499) {
        $c->set(k("p:$i"), $i, sub { push @found, $_[0] });
        $c->get(k("p:$i"), sub { push @found, $_[0] });
        push @wanted, 'OK', $i;
    }
    $c->wait_all_responses;
    expect 'replies', \@found, \@wanted;
};

step mget => sub {
    expect 'mset', $c->mset(map { $_ => uc } @keys), 'OK';
    expect 'mget', [ $c->mget(@keys, k('none')) ], [ (map { uc } @keys), undef ];
};

step scan => sub {
    $c->mset(map { $_ => 1 } @keys);
    my ($cursor, $some, %found) = (0);
    do {
        ($cursor, $some) = $c->scan($cursor, MATCH => k('many:*'), COUNT => 20);
        $found{$_} = 1 for @$some;
    } until $cursor eq '0';
    expect 'keys not seen', [ grep { !$found{$_} } @keys ], [];
};

step multi => sub {
    my $tag = k('{tx}');
    expect 'multi', $c->multi, 'OK';
    expect 'queued', $c->set("$tag:a", 1), 'QUEUED';
    $c->incr("$tag:a");
    $c->get("$tag:a");
    expect 'exec', [ $c->exec ], [ 'OK', 2, 2 ];
};

step watch => sub {
    my ($key, $other) = (k('{watched}'), connection());
    $c->set($key, 1);
    $c->watch($key);
    $other->set($key, 10);
    $c->multi;
    $c->set($key, 2);
    expect 'conflict', scalar($c->exec), undef;
    expect "the other's value", $c->get($key), 10;
    $c->watch($key);
    $c->multi;
    $c->incr($key);
    expect 'without a conflict', [ $c->exec ], [ 11 ];
};

step eval => sub {
    expect 'eval', $c->eval("return redis.call('SET', KEYS[1], ARGV[1])", 1, k('e'), 'v'), 'OK';
    my $sha = $c->script_load("return {redis.call('GET', KEYS[1]), ARGV[1]} -- $prefix");
    expect 'evalsha', [ $c->evalsha($sha, 1, k('e'), 'x') ], [ 'v', 'x' ];
    eval { $c->evalsha('0' x 40, 1, k('e')) };
    expect 'an unknown script', $@ =~ /NOSCRIPT/ ? 'refused' : $@, 'refused';
};

sub heard {
    my ($subscribe, $name, $channel) = @_;
    my ($listener, @found) = (connection());
    $listener->$subscribe($name, sub { @found = @_[ 1, 0 ] });
    my $child = beside(sub { my $end = time + 15; 1 until $_[0]->publish($channel, 'hello') == 1 || time > $end });
    $listener->wait_for_messages(10) until @found;
    waitpid $child, 0;
    expect 'message', \@found, [ $channel, 'hello' ];
}

step pubsub => sub { heard('subscribe', k('channel'), k('channel')) };
step pattern => sub { heard('psubscribe', k('pattern.*'), k('pattern.a')) };

step blpop => sub {
    my $child = beside(sub { $_[0]->ping for 1 .. 50; $_[0]->rpush(k('queue'), 'job') });
    expect 'what woke it', [ $c->blpop(k('queue'), 15) ], [ k('queue'), 'job' ];
    waitpid $child, 0;
    expect 'a time-out', scalar($c->blpop(k('queue'), 1)), undef;
};

step resp3 => sub { '-' };
