// valkey-glide for Node through the steps of the client matrix.
//
// usage: node valkey_glide.js PORT PREFIX. Says `step ok` or `step FAIL reason`, one line per step.
'use strict';
const assert = require('node:assert/strict');
const { BINARY, MANY, library, run } = require('./steps.js');

const [port, prefix] = process.argv.slice(2);
const glide = library('@valkey/valkey-glide');
const k = (name) => `${prefix}:${name}`;
const keys = Array.from({ length: MANY }, (_, i) => k(`many:${i}`));
// A request that waits as long as BLPOP does would run into the default time-out of 250 ms by glide's own rules.
const connect = (options = {}) => glide.GlideClient.createClient({
  addresses: [{ host: '127.0.0.1', port: Number(port) }], requestTimeout: 10000, ...options,
});
let c;

// It subscribes behind its start; who publishes sees when.
const listen = async (mode, name, channel) => {
  const listener = await connect({ pubsubSubscriptions: { channelsAndPatterns: { [mode]: new Set([name]) } } });
  const message = listener.getPubSubMessage();
  for (let i = 0; i < 10000 && await c.publish('hello', channel) !== 1; i += 1);
  assert.deepEqual(await message.then((m) => [m.channel, m.message]), [channel, 'hello']);
  listener.close();
};

