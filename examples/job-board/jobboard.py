#!/usr/bin/env python3
"""A job board on Redis: views that count once per user, the latest and the top jobs, password resets, a dear report.

Lines that end in "# gateway" are what the gateway's patterns make possible. Without them each function goes on below
with what teams write by hand, and the same file runs against a plain Redis:

    grep -v '# gateway$' jobboard.py > plain.py

The database is SQLite (jobboard.db), or PostgreSQL by DATABASE_URL. `demo` uses the board with many threads and says
what came out and what should have; `serve` shows it in a browser; `nightly` is what cron runs on every instance.
"""

import argparse
import functools
import json
import os
import random
import sqlite3
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs
from wsgiref.simple_server import make_server

import redis

HOUR = 3600
VIEWS_LIVE = 2 * 24 * HOUR


class Database:
    """The jobs and what is known of their views; one connection per thread."""

    TABLES = (
        "create table if not exists jobs (id integer primary key, title text not null)",
        "create table if not exists views (job integer primary key, count integer not null, version bigint not null)",
    )

    def __init__(self, url: str):
        self.url = url
        self.local = threading.local()
        for table in self.TABLES:
            self.run(table)

    def run(self, statement: str, values: tuple = ()) -> list[tuple]:
        """Runs one statement, a transaction of its own. Question marks stand for values."""
        if not hasattr(self.local, "connection"):
            self.local.connection = self.connect()
        with self.local.connection as connection:
            if self.url.startswith("postgres"):
                statement = statement.replace("?", "%s")
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def connect(self):
        if not self.url.startswith("postgres"):
            return sqlite3.connect(self.url, timeout=30)
        try:
            import psycopg
        except ImportError:
            sys.exit("DATABASE_URL names PostgreSQL: pip install 'psycopg[binary]'")
        return psycopg.connect(self.url)

    def add_jobs(self, titles: list[str]) -> None:
        for number, title in enumerate(titles, 1):
            self.run("insert into jobs (id, title) values (?, ?) on conflict (id) do nothing", (number, title))

    def views(self, job: int) -> tuple[int, int]:
        """What the last backup knows: views, and the version of that count."""
        rows = self.run("select count, version from views where job = ?", (job,))
        return rows[0] if rows else (0, 0)

    def save_views(self, job: int, count: int, version: int) -> None:
        """Takes a newer count only: a backup that comes late or twice changes nothing."""
        self.run(
            "insert into views (job, count, version) values (?, ?, ?) on conflict (job) do update "
            "set count = excluded.count, version = excluded.version where views.version < excluded.version",
            (job, count, version),
        )


def cached(name: str, seconds: int):
    """A cache decorator. Behind the gateway it has no herd: one caller computes, the others get the old value, or wait."""

    def decorate(compute):
        @functools.wraps(compute)
        def read(board, *args):
            key = name.format(*args)
            value = board.redis.get(key)
            if value is None:
                value = json.dumps(compute(board, *args))
                board.redis.set(key, value, ex=seconds)
            return json.loads(value)

        return read

    return decorate


