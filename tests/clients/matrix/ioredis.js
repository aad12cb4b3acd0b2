// ioredis 5 and 6, and its fork iovalkey, through the steps of the client matrix.
//
// usage: node ioredis.js PORT PREFIX MODULE. Says `step ok` or `step FAIL reason`, one line per step.
'use strict';
const assert = require('node:assert/strict');
const { BINARY, MANY, library, run } = require('./steps.js');

const [port, prefix, module_] = process.argv.slice(2);
const Redis = library(module_);
const k = (name) => `${prefix}:${name}`;
const keys = Array.from({ length: MANY }, (_, i) => k(`many:${i}`));
const connect = (options = {}) => new Redis({ host: '127.0.0.1', port: Number(port), ...options });
const c = connect();

run({
  async connect() {
    assert.equal(await c.ping(), 'PONG');
    const named = connect({ connectionName: 'matrix' });
    assert.equal(await named.client('GETNAME'), 'matrix');
    assert.ok(await named.client('ID') > 0);
    await named.quit();
  },
  async string() {
    assert.equal(await c.set(k('s'), '1', 'EX', 100), 'OK');
    assert.equal(await c.get(k('s')), '1');
    assert.equal(await c.get(k('none')), null);
    assert.equal(await c.incrby(k('s'), 41), 42);
    assert.ok(await c.ttl(k('s')) > 90);
  },
  async hash() {
    assert.equal(await c.hset(k('h'), { a: 1, b: 'two' }), 2);
    assert.deepEqual(await c.hgetall(k('h')), { a: '1', b: 'two' });
  },
  async list() {
    assert.equal(await c.rpush(k('l'), 'a', 'b', 'c'), 3);
    assert.deepEqual(await c.lrange(k('l'), 0, 1), ['a', 'b']);
  },
  async set() {
    assert.equal(await c.sadd(k('set'), 'x', 'y'), 2);
    assert.deepEqual((await c.smembers(k('set'))).sort(), ['x', 'y']);
  },
  async zset() {
    assert.equal(await c.zadd(k('z'), 1, 'one', 2.5, 'two'), 2);
    assert.equal(await c.zscore(k('z'), 'two'), '2.5');
    assert.deepEqual(await c.zrange(k('z'), 0, -1, 'WITHSCORES'), ['one', '1', 'two', '2.5']);
  },
  async stream() {
    assert.equal(await c.xadd(k('x'), '5-1', 'f', 'v'), '5-1');
    assert.deepEqual(await c.xrange(k('x'), '-', '+'), [['5-1', ['f', 'v']]]);
    assert.deepEqual(await c.xread('STREAMS', k('x'), '0'), [[k('x'), [['5-1', ['f', 'v']]]]]);
  },
  async hyperloglog() {
    assert.equal(await c.pfadd(k('hll'), 'a', 'b', 'c'), 1);
    assert.equal(await c.pfcount(k('hll')), 3);
  },
  async geo() {
    assert.equal(await c.geoadd(k('g'), 13.361389, 38.115556, 'Palermo', 15.087269, 37.502669, 'Catania'), 2);
    assert.equal(Math.round(await c.geodist(k('g'), 'Palermo', 'Catania', 'km')), 166);
  },
  async bitmap() {
    assert.equal(await c.setbit(k('b'), 7, 1), 0);
    assert.equal(await c.bitcount(k('b')), 1);
  },
  async binary() {
    assert.equal(await c.set(k('binary'), BINARY), 'OK');
    assert.ok(BINARY.equals(await c.getBuffer(k('binary'))));
  },
  async pipeline() {
    const pipe = c.pipeline();
    for (let i = 0; i < 500; i += 1) pipe.set(k(`p:${i}`), i).get(k(`p:${i}`));
    const replies = await pipe.exec();
    replies.forEach((reply, i) => assert.deepEqual(reply, [null, i % 2 === 0 ? 'OK' : String((i - 1) / 2)]));
    assert.equal(replies.length, 1000);
  },
  async mget() {
    assert.equal(await c.mset(Object.fromEntries(keys.map((key) => [key, key.toUpperCase()]))), 'OK');
    assert.deepEqual(await c.mget(...keys, k('none')), [...keys.map((key) => key.toUpperCase()), null]);
  },
  async scan() {
    await c.mset(keys.flatMap((key) => [key, '1']));
    const found = new Set();
    for await (const some of c.scanStream({ match: k('many:*'), count: 20 })) some.forEach((key) => found.add(key));
    assert.deepEqual(keys.filter((key) => !found.has(key)), []);
  },
  async multi() {
    const tag = k('{tx}');
    const found = await c.multi().set(`${tag}:a`, 1).incr(`${tag}:a`).hset(`${tag}:h`, 'f', 'v').get(`${tag}:a`).exec();
    assert.deepEqual(found, [[null, 'OK'], [null, 2], [null, 1], [null, '2']]);
    await c.multi({ pipeline: false });
    assert.equal(await c.incr(`${tag}:a`), 'QUEUED');
    assert.deepEqual(await c.exec(), [[null, 3]]);
  },
  async watch() {
    const [key, mine] = [k('{watched}'), connect()];
    await mine.set(key, 1);
    await mine.watch(key);
    await c.set(key, 10);
    assert.equal(await mine.multi().set(key, 2).exec(), null);
    assert.equal(await c.get(key), '10');
    await mine.watch(key);
    assert.deepEqual(await mine.multi().incr(key).exec(), [[null, 11]]);
    await mine.quit();
  },
  async eval() {
    assert.equal(await c.eval("return redis.call('SET', KEYS[1], ARGV[1])", 1, k('e'), 'v'), 'OK');
    c.defineCommand('both', { numberOfKeys: 1, lua: `return {redis.call('GET', KEYS[1]), ARGV[1]} -- ${prefix}` });
    assert.deepEqual(await c.both(k('e'), 'x'), ['v', 'x']);
    assert.deepEqual(await c.both(k('e'), 'y'), ['v', 'y']);
    const piped = await c.pipeline().both(k('e'), 'z').both(k('e'), 'w').exec();
    assert.deepEqual(piped, [[null, ['v', 'z']], [null, ['v', 'w']]]);
  },
  async pubsub() {
    const listener = connect();
    const message = new Promise((resolve) => { listener.on('message', (...what) => resolve(what)); });
    assert.equal(await listener.subscribe(k('channel')), 1);
    assert.equal(await c.publish(k('channel'), 'hello'), 1);
    assert.deepEqual(await message, [k('channel'), 'hello']);
    assert.equal(await listener.unsubscribe(k('channel')), 0);
    assert.equal(await listener.get(k('s')), '42', 'it is a plain connection again');
    await listener.quit();
  },
  async pattern() {
    const listener = connect();
    const message = new Promise((resolve) => { listener.on('pmessage', (...what) => resolve(what)); });
    assert.equal(await listener.psubscribe(k('pattern.*')), 1);
    assert.equal(await c.publish(k('pattern.a'), 'hi'), 1);
    assert.deepEqual(await message, [k('pattern.*'), k('pattern.a'), 'hi']);
    await listener.quit();
  },
  async blpop() {
    const other = connect();
    const waiting = other.blpop(k('queue'), 15);
    for (let i = 0; i < 50; i += 1) await c.ping();
    await c.rpush(k('queue'), 'job');
    assert.deepEqual(await waiting, [k('queue'), 'job']);
    assert.equal(await other.blpop(k('queue'), 0.05), null);
    await other.quit();
  },
  async resp3() {
    if (module_ !== 'ioredis') return '-'; // since version 6, there by default
    const three = connect({ replyMapping: 'resp3' });
    assert.equal((await three.call('HELLO')).proto, 3);
    assert.equal(await three.zscore(k('z'), 'two'), 2.5);
    // RESP3 lets a connection read while it listens.
    const message = new Promise((resolve) => { three.on('message', (...what) => resolve(what)); });
    await three.subscribe(k('channel3'));
    assert.equal(await three.get(k('s')), '42');
    assert.equal(await c.publish(k('channel3'), 'hello'), 1);
    assert.deepEqual(await message, [k('channel3'), 'hello']);
    await three.quit();
    const two = connect({ protocol: 2 });
    assert.equal(await two.zscore(k('z'), 'two'), '2.5');
    return two.quit().then(() => 'ok');
  },
});
