"""redis-py (and its fork valkey-py) through the steps of the client matrix.

usage: redis_py.py PORT PREFIX MODULE [PROTOCOL]. Says `step ok` or `step FAIL reason`, one line per step.
"""

import importlib
import sys
import threading

from steps import BINARY, MANY, expect, run, skipped, step, version

port, prefix, module = int(sys.argv[1]), sys.argv[2], sys.argv[3]
options = {"protocol": int(sys.argv[4])} if len(sys.argv) > 4 else {}
try:
    library = importlib.import_module(module)
except ImportError as error:
    skipped(error)
version(library.__version__)
Client = getattr(library, {"redis": "Redis", "valkey": "Valkey"}[module])


def connect(**more):
    return Client(host="127.0.0.1", port=port, **options, **more)


def k(name):
    return f"{prefix}:{name}"


c = connect()
keys = [k(f"many:{i}") for i in range(MANY)]


@step("connect")
def _():
    expect("ping", c.ping(), True)
    named = connect(client_name="matrix")
    expect("name", named.client_getname() in ("matrix", b"matrix"), True)
    expect("id", named.client_id() > 0, True)
    expect("echo", c.echo("hello"), b"hello")


@step("string")
def _():
    expect("set", c.set(k("s"), "1"), True)
    expect("get", c.get(k("s")), b"1")
    expect("get of nothing", c.get(k("none")), None)
    expect("incr", c.incr(k("s"), 41), 42)
    expect("set nx", c.set(k("s"), "2", nx=True), None)
    expect("append", c.append(k("s"), "xyz"), 5)
    expect("getrange", c.getrange(k("s"), 1, 2), b"2x")
    expect("expire", c.expire(k("s"), 100), True)
    expect("ttl", 90 <= c.ttl(k("s")) <= 100, True)
    expect("type", c.type(k("s")), b"string")
    expect("getdel", c.getdel(k("s")), b"42xyz")


@step("hash")
def _():
    expect("hset", c.hset(k("h"), mapping={"a": 1, "b": "two"}), 2)
    expect("hgetall", c.hgetall(k("h")), {b"a": b"1", b"b": b"two"})
    expect("hincrby", c.hincrby(k("h"), "a", 2), 3)
    expect("hmget", c.hmget(k("h"), "a", "none"), [b"3", None])
    expect("hscan_iter", dict(c.hscan_iter(k("h"))), {b"a": b"3", b"b": b"two"})


@step("list")
def _():
    expect("rpush", c.rpush(k("l"), *range(10)), 10)
    expect("lrange", c.lrange(k("l"), 0, 1), [b"0", b"1"])
    expect("lpop", c.lpop(k("l"), 2), [b"0", b"1"])
    expect("llen", c.llen(k("l")), 8)


@step("set")
def _():
    expect("sadd", c.sadd(k("set"), "x", "y"), 2)
    expect("smembers", sorted(c.smembers(k("set"))), [b"x", b"y"])
    expect("sismember", bool(c.sismember(k("set"), "x")), True)


@step("zset")
def _():
    expect("zadd", c.zadd(k("z"), {"one": 1, "two": 2.5}), 2)
    expect("zscore", c.zscore(k("z"), "two"), 2.5)
    expect("zrange", [tuple(e) for e in c.zrange(k("z"), 0, -1, withscores=True)], [(b"one", 1.0), (b"two", 2.5)])
    expect("zincrby", c.zincrby(k("z"), 1, "one"), 2.0)
    expect("zpopmin", [tuple(e) for e in c.zpopmin(k("z"))], [(b"one", 2.0)])


@step("stream")
def _():
    expect("xadd", c.xadd(k("x"), {"f": "v"}, id="5-1"), b"5-1")
    expect("xrange", [tuple(e) for e in c.xrange(k("x"))], [(b"5-1", {b"f": b"v"})])
    expect("xgroup", c.xgroup_create(k("x"), "g", "0"), True)
    expect("xreadgroup", b"5-1" in repr(c.xreadgroup("g", "me", {k("x"): ">"})).encode(), True)
    expect("xack", c.xack(k("x"), "g", "5-1"), 1)


@step("hyperloglog")
def _():
    expect("pfadd", c.pfadd(k("hll"), "a", "b", "c"), 1)
    expect("pfcount", c.pfcount(k("hll")), 3)


