"""valkey-glide for Python, asynchronous and synchronous, through the steps of the client matrix.

usage: valkey_glide.py PORT PREFIX MODULE (glide or glide_sync). Says `step ok` or `step FAIL reason`, one line per step.
"""

import asyncio
import importlib
import importlib.metadata
import inspect
import sys

from steps import BINARY, MANY, expect, run_async, skipped, step, version

port, prefix, module = int(sys.argv[1]), sys.argv[2], sys.argv[3]
try:
    glide = importlib.import_module(module)
except ImportError as missing:
    skipped(missing)
version(importlib.metadata.version({"glide": "valkey-glide", "glide_sync": "valkey-glide-sync"}[module]))
# A request that waits as long as BLPOP does would run into the default time-out of 250 ms by glide's own rules.
OPTIONS = {"addresses": [glide.NodeAddress("127.0.0.1", port)], "request_timeout": 10000}


async def now(value):
    """The value, awaited where the library is asynchronous."""
    return await value if inspect.isawaitable(value) else value


async def aside(call, *args):
    """Starts a call that waits, without waiting for it."""
    if module == "glide":
        return asyncio.create_task(call(*args))
    return asyncio.create_task(asyncio.to_thread(call, *args))


async def connect(**more):
    return await now(glide.GlideClient.create(glide.GlideClientConfiguration(**OPTIONS, **more)))


def k(name):
    return f"{prefix}:{name}"


keys = [k(f"many:{i}") for i in range(MANY)]


@step("connect")
async def _():
    global c
    c = await connect()
    expect("ping", await now(c.ping()), b"PONG")
    named = await connect(client_name="matrix")
    expect("name", await now(named.client_getname()), b"matrix")
    expect("id", await now(named.client_id()) > 0, True)
    await now(named.close())


@step("string")
async def _():
    expect("set", await now(c.set(k("s"), "1")), "OK")
    expect("get", await now(c.get(k("s"))), b"1")
    expect("get of nothing", await now(c.get(k("none"))), None)
    expect("incr", await now(c.incrby(k("s"), 41)), 42)
    expect("expire", await now(c.expire(k("s"), 100)), True)
    expect("ttl", 90 <= await now(c.ttl(k("s"))) <= 100, True)


@step("hash")
async def _():
    expect("hset", await now(c.hset(k("h"), {"a": "1", "b": "two"})), 2)
    expect("hgetall", await now(c.hgetall(k("h"))), {b"a": b"1", b"b": b"two"})


@step("list")
async def _():
    expect("rpush", await now(c.rpush(k("l"), ["a", "b", "c"])), 3)
    expect("lrange", await now(c.lrange(k("l"), 0, 1)), [b"a", b"b"])


@step("set")
async def _():
    expect("sadd", await now(c.sadd(k("set"), ["x", "y"])), 2)
    expect("smembers", sorted(await now(c.smembers(k("set")))), [b"x", b"y"])


@step("zset")
async def _():
    expect("zadd", await now(c.zadd(k("z"), {"one": 1, "two": 2.5})), 2)
    expect("zscore", await now(c.zscore(k("z"), "two")), 2.5)
    found = await now(c.zrange_withscores(k("z"), glide.RangeByIndex(0, -1)))
    expect("zrange", found, {b"one": 1.0, b"two": 2.5})


@step("stream")
async def _():
    id = await now(c.xadd(k("x"), [("f", "v")]))
    found = await now(c.xrange(k("x"), glide.MinId(), glide.MaxId()))
    expect("xrange", found, {id: [[b"f", b"v"]]})


@step("hyperloglog")
async def _():
    expect("pfadd", bool(await now(c.pfadd(k("hll"), ["a", "b", "c"]))), True)
    expect("pfcount", await now(c.pfcount([k("hll")])), 3)


@step("geo")
async def _():
    places = {"Palermo": glide.GeospatialData(13.361389, 38.115556), "Catania": glide.GeospatialData(15.087269, 37.502669)}
    expect("geoadd", await now(c.geoadd(k("g"), places)), 2)
    found = await now(c.geodist(k("g"), "Palermo", "Catania", glide.GeoUnit.KILOMETERS))
    expect("geodist", round(found), 166)


