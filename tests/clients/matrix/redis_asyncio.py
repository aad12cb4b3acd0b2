"""redis-py's asyncio half through the steps of the client matrix.

usage: redis_asyncio.py PORT PREFIX. Says `step ok` or `step FAIL reason`, one line per step.
"""

import asyncio
import sys

from steps import BINARY, MANY, expect, run_async, skipped, step, version

try:
    import redis
except ImportError as missing:
    skipped(missing)
from redis import asyncio as aio

port, prefix = int(sys.argv[1]), sys.argv[2]
version(redis.__version__)


def connect(**more):
    return aio.Redis(host="127.0.0.1", port=port, **more)


def k(name):
    return f"{prefix}:{name}"


c = connect()
keys = [k(f"many:{i}") for i in range(MANY)]


@step("connect")
async def _():
    expect("ping", await c.ping(), True)
    async with connect(client_name="matrix") as named:
        expect("name", await named.client_getname() in ("matrix", b"matrix"), True)
    expect("fifty at once", await asyncio.gather(*(c.echo(str(i)) for i in range(50))), [str(i).encode() for i in range(50)])


@step("string")
async def _():
    expect("set", await c.set(k("s"), "1", ex=100), True)
    expect("get", await c.get(k("s")), b"1")
    expect("get of nothing", await c.get(k("none")), None)
    expect("incr", await c.incr(k("s"), 41), 42)
    expect("ttl", 90 <= await c.ttl(k("s")) <= 100, True)


@step("hash")
async def _():
    expect("hset", await c.hset(k("h"), mapping={"a": 1, "b": "two"}), 2)
    expect("hgetall", await c.hgetall(k("h")), {b"a": b"1", b"b": b"two"})
    expect("hscan_iter", {f: v async for f, v in c.hscan_iter(k("h"))}, {b"a": b"1", b"b": b"two"})


@step("list")
async def _():
    expect("rpush", await c.rpush(k("l"), *range(10)), 10)
    expect("lrange", await c.lrange(k("l"), 0, 1), [b"0", b"1"])


@step("set")
async def _():
    expect("sadd", await c.sadd(k("set"), "x", "y"), 2)
    expect("smembers", sorted(await c.smembers(k("set"))), [b"x", b"y"])


@step("zset")
async def _():
    expect("zadd", await c.zadd(k("z"), {"one": 1, "two": 2.5}), 2)
    expect("zscore", await c.zscore(k("z"), "two"), 2.5)
    found = await c.zrange(k("z"), 0, -1, withscores=True)
    expect("zrange", [tuple(e) for e in found], [(b"one", 1.0), (b"two", 2.5)])


@step("stream")
async def _():
    expect("xadd", await c.xadd(k("x"), {"f": "v"}, id="5-1"), b"5-1")
    expect("xrange", [tuple(e) for e in await c.xrange(k("x"))], [(b"5-1", {b"f": b"v"})])


@step("hyperloglog")
async def _():
    expect("pfadd", await c.pfadd(k("hll"), "a", "b", "c"), 1)
    expect("pfcount", await c.pfcount(k("hll")), 3)


