<?php
// phpredis, PHP's extension, through the steps of the client matrix.
//
// usage: php phpredis.php PORT PREFIX [ROLE]. Says `step ok` or `step FAIL reason`, one line per step.
// ROLE is what a second process does for the steps that need two at once.

require __DIR__ . '/steps.php';
if (!extension_loaded('redis')) {
    skipped('PHP has no extension redis');
}
[, $port, $prefix] = $argv;

function k(string $name): string
{
    return $GLOBALS['prefix'] . ":$name";
}

function connect(): Redis
{
    $client = new Redis();
    $client->connect('127.0.0.1', (int) $GLOBALS['port'], 20);
    return $client;
}

/** The first message; phpredis listens until its connection is closed. */
function heard(string $subscribe, string $name, string $role): array
{
    [$listener, $heard, $publisher] = [connect(), [], beside($role)];
    try {
        $listener->$subscribe([$name], function ($redis, ...$what) use (&$heard) {
            $heard = $what;
            $redis->close();
        });
    } catch (RedisException $closed) {
        expect('why it ended', $closed->getMessage(), 'Connection closed');
    }
    proc_close($publisher[0]);
    return $heard;
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
    $c->rPush(k('queue'), 'job');
    exit(0);
}
echo 'version ', phpversion('redis'), "\n";
$keys = array_map(fn ($i) => k("many:$i"), range(0, MANY - 1));

