"""What Python services do with a cached value: read it with its TTL in redis-py's default pipeline, which is a MULTI.

usage: redis_py_cache.py PROTOCOL PORT... (the gateways, over the same shards; the plugin cache on cache:*)
Many users share one key that expires again and again. Ends with status 0 and the line `ok` when every step held.
"""

import sys
import threading

import redis

protocol, ports = int(sys.argv[1]), [int(port) for port in sys.argv[2:]]
USERS, EXPIRIES, KEY = 40, 5, "cache:py"
clients = [redis.Redis(host="127.0.0.1", port=port, protocol=protocol, socket_timeout=25) for port in ports]


def expect(what, found, wanted):
    if found != wanted:
        raise SystemExit(f"{what}: found {found!r}, wanted {wanted!r}")


def read(client):
    with client.pipeline() as pipe:
        return pipe.get(KEY).ttl(KEY).execute()


def store(client, value, soft_ms):
    with client.pipeline() as pipe:
        expect("store", pipe.psetex(KEY, soft_ms, value).execute(), [True])


def ask_as_many_users():
    """Every user's reply to `read`, all asked at once, each over a connection of its own."""
    found, start = [None] * USERS, threading.Barrier(USERS)

    def user(number):
        start.wait()
        found[number] = read(clients[number % len(clients)])

    threads = [threading.Thread(target=user, args=(number,)) for number in range(USERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


store(clients[0], "0", 5)
for expiry in range(EXPIRIES):
    while clients[expiry % len(clients)].pttl(KEY) > 0:
        pass
    replies = ask_as_many_users()
    leaders = [number for number, reply in enumerate(replies) if reply == [None, 0]]
    expect(f"expiry {expiry}: told to compute", len(leaders), 1)
    old = [str(expiry).encode(), 0]
    expect(f"expiry {expiry}: the others", [r for r in replies if r[0] is not None], [old] * (USERS - 1))
    store(clients[leaders[0] % len(clients)], str(expiry + 1), 5)

with clients[0].pipeline() as pipe:
    expect("setex, ttl, get", pipe.setex(KEY, 100, "long").ttl(KEY).get(KEY).execute(), [True, 100, b"long"])
expect("get over the other gateway", clients[-1].get(KEY), b"long")
with clients[0].pipeline() as pipe:
    expect("expire and delete", pipe.expire(KEY, 200).ttl(KEY).delete(KEY).get(KEY).execute()[:3], [True, 200, 1])
print("ok")