class JobBoard:
    def __init__(self, client: redis.Redis, database: Database):
        self.redis = client
        self.database = database
        self.mails: list[str] = []
        self.reports = 0

    def view(self, user: str, job: int) -> None:
        """A user looks at a job: counted once an hour, and among the three that he viewed last."""
        self.redis.lpush(f"latest:{user}", job)
        if self.is_first(f"once:view:{job}:{user}", HOUR):
            self.count_view(job)
        return  # gateway
        self.redis.ltrim(f"latest:{user}", 0, 2)

    def is_first(self, key: str, seconds: int) -> bool:
        """Whether nobody else was first within this time."""
        return self.redis.execute_command("ONCE", key, seconds) is not None  # gateway
        if self.redis.get(key):
            return False
        self.redis.set(key, 1, ex=seconds)
        return True

    def count_view(self, job: int) -> None:
        key = f"jobs:{job}:views"
        _, token = self.redis.execute_command("COUNTER.INCR", key)  # gateway
        if token:  # gateway
            self.restore_views(job)  # gateway
        return  # gateway
        if self.redis.get(key) is None:
            self.redis.set(key, self.database.views(job)[0])
        views = self.redis.incr(key)
        self.redis.expire(key, VIEWS_LIVE)
        self.redis.zadd("top:jobs", {job: views})

    def restore_views(self, job: int) -> int:
        """Adds what the database knows to a counter that Redis has lost."""
        saved, version = self.database.views(job)
        return self.redis.execute_command("COUNTER.RESTORE", f"jobs:{job}:views", saved, version)  # gateway
        self.redis.set(f"jobs:{job}:views", saved, ex=VIEWS_LIVE)
        return saved

    def back_up_views(self) -> int:
        """Brings the database up to date; how many counts were saved."""
        saved = 0
        while triples := self.redis.execute_command("COUNTER.DIRTY", 100):  # gateway
            for key, count, version in zip(*[iter(triples)] * 3):  # gateway
                self.database.save_views(int(key.split(":")[1]), count, version)  # gateway
                saved += self.redis.execute_command("COUNTER.ACK", key, version)  # gateway
        return saved  # gateway
        for key in self.redis.keys("jobs:*:views"):
            self.database.save_views(int(key.split(":")[1]), int(self.redis.get(key)), time.time_ns())
            saved += 1
        return saved

    def page(self, session: str, jobs: list[int]) -> tuple[str | None, dict[int, int]]:
        """The session and the views of some jobs, in one read whatever shards they lie on."""
        user, *views = self.redis.mget(f"session:{session}", *(f"jobs:{job}:views" for job in jobs))
        known = dict(zip(jobs, views))
        return user, {job: self.restore_views(job) if count is None else int(count) for job, count in known.items()}

    def latest(self, user: str) -> list[int]:
        return [int(job) for job in self.redis.lrange(f"latest:{user}", 0, 2)]

    def top(self, count: int) -> list[tuple[int, int]]:
        rows = self.redis.zrevrange("top:jobs", 0, count - 1, withscores=True)
        return [(int(job), int(views)) for job, views in rows]

    def reset_password(self, user: str) -> bool:
        """Sends one mail in five seconds, however often the button is pressed."""
        if not self.is_first(f"once:reset:{user}", 5):
            return False
        self.mails.append(user)
        return True

    @cached("report:{}", seconds=60)
    def report(self, day: str) -> dict:
        """Something that takes a while."""
        self.reports += 1
        time.sleep(0.2)
        rows = self.database.run("select count(*), coalesce(sum(count), 0) from views")
        return {"day": day, "jobs": rows[0][0], "views": int(rows[0][1])}

    def nightly(self, day: str) -> bool:
        """Every instance calls this; one of them does it."""
        if not self.is_first(f"once:nightly:{day}", 24 * HOUR):
            return False
        self.back_up_views()
        return True


TITLES = [f"{level} {field}" for level in ("Junior", "Senior", "Lead", "Chief") for field in ("gardener", "baker", "pilot")]