run([
    'connect' => function () use ($c) {
        expect('ping', $c->ping(), true);
        expect('setname', $c->client('setname', 'matrix'), true);
        expect('getname', $c->client('getname'), 'matrix');
        expect('select 0', $c->select(0), true);
        expect('echo', $c->echo('hello'), 'hello');
        $again = new Redis();
        expect('persistent', $again->pconnect('127.0.0.1', (int) $GLOBALS['port']), true);
        expect('ping of it', $again->ping('x'), 'x');
    },
    'string' => function () use ($c) {
        expect('set', $c->set(k('s'), '1', ['ex' => 100]), true);
        expect('get', $c->get(k('s')), '1');
        expect('get of nothing', $c->get(k('none')), false);
        expect('incr', $c->incrBy(k('s'), 41), 42);
        expect('ttl', $c->ttl(k('s')) > 90, true);
        expect('type', $c->type(k('s')), Redis::REDIS_STRING);
    },
    'hash' => function () use ($c) {
        expect('hmset', $c->hMSet(k('h'), ['a' => 1, 'b' => 'two']), true);
        expect('hgetall', $c->hGetAll(k('h')), ['a' => '1', 'b' => 'two']);
        expect('hmget', $c->hMGet(k('h'), ['a', 'none']), ['a' => '1', 'none' => false]);
    },
    'list' => function () use ($c) {
        expect('rpush', $c->rPush(k('l'), 'a', 'b', 'c'), 3);
        expect('lrange', $c->lRange(k('l'), 0, 1), ['a', 'b']);
    },
    'set' => function () use ($c) {
        expect('sadd', $c->sAdd(k('set'), 'x', 'y'), 2);
        $members = $c->sMembers(k('set'));
        sort($members);
        expect('smembers', $members, ['x', 'y']);
    },
    'zset' => function () use ($c) {
        expect('zadd', $c->zAdd(k('z'), 1, 'one', 2.5, 'two'), 2);
        expect('zscore', $c->zScore(k('z'), 'two'), 2.5);
        expect('zrange', $c->zRange(k('z'), 0, -1, true), ['one' => 1.0, 'two' => 2.5]);
    },
    'stream' => function () use ($c) {
        expect('xadd', $c->xAdd(k('x'), '5-1', ['f' => 'v']), '5-1');
        expect('xrange', $c->xRange(k('x'), '-', '+'), ['5-1' => ['f' => 'v']]);
        expect('xread', $c->xRead([k('x') => '0']), [k('x') => ['5-1' => ['f' => 'v']]]);
    },
    'hyperloglog' => function () use ($c) {
        expect('pfadd', $c->pfAdd(k('hll'), ['a', 'b', 'c']), 1);
        expect('pfcount', $c->pfCount(k('hll')), 3);
    },
    'geo' => function () use ($c) {
        expect('geoadd', $c->geoAdd(k('g'), 13.361389, 38.115556, 'Palermo', 15.087269, 37.502669, 'Catania'), 2);
        expect('geodist', (int) round($c->geoDist(k('g'), 'Palermo', 'Catania', 'km')), 166);
    },
    'bitmap' => function () use ($c) {
        expect('setbit', $c->setBit(k('b'), 7, true), 0);
        expect('bitcount', $c->bitCount(k('b')), 1);
    },
    'binary' => function () use ($c) {
        expect('set of 1 MiB', $c->set(k('binary'), binary()), true);
        expect('get of 1 MiB', $c->get(k('binary')) === binary(), true);
    },
    'pipeline' => function () use ($c) {
        $pipe = $c->multi(Redis::PIPELINE);
        $wanted = [];
        for ($i = 0; $i < 500; $i++) {
            $pipe->set(k("p:$i"), $i)->get(k("p:$i"));
            array_push($wanted, true, (string) $i);
        }
        expect('replies', $pipe->exec(), $wanted);
    },
    'mget' => function () use ($c, $keys) {
        expect('mset', $c->mSet(array_combine($keys, array_map('strtoupper', $keys))), true);
        expect('mget', $c->mGet([...$keys, k('none')]), [...array_map('strtoupper', $keys), false]);
    },
    'scan' => function () use ($c, $keys) {
        $c->mSet(array_fill_keys($keys, '1'));
        $c->setOption(Redis::OPT_SCAN, Redis::SCAN_RETRY);
        [$cursor, $found] = [null, []];
        while ($some = $c->scan($cursor, k('many:*'), 20)) {
            array_push($found, ...$some);
        }
        expect('keys not seen', array_values(array_diff($keys, $found)), []);
    },
    'multi' => function () use ($c) {
        $tag = k('{tx}');
        $found = $c->multi()->set("$tag:a", 1)->incr("$tag:a")->hSet("$tag:h", 'f', 'v')->get("$tag:a")->exec();
        expect('replies', $found, [true, 2, 1, '2']);
    },
    'watch' => function () use ($c) {
        [$key, $other] = [k('{watched}'), connect()];
        $c->set($key, 1);
        $c->watch($key);
        $other->set($key, 10);
        expect('conflict', $c->multi()->set($key, 2)->exec(), false);
        expect("the other's value", $c->get($key), '10');
        $c->watch($key);
        expect('without a conflict', $c->multi()->incr($key)->exec(), [11]);
    },
    'eval' => function () use ($c) {
        expect('eval', $c->eval("return redis.call('SET', KEYS[1], ARGV[1])", [k('e'), 'v'], 1), true);
        $script = "return {redis.call('GET', KEYS[1]), ARGV[1]} -- " . k('');
        expect('a script the server does not know', $c->evalSha(sha1($script), [k('e'), 'x'], 1), false);
        expect('its error', str_starts_with($c->getLastError(), 'NOSCRIPT'), true);
        expect('script load', $c->script('load', $script), sha1($script));
        expect('evalsha', $c->evalSha(sha1($script), [k('e'), 'x'], 1), ['v', 'x']);
        expect('script exists', $c->script('exists', sha1($script)), [1]);
    },
    'pubsub' => fn () => expect('message', heard('subscribe', k('channel'), 'publish'), [k('channel'), 'hello']),
    'pattern' => function () {
        $wanted = [k('pattern.*'), k('pattern.a'), 'hi'];
        expect('message', heard('psubscribe', k('pattern.*'), 'publish-for-pattern'), $wanted);
    },
    'blpop' => function () use ($c) {
        [$waiter, $pusher] = [connect(), beside('push')];
        expect('what woke it', $waiter->blPop([k('queue')], 15), [k('queue'), 'job']);
        proc_close($pusher[0]);
        expect('a time-out', $waiter->blPop([k('queue')], 1), []);
    },
    'resp3' => fn () => '-',
]);