@step("bitmap")
async def _():
    expect("setbit", await now(c.setbit(k("b"), 7, 1)), 0)
    expect("bitcount", await now(c.bitcount(k("b"))), 1)


@step("binary")
async def _():
    expect("set of 1 MiB", await now(c.set(k("binary"), BINARY)), "OK")
    expect("get of 1 MiB", await now(c.get(k("binary"))) == BINARY, True)


@step("pipeline")
async def _():
    batch = glide.Batch(is_atomic=False)
    for i in range(500):
        batch.set(k(f"p:{i}"), str(i)).get(k(f"p:{i}"))
    found = await now(c.exec(batch, raise_on_error=True))
    expect("replies", found, [r for i in range(500) for r in ("OK", str(i).encode())])


@step("mget")
async def _():
    expect("mset", await now(c.mset({key: key.upper() for key in keys})), "OK")
    expect("mget", await now(c.mget(keys + [k("none")])), [key.upper().encode() for key in keys] + [None])


@step("scan")
async def _():
    await now(c.mset({key: "1" for key in keys}))
    cursor, found = b"0", set()
    while True:
        cursor, some = await now(c.scan(cursor, match=k("many:*"), count=20))
        found.update(key.decode() for key in some)
        if cursor == b"0":
            break
    expect("keys not seen", [key for key in keys if key not in found], [])


@step("multi")
async def _():
    tag = k("{tx}")
    batch = glide.Batch(is_atomic=True).set(f"{tag}:a", "1").incr(f"{tag}:a").hset(f"{tag}:h", {"f": "v"}).get(f"{tag}:a")
    expect("replies", await now(c.exec(batch, raise_on_error=True)), ["OK", 2, 1, b"2"])


@step("watch")
async def _():
    key, other = k("{watched}"), await connect()
    await now(c.set(key, "1"))
    expect("watch", await now(c.watch([key])), "OK")
    await now(other.set(key, "10"))
    expect("conflict", await now(c.exec(glide.Batch(is_atomic=True).set(key, "2"), raise_on_error=True)), None)
    expect("the other's value", await now(c.get(key)), b"10")
    await now(other.close())


@step("eval")
async def _():
    await now(c.set(k("e"), "v"))
    found = await now(c.custom_command(["EVAL", "return redis.call('GET', KEYS[1])", "1", k("e")]))
    expect("eval", found, b"v")
    script = glide.Script(f"return {{redis.call('GET', KEYS[1]), ARGV[1]}} -- {prefix}")
    found = await now(c.invoke_script(script, keys=[k("e")], args=["x"]))
    expect("a script the server does not know", found, [b"v", b"x"])
    found = await now(c.invoke_script(script, keys=[k("e")], args=["y"]))
    expect("the same again", found, [b"v", b"y"])


async def listen(channels, patterns, channel):
    modes = glide.GlideClientConfiguration.PubSubChannelModes
    subscriptions = glide.GlideClientConfiguration.PubSubSubscriptions(
        channels_and_patterns={modes.Exact: channels, modes.Pattern: patterns}, callback=None, context=None
    )
    listener = await connect(pubsub_subscriptions=subscriptions)
    waiting = await aside(listener.get_pubsub_message)
    # It subscribes behind its start; who publishes sees when.
    for _ in range(10000):
        if await now(c.publish("hello", channel)) == 1:
            break
    message = await waiting
    expect("message", (message.channel, message.message), (channel.encode(), b"hello"))
    await now(listener.close())


@step("pubsub")
async def _():
    await listen({k("channel")}, set(), k("channel"))


@step("pattern")
async def _():
    await listen(set(), {k("pattern.*")}, k("pattern.a"))


@step("blpop")
async def _():
    other = await connect()
    waiting = await aside(other.blpop, [k("queue")], 15)
    for _ in range(50):
        await now(c.ping())
    await now(c.rpush(k("queue"), ["job"]))
    expect("what woke it", await waiting, [k("queue").encode(), b"job"])
    await now(other.close())


@step("resp3")
async def _():
    hello = await now(c.custom_command(["HELLO"]))
    expect("its default", hello[b"proto"], 3)
    two = await connect(protocol=glide.ProtocolVersion.RESP2)
    expect("RESP2 beside it", await now(two.hgetall(k("h"))), {b"a": b"1", b"b": b"two"})
    await now(two.close())


asyncio.run(run_async())