class Demo:
    """Many threads that do what users do, and a count of what came out."""

    def __init__(self, board: JobBoard, threads: int, seed: int):
        self.board = board
        self.run = f"{os.getpid()}-{time.time_ns()}"
        self.draw = random.Random(seed)
        self.threads = threads
        self.wrong = 0

    def all_at_once(self, tasks: list) -> list:
        """Runs the tasks so that as many as there are threads begin together."""
        barrier = threading.Barrier(self.threads)

        def begin(share: list) -> list:
            barrier.wait()
            return [task() for task in share]

        with ThreadPoolExecutor(self.threads) as pool:
            shares = pool.map(begin, (tasks[thread :: self.threads] for thread in range(self.threads)))
            return [done for share in shares for done in share]

    def expect(self, what: str, found, wanted) -> None:
        is_right = found == wanted
        self.wrong += not is_right
        print(f"{'ok   ' if is_right else 'WRONG'} {what}: {found}" + ("" if is_right else f", should be {wanted}"))

    def show(self) -> int:
        board, jobs = self.board, list(range(1, len(TITLES) + 1))
        board.database.add_jobs(TITLES)
        saved = {job: board.database.views(job)[0] for job in jobs}
        users = [f"user-{self.run}-{number}" for number in range(40)]
        # Each user looks at some jobs, and at each of them from several browsers at once.
        seen = {user: self.draw.sample(jobs, 5) for user in users}
        views = [functools.partial(board.view, user, job) for user in users for job in seen[user] for _ in range(4)]
        self.all_at_once(views)
        new = {job: sum(job in of_user for of_user in seen.values()) for job in jobs}
        board.redis.set(f"session:{self.run}", users[0], ex=HOUR)
        user, found = board.page(self.run, jobs)
        wanted = {job: saved[job] + new[job] for job in jobs}
        self.expect("views, each user once", found, wanted)
        self.expect("session in the same read", user, users[0])
        by_views = sorted(((views, str(job)) for job, views in wanted.items()), reverse=True)
        self.expect("top jobs", board.top(5), [(int(job), views) for views, job in by_views[:5]])
        for job in jobs[:5]:
            board.view(users[0], job)
        self.expect("latest jobs of a user", board.latest(users[0]), [5, 4, 3])
        lengths = {len(board.redis.lrange(f"latest:{user}", 0, -1)) for user in users}
        self.expect("latest jobs of all users, at most", max(lengths), 3)
        resets = [functools.partial(board.reset_password, user) for user in users for _ in range(self.threads)]
        self.all_at_once(resets)
        self.expect("reset mails", len(board.mails), len(users))
        reports = [functools.partial(board.report, self.run)] * (4 * self.threads)
        self.expect("equal reports", len({json.dumps(report) for report in self.all_at_once(reports)}), 1)
        self.expect("reports computed", board.reports, 1)
        nights = self.all_at_once([functools.partial(board.nightly, self.run)] * self.threads)
        self.expect("instances that ran the nightly job", sum(nights), 1)
        board.back_up_views()
        wanted = board.page(self.run, jobs)[1]
        self.expect("views in the database", {job: board.database.views(job)[0] for job in jobs}, wanted)
        return self.wrong


def serve(board: JobBoard, port: int) -> None:
    """A page with everything on it: /?user=ann&job=3"""
    board.database.add_jobs(TITLES)

    def answer(environ, start_response):
        query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
        user, job = query.get("user", "guest"), int(query.get("job", 1))
        board.view(user, job)
        _, views = board.page(user, list(range(1, len(TITLES) + 1)))
        rows = {
            "job": f"{TITLES[job - 1]}, seen by {views[job]} users in all hours",
            "your latest": [TITLES[job - 1] for job in board.latest(user)],
            "top": [f"{TITLES[job - 1]}: {views}" for job, views in board.top(5)],
            "report": board.report(time.strftime("%Y-%m-%d")),
        }
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(rows, indent=2).encode()]

    print(f"http://127.0.0.1:{port}/?user=ann&job=3", flush=True)
    make_server("127.0.0.1", port, answer).serve_forever()


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("command", choices=["demo", "serve", "nightly"])
    options.add_argument("--redis", default="redis://127.0.0.1:6380", help="the gateway, or a plain Redis for plain.py")
    options.add_argument("--port", type=int, default=8000, help="of serve")
    options.add_argument("--threads", type=int, default=8, help="of demo")
    options.add_argument("--seed", type=int, default=1, help="of demo: which jobs users look at")
    given = options.parse_args()
    client = redis.Redis.from_url(given.redis, decode_responses=True)
    board = JobBoard(client, Database(os.environ.get("DATABASE_URL", "jobboard.db")))
    if given.command == "serve":
        serve(board, given.port)
    if given.command == "nightly":
        print("done here" if board.nightly(time.strftime("%Y-%m-%d")) else "another instance does it")
    return int(Demo(board, given.threads, given.seed).show() > 0) if given.command == "demo" else 0


if __name__ == "__main__":
    sys.exit(main())
