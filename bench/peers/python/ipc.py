#!/usr/bin/python3
"""ipc.py CASE...: the cases of ../../uvcsp/ipc.c and manager.c with Python's multiprocessing (start method
"fork"): the same processes, the same messages. A line for each: case, value, unit. BENCH_SECONDS and BENCH_CLOCK
as in ../../common.h (`cpu` apart)."""
import multiprocessing
import os
import re
import resource
import sys
import time

mp = multiprocessing.get_context("fork")
LIMIT = float(os.environ.get("BENCH_SECONDS", "0.2"))
ALL = os.environ.get("BENCH_CLOCK") == "all"
party, joined = mp.RawArray("l", 62), mp.Value("i", 0)


def join(pid=0):
    """The processor time of this process counts."""
    with joined.get_lock():
        party[joined.value] = pid or os.getpid()
        joined.value += 1


def now():
    if not ALL:
        return time.monotonic()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    clocks = [~pid << 3 | 2 for pid in party[:joined.value]]  # as by clock_getcpuclockid()
    return children.ru_utime + children.ru_stime + sum(map(time.clock_gettime, clocks))


def measure(batch, n, warm=1):
    """Runs batch(), which does n operations, until the time is over: seconds, operations."""
    for _ in range(warm):
        batch()
    done, start = 0, now()
    while True:
        batch()
        done += n
        taken = now() - start
        if taken >= LIMIT:
            return taken, done


def tell(name, taken, n):
    print(f"{name}\t{taken * 1e6 / n:.6g}\tus", flush=True)


# ---- a pipe, there and back

def echoes(conn):
    join()
    while True:
        conn.send(conn.recv())


def pipe(name, _):
    a, b = mp.Pipe()
    partner = mp.Process(target=echoes, args=(b,), daemon=True)
    partner.start()
    join()

    def batch():
        for _ in range(10):
            a.send(42)
            a.recv()

    tell(name, *measure(batch, 10))
    partner.kill()
    partner.join()


# ---- queues, bounded as those of uvcsp: without a bound the process that puts starves its feeder thread

def puts(q, value):
    q.cancel_join_thread()
    join()
    while True:
        q.put(value)


def queue_of(name, value, maxsize, n):
    q = mp.Queue(maxsize)
    producer = mp.Process(target=puts, args=(q, value), daemon=True)
    producer.start()
    join()

    def batch():
        for _ in range(n):
            q.get()

    tell(name, *measure(batch, n))
    producer.kill()
    producer.join()


def queue_small(name, _):
    queue_of(name, 42, 1000, 100)


def queue_bytes(name, size):
    queue_of(name, b"\1" * size, 8, 10)


# ---- a locked increment of a shared value

def increments(value, ready, results):
    def batch():
        for _ in range(1000):
            with value.get_lock():
                value.value += 1

    join()
    ready.wait()
    results.put(measure(batch, 1000, 0))


def clients(name, n, target, args):
    """n processes at once; the time that passes for an operation, all counted."""
    ready, results = mp.Barrier(n), mp.SimpleQueue()
    started = [mp.Process(target=target, args=(*args, ready, results)) for _ in range(n)]
    for process in started:
        process.start()
    measured = [results.get() for _ in started]
    for process in started:
        process.join()
    tell(name, max(taken for taken, _ in measured), sum(n for _, n in measured))


def locked(name, n):
    clients(name, n, increments, (mp.Value("l", 0),))


# ---- a pool

def trivial(x):
    return x + 1


def pool_map(name, n):
    with mp.Pool(2) as pool:
        pool.map(trivial, range(2), 1)
        for pid in (0, *(worker.pid for worker in pool._pool)):
            join(pid)
        start = now()
        results = pool.map(trivial, range(n), 1)
        taken = now() - start
    assert results[-1] == n
    tell(name, taken, n)


# ---- a process is started and joined

def nothing():
    pass


def start_join(name, _):
    join()

    def batch():
        process = mp.Process(target=nothing)
        process.start()
        process.join()

    tell(name, *measure(batch, 1))


# ---- a manager

def list_append(proxy, i):
    proxy.append(i)


def list_index(proxy, i):
    return proxy[i % 100]


def dict_set(proxy, i):
    proxy[f"key{i % 100}"] = i


def dict_get(proxy, i):
    return proxy[f"key{i % 100}"]


def client(proxy, operation, ready, results):
    def batch():
        for i in range(10):
            operation(proxy, i)

    batch()
    join()
    ready.wait()
    results.put(measure(batch, 10, 10))


def manager(kind, operation):
    def run(name, n):
        with mp.Manager() as server:
            join(server._process.pid)
            if kind == "list":
                proxy = server.list(range(100))
            else:
                proxy = server.dict({f"key{i}": i for i in range(100)})
            clients(name, n, client, (proxy, operation))
    return run


KINDS = {
    "ipc-pipe": pipe,
    "ipc-queue-values": queue_small,
    "ipc-queue-ints": queue_small,
    "ipc-queue-bytes": queue_bytes,
    "ipc-locked": locked,
    "ipc-pool-map": pool_map,
    "ipc-start-join": start_join,
    "ipc-list-append": manager("list", list_append),
    "ipc-list-index": manager("list", list_index),
    "ipc-dict-set": manager("dict", dict_set),
    "ipc-dict-get": manager("dict", dict_get),
}

if __name__ == "__main__":
    for case in sys.argv[1:]:
        prefix, number = re.fullmatch(r"(.*?)-?(\d*)", case).groups()
        if prefix not in KINDS:
            sys.exit(f"no such case: {case}")
        KINDS[prefix](case, int(number or 0))
