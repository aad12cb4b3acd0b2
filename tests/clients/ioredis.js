// What a Node service does with ioredis, with its defaults: one shared connection, auto-pipelining, pipelines.
//
// usage: node ioredis.js PORT. Ends with status 0 and the line `ok` when every step held.
'use strict';
const assert = require('node:assert/strict');
const Redis = require('ioredis');

const port = Number(process.argv[2]);

async function main() {
  const redis = new Redis(port, '127.0.0.1');
  redis.on('error', (error) => { throw error; });
  assert.equal(await redis.ping(), 'PONG');
  assert.equal(await redis.set('js:a', '1'), 'OK');
  assert.equal(await redis.get('js:a'), '1');
  assert.equal(await redis.get('js:nothing'), null);
  assert.equal(await redis.hset('js:hash', { a: 1, b: 2 }), 2);
  assert.deepEqual(await redis.hgetall('js:hash'), { a: '1', b: '2' });

  // Many at once over one connection: each promise gets its own reply.
  const keys = Array.from({ length: 500 }, (_, i) => `js:many:${i}`);
  await Promise.all(keys.map((key) => redis.set(key, key.toUpperCase())));
  assert.deepEqual(await Promise.all(keys.map((key) => redis.get(key))), keys.map((key) => key.toUpperCase()));
  assert.deepEqual(await redis.mget(keys), keys.map((key) => key.toUpperCase()));
  assert.equal(await redis.del(keys), 500);

  const pipeline = redis.pipeline();
  for (let i = 0; i < 1000; i += 1) pipeline.set(`js:p:${i}`, i).get(`js:p:${i}`);
  const replies = await pipeline.exec();
  assert.equal(replies.length, 2000);
  replies.forEach(([error, reply], i) => {
    assert.equal(error, null);
    assert.equal(reply, i % 2 === 0 ? 'OK' : String((i - 1) / 2));
  });

  const transaction = await redis.multi().set('js:tx', 1).incr('js:tx').get('js:tx').exec();
  assert.deepEqual(transaction, [[null, 'OK'], [null, 2], [null, '2']]);

  const binary = Buffer.alloc(1 << 20, 'binary \u00ff\r\n');
  assert.equal(await redis.set('js:binary', binary), 'OK');
  assert.ok(binary.equals(await redis.getBuffer('js:binary')));

  await assert.rejects(redis.lpush('js:a', 'no list'), /WRONGTYPE/);
  await assert.rejects(redis.call('NOSUCHCOMMAND', 'x'), /unknown command/i);

  const auto = new Redis({ port, host: '127.0.0.1', enableAutoPipelining: true });
  assert.deepEqual(await Promise.all([auto.incr('js:n'), auto.incr('js:n'), auto.get('js:n')]), [1, 2, '2']);
  assert.equal(await redis.quit(), 'OK');
  assert.equal(await auto.quit(), 'OK');
  console.log('ok');
}

main().catch((error) => { console.error(error); process.exit(1); });