run({
  async connect() {
    c = await connect();
    assert.equal(await c.ping(), 'PONG');
    const named = await connect({ clientName: 'matrix' });
    assert.equal(await named.clientGetName(), 'matrix');
    assert.ok(await named.clientId() > 0);
    named.close();
  },
  async string() {
    assert.equal(await c.set(k('s'), '1'), 'OK');
    assert.equal(await c.get(k('s')), '1');
    assert.equal(await c.get(k('none')), null);
    assert.equal(await c.incrBy(k('s'), 41), 42);
    assert.equal(await c.expire(k('s'), 100), true);
    assert.ok(await c.ttl(k('s')) > 90);
  },
  async hash() {
    assert.equal(await c.hset(k('h'), { a: '1', b: 'two' }), 2);
    assert.deepEqual(await c.hgetall(k('h')), [{ field: 'a', value: '1' }, { field: 'b', value: 'two' }]);
  },
  async list() {
    assert.equal(await c.rpush(k('l'), ['a', 'b', 'c']), 3);
    assert.deepEqual(await c.lrange(k('l'), 0, 1), ['a', 'b']);
  },
  async set() {
    assert.equal(await c.sadd(k('set'), ['x', 'y']), 2);
    assert.deepEqual([...await c.smembers(k('set'))].sort(), ['x', 'y']);
  },
  async zset() {
    assert.equal(await c.zadd(k('z'), { one: 1, two: 2.5 }), 2);
    assert.equal(await c.zscore(k('z'), 'two'), 2.5);
    const found = await c.zrangeWithScores(k('z'), { start: 0, end: -1 });
    assert.deepEqual(found, [{ element: 'one', score: 1 }, { element: 'two', score: 2.5 }]);
  },
  async stream() {
    assert.equal(await c.xadd(k('x'), [['f', 'v']], { id: '5-1' }), '5-1');
    const found = await c.xrange(k('x'), glide.InfBoundary.NegativeInfinity, glide.InfBoundary.PositiveInfinity);
    assert.deepEqual(found, { '5-1': [['f', 'v']] });
  },
  async hyperloglog() {
    assert.equal(Number(await c.pfadd(k('hll'), ['a', 'b', 'c'])), 1);
    assert.equal(await c.pfcount([k('hll')]), 3);
  },
  async geo() {
    const places = new Map([
      ['Palermo', { longitude: 13.361389, latitude: 38.115556 }],
      ['Catania', { longitude: 15.087269, latitude: 37.502669 }],
    ]);
    assert.equal(await c.geoadd(k('g'), places), 2);
    assert.equal(Math.round(await c.geodist(k('g'), 'Palermo', 'Catania', { unit: glide.GeoUnit.KILOMETERS })), 166);
  },
  async bitmap() {
    assert.equal(await c.setbit(k('b'), 7, 1), 0);
    assert.equal(await c.bitcount(k('b')), 1);
  },
  async binary() {
    assert.equal(await c.set(k('binary'), BINARY), 'OK');
    assert.ok(BINARY.equals(await c.get(k('binary'), { decoder: glide.Decoder.Bytes })));
  },
  async pipeline() {
    const batch = new glide.Batch(false);
    for (let i = 0; i < 500; i += 1) batch.set(k(`p:${i}`), String(i)).get(k(`p:${i}`));
    const replies = await c.exec(batch, true);
    assert.equal(replies.length, 1000);
    replies.forEach((reply, i) => assert.equal(reply, i % 2 === 0 ? 'OK' : String((i - 1) / 2)));
  },
  async mget() {
    assert.equal(await c.mset(Object.fromEntries(keys.map((key) => [key, key.toUpperCase()]))), 'OK');
    assert.deepEqual(await c.mget([...keys, k('none')]), [...keys.map((key) => key.toUpperCase()), null]);
  },
  async scan() {
    await c.mset(Object.fromEntries(keys.map((key) => [key, '1'])));
    const found = new Set();
    let [cursor, some] = ['0', []];
    do {
      [cursor, some] = await c.scan(cursor, { match: k('many:*'), count: 20 });
      some.forEach((key) => found.add(key));
    } while (cursor !== '0');
    assert.deepEqual(keys.filter((key) => !found.has(key)), []);
  },
  async multi() {
    const tag = k('{tx}');
    const batch = new glide.Batch(true).set(`${tag}:a`, '1').incr(`${tag}:a`).hset(`${tag}:h`, { f: 'v' }).get(`${tag}:a`);
    assert.deepEqual(await c.exec(batch, true), ['OK', 2, 1, '2']);
  },
  async watch() {
    const [key, other] = [k('{watched}'), await connect()];
    await c.set(key, '1');
    assert.equal(await c.watch([key]), 'OK');
    await other.set(key, '10');
    assert.equal(await c.exec(new glide.Batch(true).set(key, '2'), true), null);
    assert.equal(await c.get(key), '10');
    other.close();
  },
  async eval() {
    await c.set(k('e'), 'v');
    assert.equal(await c.customCommand(['EVAL', "return redis.call('GET', KEYS[1])", '1', k('e')]), 'v');
    const script = new glide.Script(`return {redis.call('GET', KEYS[1]), ARGV[1]} -- ${prefix}`);
    assert.deepEqual(await c.invokeScript(script, { keys: [k('e')], args: ['x'] }), ['v', 'x']);
    assert.deepEqual(await c.invokeScript(script, { keys: [k('e')], args: ['y'] }), ['v', 'y']);
  },
  async pubsub() {
    const modes = glide.GlideClientConfiguration.PubSubChannelModes;
    await listen(modes.Exact, k('channel'), k('channel'));
  },
  async pattern() {
    const modes = glide.GlideClientConfiguration.PubSubChannelModes;
    await listen(modes.Pattern, k('pattern.*'), k('pattern.a'));
  },
  async blpop() {
    const other = await connect();
    const waiting = other.blpop([k('queue')], 15);
    for (let i = 0; i < 50; i += 1) await c.ping();
    await c.rpush(k('queue'), ['job']);
    assert.deepEqual(await waiting, [k('queue'), 'job']);
    other.close();
  },
  async resp3() {
    const hello = await c.customCommand(['HELLO']);
    assert.equal(hello.find(({ key }) => key === 'proto').value, 3);
    const two = await connect({ protocol: glide.ProtocolVersion.RESP2 });
    assert.equal(await two.zscore(k('z'), 'two'), 2.5);
    two.close();
  },
});
