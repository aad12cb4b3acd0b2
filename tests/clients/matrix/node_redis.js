// node-redis 4, 5 and 6 through the steps of the client matrix.
//
// usage: node node_redis.js PORT PREFIX MODULE. Says `step ok` or `step FAIL reason`, one line per step.
'use strict';
const assert = require('node:assert/strict');
const { BINARY, MANY, library, run, version } = require('./steps.js');

const [port, prefix, module_] = process.argv.slice(2);
const redis = library(module_);
const url = `redis://127.0.0.1:${port}`;
const k = (name) => `${prefix}:${name}`;
const keys = Array.from({ length: MANY }, (_, i) => k(`many:${i}`));
const major = Number(version(module_).split('.')[0]);

const connect = async (options = {}) => {
  const client = redis.createClient({ url, ...options });
  client.on('error', (error) => { throw error; });
  return client.connect();
};
// A map is a plain object under RESP2 and one without a prototype under RESP3.
const plain = (map) => Object.fromEntries(Object.entries(map));
let c;

run({
  async connect() {
    c = await connect();
    assert.equal(await c.ping(), 'PONG');
    const named = await connect({ name: 'matrix' });
    assert.equal(await named.clientGetName(), 'matrix');
    assert.ok(await named.clientId() > 0);
    await named.quit();
  },
  async string() {
    assert.equal(await c.set(k('s'), '1', { EX: 100 }), 'OK');
    assert.equal(await c.get(k('s')), '1');
    assert.equal(await c.get(k('none')), null);
    assert.equal(await c.incrBy(k('s'), 41), 42);
    assert.ok(await c.ttl(k('s')) > 90);
  },
  async hash() {
    assert.equal(await c.hSet(k('h'), { a: 1, b: 'two' }), 2);
    assert.deepEqual(plain(await c.hGetAll(k('h'))), { a: '1', b: 'two' });
  },
  async list() {
    assert.equal(await c.rPush(k('l'), ['a', 'b', 'c']), 3);
    assert.deepEqual(await c.lRange(k('l'), 0, 1), ['a', 'b']);
  },
  async set() {
    assert.equal(await c.sAdd(k('set'), ['x', 'y']), 2);
    assert.deepEqual([...await c.sMembers(k('set'))].sort(), ['x', 'y']);
  },
  async zset() {
    assert.equal(await c.zAdd(k('z'), [{ score: 1, value: 'one' }, { score: 2.5, value: 'two' }]), 2);
    assert.equal(await c.zScore(k('z'), 'two'), 2.5);
    const found = await c.zRangeWithScores(k('z'), 0, -1);
    assert.deepEqual(found.map(plain), [{ value: 'one', score: 1 }, { value: 'two', score: 2.5 }]);
  },
  async stream() {
    assert.equal(await c.xAdd(k('x'), '5-1', { f: 'v' }), '5-1');
    const [entry] = await c.xRange(k('x'), '-', '+');
    assert.deepEqual([entry.id, plain(entry.message)], ['5-1', { f: 'v' }]);
  },
  async hyperloglog() {
    assert.equal(Number(await c.pfAdd(k('hll'), ['a', 'b', 'c'])), 1);
    assert.equal(await c.pfCount(k('hll')), 3);
  },
  async geo() {
    const places = [
      { longitude: 13.361389, latitude: 38.115556, member: 'Palermo' },
      { longitude: 15.087269, latitude: 37.502669, member: 'Catania' },
    ];
    assert.equal(await c.geoAdd(k('g'), places), 2);
    assert.equal(Math.round(await c.geoDist(k('g'), 'Palermo', 'Catania', 'km')), 166);
  },
  async bitmap() {
    assert.equal(await c.setBit(k('b'), 7, 1), 0);
    assert.equal(await c.bitCount(k('b')), 1);
  },
  async binary() {
    assert.equal(await c.set(k('binary'), BINARY), 'OK');
    const found = major === 4
      ? await c.get(redis.commandOptions({ returnBuffers: true }), k('binary'))
      : await c.withTypeMapping({ [redis.RESP_TYPES.BLOB_STRING]: Buffer }).get(k('binary'));
    assert.ok(BINARY.equals(found));
  },
  async pipeline() {
    // What is asked within one tick goes out as one pipeline.
    const asked = Array.from({ length: 500 }, (_, i) => [c.set(k(`p:${i}`), String(i)), c.get(k(`p:${i}`))]).flat();
    const replies = await Promise.all(asked);
    replies.forEach((reply, i) => assert.equal(reply, i % 2 === 0 ? 'OK' : String((i - 1) / 2)));
    const pipe = c.multi();
    for (let i = 0; i < 500; i += 1) pipe.set(k(`p:${i}`), String(i)).get(k(`p:${i}`));
    assert.deepEqual(await pipe.execAsPipeline(), replies);
  },
  async mget() {
    assert.equal(await c.mSet(Object.fromEntries(keys.map((key) => [key, key.toUpperCase()]))), 'OK');
    assert.deepEqual(await c.mGet([...keys, k('none')]), [...keys.map((key) => key.toUpperCase()), null]);
  },
  async scan() {
    await c.mSet(keys.map((key) => [key, '1']));
    const found = new Set();
    for await (const some of c.scanIterator({ MATCH: k('many:*'), COUNT: 20 })) [some].flat().forEach((key) => found.add(key));
    assert.deepEqual(keys.filter((key) => !found.has(key)), []);
  },
  async multi() {
    const tag = k('{tx}');
    const found = await c.multi().set(`${tag}:a`, '1').incr(`${tag}:a`).hSet(`${tag}:h`, 'f', 'v').get(`${tag}:a`).exec();
    assert.deepEqual(found, ['OK', 2, 1, '2']);
  },
  async watch() {
    const [key, mine] = [k('{watched}'), await connect()];
    await mine.set(key, '1');
    await mine.watch(key);
    await c.set(key, '10');
    await assert.rejects(mine.multi().set(key, '2').exec(), redis.WatchError);
    assert.equal(await c.get(key), '10');
    await mine.watch(key);
    assert.deepEqual(await mine.multi().incr(key).exec(), [11]);
    await mine.quit();
  },
  async eval() {
    const found = await c.eval("return redis.call('SET', KEYS[1], ARGV[1])", { keys: [k('e')], arguments: ['v'] });
    assert.equal(found, 'OK');
    const script = redis.defineScript({
      NUMBER_OF_KEYS: 1,
      SCRIPT: `return {redis.call('GET', KEYS[1]), ARGV[1]} -- ${prefix}`,
      transformArguments: (key, value) => [key, value],
      parseCommand(parser, key, value) { parser.pushKey(key); parser.push(value); },
      transformReply: (reply) => reply,
    });
    const scripted = await connect({ scripts: { both: script } });
    assert.deepEqual(await scripted.both(k('e'), 'x'), ['v', 'x']);
    assert.deepEqual(await scripted.both(k('e'), 'y'), ['v', 'y']);
    await scripted.quit();
  },
  async pubsub() {
    const listener = await connect();
    let heard;
    const message = new Promise((resolve) => { heard = resolve; });
    await listener.subscribe(k('channel'), (text, channel) => heard([channel, text]));
    assert.equal(await c.publish(k('channel'), 'hello'), 1);
    assert.deepEqual(await message, [k('channel'), 'hello']);
    await listener.unsubscribe(k('channel'));
    assert.equal(await c.publish(k('channel'), 'hello'), 0);
    // A plain connection again. Version 5 gives a Buffer here, over any server.
    assert.equal(String(await listener.get(k('s'))), '42');
    await listener.quit();
  },
  async pattern() {
    const listener = await connect();
    let heard;
    const message = new Promise((resolve) => { heard = resolve; });
    await listener.pSubscribe(k('pattern.*'), (text, channel) => heard([channel, text]));
    assert.equal(await c.publish(k('pattern.a'), 'hi'), 1);
    assert.deepEqual(await message, [k('pattern.a'), 'hi']);
    await listener.quit();
  },
  async blpop() {
    const other = await connect();
    const waiting = other.blPop(k('queue'), 15);
    for (let i = 0; i < 50; i += 1) await c.ping();
    await c.rPush(k('queue'), 'job');
    assert.deepEqual(plain(await waiting), { key: k('queue'), element: 'job' });
    assert.equal(await other.blPop(k('queue'), 0.05), null);
    await other.quit();
  },
  async resp3() {
    if (major === 4) return '-';
    const three = await connect({ RESP: 3 });
    assert.deepEqual(plain(await three.hGetAll(k('h'))), { a: '1', b: 'two' });
    assert.equal((await three.sendCommand(['HELLO', '3'])).proto, 3);
    assert.equal(await three.sendCommand(['ZSCORE', k('z'), 'two']), 2.5);
    // RESP3 lets a connection read while it listens.
    let heard;
    const message = new Promise((resolve) => { heard = resolve; });
    await three.subscribe(k('channel3'), (text) => heard(text));
    assert.equal(await three.get(k('s')), '42');
    assert.equal(await c.publish(k('channel3'), 'hello'), 1);
    assert.equal(await message, 'hello');
    await three.quit();
    const two = await connect({ RESP: 2 });
    assert.equal(await two.sendCommand(['ZSCORE', k('z'), 'two']), '2.5');
    return two.quit().then(() => 'ok');
  },
});