@step("geo")
async def _():
    expect("geoadd", await c.geoadd(k("g"), (13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania")), 2)
    expect("geodist", round(await c.geodist(k("g"), "Palermo", "Catania", "km")), 166)


@step("bitmap")
async def _():
    expect("setbit", await c.setbit(k("b"), 7, 1), 0)
    expect("bitcount", await c.bitcount(k("b")), 1)


@step("binary")
async def _():
    expect("set of 1 MiB", await c.set(k("binary"), BINARY), True)
    expect("get of 1 MiB", await c.get(k("binary")) == BINARY, True)


@step("pipeline")
async def _():
    async with c.pipeline(transaction=False) as pipe:
        for i in range(500):
            pipe.set(k(f"p:{i}"), i).get(k(f"p:{i}"))
        expect("replies", await pipe.execute(), [r for i in range(500) for r in (True, str(i).encode())])


@step("mget")
async def _():
    expect("mset", await c.mset({key: key.upper() for key in keys}), True)
    expect("mget", await c.mget(keys + [k("none")]), [key.upper().encode() for key in keys] + [None])


@step("scan")
async def _():
    await c.mset({key: 1 for key in keys})
    found = {key.decode() async for key in c.scan_iter(match=k("many:*"), count=20)}
    expect("keys not seen", [key for key in keys if key not in found], [])


@step("multi")
async def _():
    tag = k("{tx}")
    async with c.pipeline() as pipe:
        found = await pipe.set(f"{tag}:a", 1).incr(f"{tag}:a").hset(f"{tag}:h", "f", "v").hgetall(f"{tag}:h").execute()
    expect("replies", found, [True, 2, 1, {b"f": b"v"}])


@step("watch")
async def _():
    key = k("{watched}")
    await c.set(key, 1)
    async with c.pipeline() as pipe:
        await pipe.watch(key)
        value = int(await pipe.get(key))
        await c.set(key, 10)
        pipe.multi()
        pipe.set(key, value + 1)
        try:
            raise AssertionError(f"no conflict: {await pipe.execute()!r}")
        except redis.WatchError:
            pass
    expect("the other's value", await c.get(key), b"10")


@step("eval")
async def _():
    expect("eval", await c.eval("return redis.call('SET', KEYS[1], ARGV[1])", 1, k("e"), "v"), b"OK")
    script = c.register_script(f"return {{redis.call('GET', KEYS[1]), ARGV[1]}} -- {prefix}")
    expect("a script the server does not know", await script(keys=[k("e")], args=["x"]), [b"v", b"x"])
    expect("the same again", await script(keys=[k("e")], args=["y"]), [b"v", b"y"])


@step("pubsub")
async def _():
    async with c.pubsub() as listener:
        await listener.subscribe(k("channel"))
        expect("confirmed", (await listener.get_message(timeout=10))["type"], "subscribe")
        expect("receivers", await c.publish(k("channel"), "hello"), 1)
        message = await listener.get_message(timeout=10)
        expect("message", (message["channel"], message["data"]), (k("channel").encode(), b"hello"))


@step("pattern")
async def _():
    async with c.pubsub() as listener:
        await listener.psubscribe(k("pattern.*"))
        expect("confirmed", (await listener.get_message(timeout=10))["type"], "psubscribe")
        expect("receivers", await c.publish(k("pattern.a"), "hi"), 1)
        message = await listener.get_message(timeout=10)
        expect("message", (message["channel"], message["data"]), (k("pattern.a").encode(), b"hi"))


@step("blpop")
async def _():
    waiting = asyncio.create_task(connect().blpop([k("queue")], timeout=15))
    for _ in range(50):
        await c.ping()
    await c.rpush(k("queue"), "job")
    expect("what woke it", tuple(await waiting), (k("queue").encode(), b"job"))
    waiting = asyncio.create_task(connect().xread({k("x"): "$"}, block=15000))
    for _ in range(50):
        await c.ping()
    while not waiting.done():  # `$` means after its start, which only an answer proves
        await c.xadd(k("x"), {"f": "later"})
        await asyncio.wait([waiting], timeout=0.05)
    expect("xread", b"later" in repr(await waiting).encode(), True)


@step("resp3")
async def _():
    async with connect(protocol=3) as three:
        await three.zadd(k("z3"), {"a": 1.5})
        expect("double", await three.zscore(k("z3"), "a"), 1.5)
        hello = await three.execute_command("HELLO", "3")
        expect("protocol", hello.get(b"proto", hello.get("proto")), 3)
    async with connect(protocol=2) as two:
        expect("RESP2 beside it", await two.zscore(k("z3"), "a"), 1.5)


asyncio.run(run_async())
