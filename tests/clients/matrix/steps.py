"""How the Python programs of the client matrix report: one line per step, and on to the next one."""

import asyncio
import sys

BINARY = bytes(range(256)) * 4096  # 1 MiB with every byte value
MANY = 120  # keys of the MGET and SCAN steps


def expect(what, found, wanted):
    if found != wanted:
        raise AssertionError(f"{what}: found {found!r}, wanted {wanted!r}")


def said(name, error):
    text = "ok" if error is None else f"FAIL {type(error).__name__}: {error}"
    print(name, " ".join(text.split())[:300], flush=True)


def version(text):
    print("version", text, flush=True)


def skipped(reason):
    print("SKIPPED", reason, flush=True)
    sys.exit(0)


STEPS = []


def step(name):
    """Makes a function, or a coroutine, the next step."""
    return lambda work: STEPS.append((name, work))


def run():
    for name, work in STEPS:
        try:
            work()
        except BaseException as error:  # whatever a library raises, a panic of compiled code too
            said(name, error)
        else:
            said(name, None)


async def run_async():
    """The same with coroutines, each with an end to its patience."""
    for name, work in STEPS:
        try:
            await asyncio.wait_for(work(), 20)
        except Exception as error:
            said(name, error)
        else:
            said(name, None)
