"""What a Python service does with redis-py, with its defaults: connect, read, write, pipeline, binary values.

usage: redis_py.py PORT PROTOCOL. Ends with status 0 and the line `ok` when every step held.
"""

import sys
import threading

import redis

port, protocol = int(sys.argv[1]), int(sys.argv[2])
client = redis.Redis(host="127.0.0.1", port=port, protocol=protocol, socket_timeout=20)


def expect(what, found, wanted):
    if found != wanted:
        raise SystemExit(f"{what}: found {found!r}, wanted {wanted!r}")


expect("ping", client.ping(), True)
expect("set", client.set("py:a", "1"), True)
expect("get", client.get("py:a"), b"1")
expect("get of nothing", client.get("py:nothing"), None)
expect("incr", client.incr("py:count", 5), 5)

expect("hset", client.hset("py:hash", mapping={"a": 1, "b": 2}), 2)
expect("hgetall", client.hgetall("py:hash"), {b"a": b"1", b"b": b"2"})
expect("sadd", client.sadd("py:set", "x", "y"), 2)
expect("smembers", client.smembers("py:set"), {b"x", b"y"})
expect("zadd", client.zadd("py:zset", {"one": 1, "two": 2.5}), 2)
expect("zscore", client.zscore("py:zset", "two"), 2.5)
expect("rpush", client.rpush("py:list", *range(100)), 100)
expect("lrange", client.lrange("py:list", 0, 2), [b"0", b"1", b"2"])
expect("xadd", client.xadd("py:stream", {"f": "v"}, id="5-1"), b"5-1")
expect("expire", client.expire("py:a", 100), True)
expect("ttl", 98 <= client.ttl("py:a") <= 100, True)

keys = [f"py:many:{i}" for i in range(200)]
expect("mset over all shards", client.mset({key: key.upper() for key in keys}), True)
expect("mget over all shards", client.mget(keys + ["py:nothing"]), [k.upper().encode() for k in keys] + [None])
expect("exists", client.exists(*keys, keys[0]), 201)
expect("touch", client.touch(*keys), 200)
expect("unlink", client.unlink(*keys[:50]), 50)
expect("delete", client.delete(*keys), 150)

# The default pipeline is a transaction: here on one key.
with client.pipeline() as pipe:
    expect(
        "transaction on one key",
        pipe.set("py:tx", "1").incr("py:tx").get("py:tx").expire("py:tx", 60).execute(),
        [True, 2, b"2", True],
    )
with client.pipeline(transaction=False) as pipe:
    for i in range(1000):
        pipe.set(f"py:p:{i}", i)
        pipe.get(f"py:p:{i}")
    replies = pipe.execute()
    expect("pipeline", replies, [r for i in range(1000) for r in (True, str(i).encode())])
with client.pipeline(transaction=False) as pipe:
    replies = pipe.set("py:text", "x").incr("py:text").get("py:text").execute(raise_on_error=False)
    expect("pipeline with an error", [type(r).__name__ for r in replies], ["bool", "ResponseError", "bytes"])

binary = bytes(range(256)) * 4096
expect("set of 1 MiB", client.set("py:binary", binary), True)
expect("get of 1 MiB", client.get("py:binary") == binary, True)
expect("append", client.append("py:binary", binary), 2 * len(binary))
expect("strlen", client.strlen("py:binary"), 2 * len(binary))

try:
    client.lpush("py:text", "no list")
    raise SystemExit("lpush on a string passed")
except redis.ResponseError as error:
    expect("wrong type", str(error).startswith("WRONGTYPE"), True)
try:
    client.execute_command("NOSUCHCOMMAND", "x")
    raise SystemExit("an unknown command passed")
except redis.ResponseError as error:
    expect("unknown command", str(error).startswith("unknown command 'NOSUCHCOMMAND'"), True)
expect("the connection lives on", client.ping(), True)

named = redis.Redis(port=port, protocol=protocol, client_name="worker-1", db=0, health_check_interval=1)
expect("named client", named.client_getname() in (b"worker-1", "worker-1"), True)


def work(number, failures):
    mine = redis.Redis(port=port, protocol=protocol)
    for i in range(100):
        if mine.set(f"py:t{number}:{i}", i) is not True or mine.get(f"py:t{number}:{i}") != str(i).encode():
            failures.append((number, i))


failures = []
threads = [threading.Thread(target=work, args=(n, failures)) for n in range(20)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
expect("twenty threads", failures, [])
print("ok")
