"""Peer: Python's asyncio, on its own loop or on uvloop's.

    python3 bench/python.py LOOP             prints the names of its benchmarks
    python3 bench/python.py LOOP NAME [N]    prints ns of CPU time per operation, or bytes each

LOOP is `asyncio` or `uvloop`. (The file is not called asyncio.py: Python would import it in
place of the module.)
"""

import asyncio
import gc
import resource
import sys
import time

MILLION = 1_000_000
MAX_BATCHES = 20


def same(_):
    return 0.010


def spread(i):
    return (1 + i % 1000) / 1000


async def await_nil(n):
    # The nearest thing: nothing to wait for, but the other tasks get their turn.
    for _ in range(n):
        await asyncio.sleep(0)


async def await_settled(n):
    # A done future does not let anybody else run.
    future = asyncio.get_running_loop().create_future()
    future.set_result(1)
    for _ in range(n):
        await future


async def await_pending(n):
    loop = asyncio.get_running_loop()
    for _ in range(n):
        future = loop.create_future()
        loop.call_soon(future.set_result, None)
        await future


async def call(n):
    async def f(x):
        return x

    for i in range(n):
        await asyncio.create_task(f(i))


async def call_pending(n):
    loop = asyncio.get_running_loop()

    async def f():
        future = loop.create_future()
        loop.call_soon(future.set_result, None)
        await future

    for _ in range(n):
        await asyncio.create_task(f())


async def gather(n):
    async def f(x):
        return x

    values = await asyncio.gather(*[f(i) for i in range(n)])
    assert len(values) == n


def sleepers(delay):
    async def run(n):
        async def sleeper(i):
            await asyncio.sleep(delay(i))

        await asyncio.gather(*[sleeper(i) for i in range(n)])

    return run


def timers(delay):
    async def run(n):
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        fired = 0

        def count():
            nonlocal fired
            fired += 1
            if fired == n:
                done.set_result(None)

        for i in range(n):
            loop.call_later(delay(i), count)
        await done

    return run


def resident():
    with open("/proc/self/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * resource.getpagesize()


async def suspended_rss(n):
    loop = asyncio.get_running_loop()
    future = loop.create_future()

    async def f():
        await future

    keep = [None] * n
    gc.collect()
    before = resident()
    for i in range(n):
        keep[i] = loop.create_task(f())
    await asyncio.sleep(0)
    gc.collect()
    used = (resident() - before) / n
    future.set_result(None)
    await asyncio.gather(*keep)
    return used


# name: (operations, rounds, function)
BENCHES = {
    "await_nil": (MILLION // 10, 2, await_nil),
    "await_settled": (MILLION, 3, await_settled),
    "await_pending": (MILLION // 10, 2, await_pending),
    "call": (MILLION // 10, 2, call),
    "call_pending": (MILLION // 10, 1, call_pending),
    "all": (MILLION // 10, 1, gather),
    # A tenth of what the others run: a million takes twenty seconds, at the same time for each.
    "sleepers": (MILLION // 10, 1, sleepers(same)),
    "sleepers_spread": (MILLION // 10, 1, sleepers(spread)),
    "timers": (MILLION // 10, 2, timers(same)),
    "timers_spread": (MILLION // 10, 2, timers(spread)),
    "suspended_rss": (MILLION // 10, 0, suspended_rss),
}


async def measure(n, rounds, run, full):
    if rounds == 0:
        return await run(n)
    batches = max(1, min(MAX_BATCHES, full // n))
    best = float("inf")
    for _ in range(rounds):
        gc.collect()
        start = time.process_time()
        for _ in range(batches):
            await run(n)
        best = min(best, time.process_time() - start)
    return best * 1e9 / (n * batches)


def main(args):
    if args[0] == "uvloop":
        import uvloop

        uvloop.install()
    if len(args) == 1:
        print("\n".join(BENCHES))
        return
    full, rounds, run = BENCHES[args[1]]
    n = int(args[2]) if len(args) > 2 else full
    print(f"{asyncio.run(measure(n, rounds, run, full)):.2f}")


main(sys.argv[1:])
