<?php
// Predis, the client in PHP itself, through the steps of the client matrix.
//
// usage: php predis.php PORT PREFIX [ROLE]. Says `step ok` or `step FAIL reason`, one line per step.
// ROLE is what a second process does for the steps that need two at once.

require __DIR__ . '/steps.php';
error_reporting(E_ALL & ~E_DEPRECATED); // Debian's Predis is older than Debian's PHP
if (!@include 'Predis/autoload.php') {
    skipped('PHP has no Predis');
}
[, $port, $prefix] = $argv;

function k(string $name): string
{
    return $GLOBALS['prefix'] . ":$name";
}

function connect(): Predis\Client
{
    return new Predis\Client(['host' => '127.0.0.1', 'port' => (int) $GLOBALS['port'], 'read_write_timeout' => 20]);
}

/** The reply as text: 'OK', 'QUEUED'. */
function status(mixed $reply): string
{
    return (string) $reply;
}

/** The first message to a name. */
function heard(string $subscribe, string $name, string $role): array
{
    [$listener, $heard, $publisher] = [connect()->pubSubLoop(), null, beside($role)];
    $listener->$subscribe($name);
    foreach ($listener as $message) {
        if (str_ends_with($message->kind, 'message')) {
            $heard = [$message->channel, $message->payload];
            $listener->unsubscribe();
            $listener->punsubscribe();
        }
    }
    proc_close($publisher[0]);
    return $heard;
}

/** Predis's script object: EVALSHA first, EVAL where the server does not know it. */
class Both extends Predis\Command\ScriptCommand
{
    public function getKeysCount()
    {
        return 1;
    }

    public function getScript()
    {
        return "return {redis.call('GET', KEYS[1]), ARGV[1]} -- " . k('');
    }
}

$c = connect();
$role = $argv[3] ?? null;
if ($role !== null && str_starts_with($role, 'publish')) {
    [$channel, $text] = $role === 'publish' ? ['channel', 'hello'] : ['pattern.a', 'hi'];
    $end = time() + 15;
    while ($c->publish(k($channel), $text) !== 1 && time() < $end); // until somebody listens
    exit(0);
}
if ($role === 'push') {
    array_map(fn () => $c->ping(), range(1, 50));
    $c->rpush(k('queue'), ['job']);
    exit(0);
}
echo 'version ', Predis\Client::VERSION, "\n";
$keys = array_map(fn ($i) => k("many:$i"), range(0, MANY - 1));

