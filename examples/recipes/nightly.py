#!/usr/bin/env python3
"""One of many instances runs the periodic job: the lock as a flag, before and after the gateway.

Runs against the gateway of ../job-board (its binding `once` has once:*). Threads play the instances.
"""

import argparse
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import redis

DAY = 24 * 3600


def is_mine_before(client: redis.Redis, job: str) -> bool:
    """Before: look, then set. Two instances pass between the two."""
    if client.get(job):
        return False
    client.set(job, "taken", ex=DAY)
    return True


def run_nightly(client: redis.Redis, job: str, work) -> bool:
    """After: one gets a token. If its work fails the token gives the night back, and another instance's next try has it."""
    token = client.execute_command("ONCE", job, DAY)
    if token is None:
        return False
    try:
        work()
    except Exception:
        client.execute_command("ONCE.RELEASE", job, token)
        raise
    return True


def all_at_once(instances: int, task) -> int:
    """How many of the instances, which begin together, say yes."""
    barrier = threading.Barrier(instances)

    def begin(_) -> bool:
        barrier.wait()
        return task()

    with ThreadPoolExecutor(instances) as pool:
        return sum(pool.map(begin, range(instances)))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--redis", default="redis://127.0.0.1:6380")
    options.add_argument("--instances", type=int, default=8)
    given = options.parse_args()
    client = redis.Redis.from_url(given.redis, decode_responses=True)
    nights = [f"{time.time_ns()}:{night}" for night in range(20)]
    before = [all_at_once(given.instances, lambda: is_mine_before(client, f"plain:{night}")) for night in nights]
    print(f"look, then set: {sum(before)} runs in {len(nights)} nights")
    done = []
    after = [
        all_at_once(given.instances, lambda: run_nightly(client, f"once:nightly:{night}", lambda: done.append(night)))
        for night in nights
    ]
    print(f"ONCE: {sum(after)} runs in {len(nights)} nights")
    assert sum(after) == len(done) == len(nights)

    def fail() -> None:
        raise RuntimeError("the disk is full")

    try:
        run_nightly(client, f"once:nightly:{nights[0]}:again", fail)
    except RuntimeError:
        print("a night that failed is given back:", run_nightly(client, f"once:nightly:{nights[0]}:again", done.clear))


if __name__ == "__main__":
    main()
