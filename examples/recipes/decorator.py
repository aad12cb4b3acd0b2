#!/usr/bin/env python3
"""A cache decorator, before and after the gateway: how often do many callers compute one value?

Runs against the gateway of ../job-board (its binding `cache` has report:*). The same clients, threads and keys; only the
decorator differs.
"""

import argparse
import functools
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import redis


def cached_with_lock(client: redis.Redis, name: str, seconds: int):
    """Before: a lock, so that not everybody computes. But who waits for it computes too, one after the other."""

    def decorate(compute):
        @functools.wraps(compute)
        def read(*args):
            key = name.format(*args)
            value = client.get(key)
            if value is None:
                while not client.set(key + ":lock", 1, nx=True, ex=10):
                    time.sleep(0.01)
                try:
                    value = json.dumps(compute(*args))
                    client.set(key, value, ex=seconds)
                finally:
                    client.delete(key + ":lock")
            return json.loads(value)

        return read

    return decorate


def cached(client: redis.Redis, name: str, seconds: int):
    """After: nil means that this caller computes. The gateway tells it to one; the others wait, or have the old value."""

    def decorate(compute):
        @functools.wraps(compute)
        def read(*args):
            key = name.format(*args)
            value = client.get(key)
            if value is None:
                value = json.dumps(compute(*args))
                client.set(key, value, ex=seconds)
            return json.loads(value)

        return read

    return decorate


def computations(decorator, name: str, threads: int) -> tuple[int, float]:
    """How often a value was computed for callers that begin together, and how long the last of them took."""
    computed = []

    @decorator(name, seconds=60)
    def answer(question: str) -> int:
        computed.append(question)
        time.sleep(0.1)
        return 42

    barrier = threading.Barrier(threads)

    def ask(_) -> int:
        barrier.wait()
        return answer("everything")

    begun = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        assert set(pool.map(ask, range(threads))) == {42}
    return len(computed), time.monotonic() - begun


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--redis", default="redis://127.0.0.1:6380")
    options.add_argument("--threads", type=int, default=8)
    given = options.parse_args()
    client = redis.Redis.from_url(given.redis, decode_responses=True)
    run = time.time_ns()
    ways = [("a lock in the client", cached_with_lock, "plain:{{}}:{}"), ("the gateway", cached, "report:{{}}:{}")]
    for way, decorator, name in ways:
        count, seconds = computations(functools.partial(decorator, client), name.format(run), given.threads)
        print(f"{way}: {count} computations for {given.threads} callers, the last waited {seconds:.1f} s")


if __name__ == "__main__":
    main()