run([
    'connect' => function () use ($c) {
        expect('ping', status($c->ping()), 'PONG');
        expect('setname', status($c->client('setname', 'matrix')), 'OK');
        expect('getname', $c->client('getname'), 'matrix');
        expect('select 0', status($c->select(0)), 'OK');
        expect('echo', $c->echo('hello'), 'hello');
        expect('info', isset($c->info()['Server']['redis_version']), true);
    },
    'string' => function () use ($c) {
        expect('set', status($c->set(k('s'), '1', 'ex', 100)), 'OK');
        expect('get', $c->get(k('s')), '1');
        expect('get of nothing', $c->get(k('none')), null);
        expect('incr', $c->incrby(k('s'), 41), 42);
        expect('ttl', $c->ttl(k('s')) > 90, true);
    },
    'hash' => function () use ($c) {
        expect('hmset', status($c->hmset(k('h'), ['a' => 1, 'b' => 'two'])), 'OK');
        expect('hgetall', $c->hgetall(k('h')), ['a' => '1', 'b' => 'two']);
    },
    'list' => function () use ($c) {
        expect('rpush', $c->rpush(k('l'), ['a', 'b', 'c']), 3);
        expect('lrange', $c->lrange(k('l'), 0, 1), ['a', 'b']);
    },
    'set' => function () use ($c) {
        expect('sadd', $c->sadd(k('set'), ['x', 'y']), 2);
        $members = $c->smembers(k('set'));
        sort($members);
        expect('smembers', $members, ['x', 'y']);
    },
    'zset' => function () use ($c) {
        expect('zadd', $c->zadd(k('z'), ['one' => 1, 'two' => 2.5]), 2);
        expect('zscore', $c->zscore(k('z'), 'two'), '2.5');
        expect('zrange', $c->zrange(k('z'), 0, -1, 'withscores'), ['one' => '1', 'two' => '2.5']);
    },
    'stream' => function () use ($c) {
        // This version has no methods for streams.
        expect('xadd', $c->executeRaw(['XADD', k('x'), '5-1', 'f', 'v']), '5-1');
        expect('xrange', $c->executeRaw(['XRANGE', k('x'), '-', '+']), [['5-1', ['f', 'v']]]);
    },
    'hyperloglog' => function () use ($c) {
        expect('pfadd', $c->pfadd(k('hll'), ['a', 'b', 'c']), 1);
        expect('pfcount', $c->pfcount([k('hll')]), 3);
    },
    'geo' => function () use ($c) {
        expect('geoadd', $c->geoadd(k('g'), 13.361389, 38.115556, 'Palermo', 15.087269, 37.502669, 'Catania'), 2);
        expect('geodist', (int) round((float) $c->geodist(k('g'), 'Palermo', 'Catania', 'km')), 166);
    },
    'bitmap' => function () use ($c) {
        expect('setbit', $c->setbit(k('b'), 7, 1), 0);
        expect('bitcount', $c->bitcount(k('b')), 1);
    },
    'binary' => function () use ($c) {
        expect('set of 1 MiB', status($c->set(k('binary'), binary())), 'OK');
        expect('get of 1 MiB', $c->get(k('binary')) === binary(), true);
    },
    'pipeline' => function () use ($c) {
        $found = $c->pipeline(function ($pipe) {
            for ($i = 0; $i < 500; $i++) {
                $pipe->set(k("p:$i"), $i)->get(k("p:$i"));
            }
        });
        $wanted = array_merge(...array_map(fn ($i) => ['OK', (string) $i], range(0, 499)));
        expect('replies', array_map('status', $found), $wanted);
    },
    'mget' => function () use ($c, $keys) {
        expect('mset', status($c->mset(array_combine($keys, array_map('strtoupper', $keys)))), 'OK');
        expect('mget', $c->mget([...$keys, k('none')]), [...array_map('strtoupper', $keys), null]);
    },
    'scan' => function () use ($c, $keys) {
        $c->mset(array_fill_keys($keys, '1'));
        $found = iterator_to_array(new Predis\Collection\Iterator\Keyspace($c, k('many:*'), 20), false);
        expect('keys not seen', array_values(array_diff($keys, $found)), []);
    },
    'multi' => function () use ($c) {
        $tag = k('{tx}');
        $found = $c->transaction(function ($tx) use ($tag) {
            $tx->set("$tag:a", 1)->incr("$tag:a")->hset("$tag:h", 'f', 'v')->get("$tag:a");
        });
        expect('replies', array_map('status', $found), ['OK', '2', '1', '2']);
    },
    'watch' => function () use ($c) {
        [$key, $other, $tries] = [k('{watched}'), connect(), 0];
        $c->set($key, 1);
        $attempt = function ($tx) use ($key, $other, &$tries) {
            $value = $tx->get($key);
            if ($tries++ === 0) {
                $other->set($key, 10);
            }
            $tx->multi();
            $tx->set($key, $value + 1);
        };
        try {
            $c->transaction(['watch' => $key, 'cas' => true], $attempt);
            throw new Exception('no conflict');
        } catch (Predis\Transaction\AbortedMultiExecException) {
            expect("the other's value", $c->get($key), '10');
        }
        $found = $c->transaction(['watch' => $key, 'cas' => true, 'retry' => 2], $attempt);
        expect('without a conflict', [array_map('status', $found), $c->get($key)], [['OK'], '11']);
    },
    'eval' => function () use ($c) {
        expect('eval', status($c->eval("return redis.call('SET', KEYS[1], ARGV[1])", 1, k('e'), 'v')), 'OK');
        $c->getProfile()->defineCommand('both', Both::class);
        expect('a script the server does not know', $c->both(k('e'), 'x'), ['v', 'x']);
        expect('the same again', $c->both(k('e'), 'y'), ['v', 'y']);
    },
    'pubsub' => fn () => expect('message', heard('subscribe', k('channel'), 'publish'), [k('channel'), 'hello']),
    'pattern' => fn () => expect(
        'message',
        heard('psubscribe', k('pattern.*'), 'publish-for-pattern'),
        [k('pattern.a'), 'hi']
    ),
    'blpop' => function () {
        [$waiter, $pusher] = [connect(), beside('push')];
        expect('what woke it', $waiter->blpop([k('queue')], 15), [k('queue'), 'job']);
        proc_close($pusher[0]);
        expect('a time-out', $waiter->blpop([k('queue')], 1), null);
    },
    'resp3' => fn () => '-',
]);