@step("geo")
def _():
    expect("geoadd", c.geoadd(k("g"), (13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania")), 2)
    expect("geodist", round(c.geodist(k("g"), "Palermo", "Catania", "km")), 166)
    found = c.geosearch(k("g"), longitude=15, latitude=37, radius=200, unit="km", sort="ASC")
    expect("geosearch", found, [b"Catania", b"Palermo"])


@step("bitmap")
def _():
    expect("setbit", c.setbit(k("b"), 7, 1), 0)
    expect("getbit", c.getbit(k("b"), 7), 1)
    expect("bitcount", c.bitcount(k("b")), 1)


@step("binary")
def _():
    expect("set of 1 MiB", c.set(k("binary"), BINARY), True)
    expect("get of 1 MiB", c.get(k("binary")) == BINARY, True)


@step("pipeline")
def _():
    with c.pipeline(transaction=False) as pipe:
        for i in range(500):
            pipe.set(k(f"p:{i}"), i).get(k(f"p:{i}"))
        expect("replies", pipe.execute(), [r for i in range(500) for r in (True, str(i).encode())])


@step("mget")
def _():
    expect("mset", c.mset({key: key.upper() for key in keys}), True)
    expect("mget", c.mget(keys + [k("none")]), [key.upper().encode() for key in keys] + [None])


@step("scan")
def _():
    c.mset({key: 1 for key in keys})
    found = {key.decode() for key in c.scan_iter(match=k("many:*"), count=20)}
    expect("keys not seen", [key for key in keys if key not in found], [])
    expect("all keys include them", {key.decode() for key in c.scan_iter(count=1000)} >= set(keys), True)


@step("multi")
def _():
    tag = k("{tx}")
    with c.pipeline() as pipe:
        found = pipe.set(f"{tag}:a", 1).incr(f"{tag}:a").hset(f"{tag}:h", "f", "v").mget(f"{tag}:a", f"{tag}:n").execute()
    expect("replies", found, [True, 2, 1, [b"2", None]])
    with c.pipeline() as pipe:
        found = pipe.set(f"{tag}:a", "x").incr(f"{tag}:a").get(f"{tag}:a").execute(raise_on_error=False)
    expect("replies with an error", [type(r).__name__ for r in found], ["bool", "ResponseError", "bytes"])


@step("watch")
def _():
    key, other = k("{watched}"), connect()
    c.set(key, 1)
    with c.pipeline() as pipe:
        pipe.watch(key)
        value = int(pipe.get(key))
        other.set(key, 10)
        pipe.multi()
        pipe.set(key, value + 1)
        try:
            raise AssertionError(f"no conflict: {pipe.execute()!r}")
        except library.WatchError:
            pass
    expect("the other's value", c.get(key), b"10")
    expect("without a conflict", c.transaction(lambda pipe: (pipe.multi(), pipe.incr(key)), key), [11])


@step("eval")
def _():
    expect("eval", c.eval("return redis.call('SET', KEYS[1], ARGV[1])", 1, k("e"), "v"), b"OK")
    script = c.register_script(f"return {{redis.call('GET', KEYS[1]), ARGV[1]}} -- {prefix}")
    expect("a script the server does not know", script(keys=[k("e")], args=["x"]), [b"v", b"x"])
    expect("the same again", script(keys=[k("e")], args=["y"]), [b"v", b"y"])
    expect("script exists", c.script_exists(script.sha, "0" * 40), [True, False])


@step("pubsub")
def _():
    listener = c.pubsub()
    listener.subscribe(k("channel"))
    expect("confirmed", listener.get_message(timeout=10)["type"], "subscribe")
    expect("receivers", c.publish(k("channel"), "hello"), 1)
    message = listener.get_message(timeout=10)
    expect("message", (message["channel"], message["data"]), (k("channel").encode(), b"hello"))
    listener.unsubscribe()
    expect("end", listener.get_message(timeout=10)["type"], "unsubscribe")
    listener.close()


@step("pattern")
def _():
    listener = c.pubsub(ignore_subscribe_messages=True)
    listener.psubscribe(k("pattern.*"))
    expect("confirmation hidden", listener.get_message(timeout=10), None)
    expect("receivers", c.publish(k("pattern.a"), "hi"), 1)
    message = listener.get_message(timeout=10)
    expect("message", (message["type"], message["channel"], message["data"]), ("pmessage", k("pattern.a").encode(), b"hi"))
    listener.close()


@step("blpop")
def _():
    got = []
    waiter = threading.Thread(target=lambda: got.append(connect().blpop([k("queue")], timeout=15)))
    waiter.start()
    for _ in range(50):
        c.ping()
    c.rpush(k("queue"), "job")
    waiter.join()
    expect("what woke it", [tuple(reply) for reply in got], [(k("queue").encode(), b"job")])
    expect("a time-out", connect().blpop([k("queue")], timeout=0.05), None)


@step("resp3")
def _():
    three = Client(host="127.0.0.1", port=port, protocol=3)
    three.hset(k("h3"), mapping={"a": 1})
    expect("map", three.hgetall(k("h3")), {b"a": b"1"})
    three.zadd(k("z3"), {"a": 1.5})
    expect("double", three.zscore(k("z3"), "a"), 1.5)
    three.sadd(k("s3"), "m")
    expect("set", three.sismember(k("s3"), "m") in (1, True), True)
    expect("null", three.get(k("none")), None)
    hello = three.execute_command("HELLO", "3")
    proto = {**hello}.get(b"proto", {**hello}.get("proto"))
    expect("protocol", proto, 3)
    two = Client(host="127.0.0.1", port=port, protocol=2)
    expect("RESP2 beside it", two.hgetall(k("h3")), {b"a": b"1"})


run()
