"""A script as people wrote it for one plain Redis: redis-py with its defaults, and no thought of shards.

usage: plain_redis_script.py PORT. It runs against a plain server and against the gateway; ends with the line `ok`.
"""

import sys
import threading

import redis

r = redis.Redis(port=int(sys.argv[1]), decode_responses=True)


def expect(what, found, wanted):
    if found != wanted:
        raise SystemExit(f"{what}: found {found!r}, wanted {wanted!r}")


# Some users, each under a key of its own.
for number in range(30):
    r.hset(f"user:{number}", mapping={"name": f"n{number}", "visits": number})
    r.set(f"session:{number}", f"token{number}", ex=600)

# A page of them, read in one go: pipeline() is a transaction by default.
with r.pipeline() as pipe:
    for number in range(30):
        pipe.hgetall(f"user:{number}")
        pipe.get(f"session:{number}")
    page = pipe.execute()
wanted = [value for n in range(30) for value in ({"name": f"n{n}", "visits": str(n)}, f"token{n}")]
expect("transaction that reads many keys", page, wanted)

# An order, written in one go under one hash tag.
with r.pipeline() as pipe:
    pipe.hset("{order:7}", "state", "new")
    pipe.rpush("{order:7}:lines", "apple", "pear")
    pipe.incr("{order:7}:version")
    pipe.expire("{order:7}:lines", 600)
    expect("transaction that writes", pipe.execute(), [1, 2, 1, True])


# A change that starts again when somebody else was faster.
def pay(pipe):
    version = int(pipe.get("{order:7}:version"))
    pipe.multi()
    pipe.hset("{order:7}", "state", "paid")
    pipe.set("{order:7}:version", version + 1)


expect("transaction with WATCH", r.transaction(pay, "{order:7}:version"), [0, True])

# A script that gets its key as an argument, as many do that never met a cluster.
count = r.register_script("return redis.call('INCRBY', ARGV[1], ARGV[2])")
expect("script without KEYS", [count(args=["hits", 5]), count(args=["hits", 2])], [5, 7])
expect("what it wrote", r.get("hits"), "7")
with r.pipeline() as pipe:
    count(args=["hits", 1], client=pipe)
    expect("script in a transaction", pipe.execute(), [8])

# Workers that wait for jobs and say when they are done.
done = r.pubsub(ignore_subscribe_messages=True)
done.subscribe("done")
done.psubscribe("state.*")
expect("two confirmations", [done.get_message(timeout=10), done.get_message(timeout=10)], [None, None])


def worker():
    own = redis.Redis(port=int(sys.argv[1]), decode_responses=True)
    while True:
        _, job = own.blpop("jobs", timeout=30)
        if job == "stop":
            own.publish("state.worker", "stopped")
            return
        own.publish("done", job)


thread = threading.Thread(target=worker)
thread.start()
for job in ("one", "two", "stop"):
    r.rpush("jobs", job)
heard = []
while len(heard) < 3:
    message = done.get_message(timeout=15)
    if message is None:
        raise SystemExit(f"no message came after {heard!r}")
    heard.append((message["channel"], message["data"]))
thread.join()
expect("messages", heard, [("done", "one"), ("done", "two"), ("state.worker", "stopped")])
expect("nothing to pop", r.brpop("jobs", timeout=1), None)

# Everything that is there.
names = sorted(r.scan_iter("user:*"))
expect("keys found by SCAN", names, sorted(f"user:{n}" for n in range(30)))
print("ok")
