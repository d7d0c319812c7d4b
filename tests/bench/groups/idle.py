# SPDX-License-Identifier: Apache-2.0
"""What a weir costs that has little to do: start, memory, wake-ups and CPU when idle, CPU at a steady 10 MB/s."""

import contextlib
import os
import subprocess
import threading
import time

from common import Weir, many, median
from report import Row, number

STDOUT = {"name": "stdout", "match": "*", "format": "raw"}


def _tail(path, **more):
    return {"name": "tail", "path": path, "read_from_head": True, **more}


def _start(bench):
    taken = []
    for run in range(bench.runs * 2):
        folder = bench.own_folder(f"start-{run}")
        with open(f"{folder}/a.log", "w", encoding="utf-8") as file:
            file.write("a line\n")
        with Weir(bench.build, folder, [_tail(f"{folder}/a.log")], [STDOUT]) as weir:
            weir.read_lines(1)
            taken.append((time.monotonic() - weir.begin) * 1e3)
            weir.stop()
    row = Row("idle", "start to first record", median(taken), "ms", taken, goal="< 30 ms")
    row.met = row.value < 30
    return row


def _counts(bench):
    return (1, 1000) if bench.quick else (1, 10_000, 100_000)


def _follow(bench, stack, count, refresh):
    folder = bench.own_folder(f"idle-{count}-{refresh}")
    tail = _tail(f"{bench.files(count)}/*/*.log", refresh_interval=refresh, **many(count))
    weir = stack.enter_context(Weir(bench.build, folder, [tail], [STDOUT]))
    weir.read_lines(count)
    return weir


WALKED = "looked through each second"


def _begin(bench, stack):
    """{what: weir}, each with its lines read. The walk through all names for safety, each minute if nothing is said, is measured
    by itself, in one that does it each second; the others do not."""
    started = {f"{count:,} file{'s' if count > 1 else ''} to stdout": _follow(bench, stack, count, "1h") for count in _counts(bench)}
    started[WALKED] = _follow(bench, stack, _counts(bench)[1], "1s")
    folder = bench.own_folder("idle-kafka")
    output = {"name": "kafka", "match": "*", "format": "raw", "brokers": bench.kafka.brokers, "topics": "idle"}
    started["1 file to Kafka"] = stack.enter_context(
        Weir(bench.build, folder, [_tail(f"{bench.files(1)}/*/*.log")], [output], stdout=subprocess.DEVNULL))
    return started


GOALS = {"1 file to stdout": 6, "1 file to Kafka": 20, "10,000 files to stdout": 40}


def _idle(bench):
    seconds = 3 if bench.quick else 30
    with contextlib.ExitStack() as stack:
        started = _begin(bench, stack)
        time.sleep(3)  # positions are written, connections made
        before = {what: (weir.cpu(), weir.wakeups()) for what, weir in started.items()}
        time.sleep(seconds)
        after = {what: (weir.cpu(), weir.wakeups()) for what, weir in started.items()}
        memory = {what: weir.memory() for what, weir in started.items()}
        own = {what: weir.memory("RssAnon:") for what, weir in started.items()}
        for weir in started.values():
            weir.stop()
    walk = (after[WALKED][0] - before[WALKED][0]) / seconds * 1e3
    yield Row("idle", f"a walk for safety (refresh_interval, each minute) over {_counts(bench)[1]:,} files", walk, "ms of CPU")
    del started[WALKED]
    for what in started:
        row = Row("idle", f"memory, {what}", memory[what], "MB", beside=f"{number(own[what])} of it its own, the rest libraries and program")
        if what in GOALS:
            row.goal, row.met = f"≤ {GOALS[what]} MB", row.value <= GOALS[what]
        yield row
    one_cpu = (after["1 file to stdout"][0] - before["1 file to stdout"][0]) * 60 / seconds * 1e3
    for what in started:
        cpu, wakeups = ((after[what][part] - before[what][part]) * 60 / seconds for part in (0, 1))
        row = Row("idle", f"wake-ups of all threads, {what}", wakeups, "a minute", cpu=f"{number(cpu * 1e3)} ms a minute",
                  beside=f"measured for {seconds} s, refresh_interval 1h")
        if what == "1 file to stdout":
            # The watchdog's call every 15 s goes through the control thread and the input's loop, and back.
            row.goal, row.met = "its timers alone: ≤ 16", wakeups <= 16 or bench.quick
        elif what == "10,000 files to stdout":
            row.goal, row.met = "the CPU of one file", cpu * 1e3 <= one_cpu * 1.5 + 1
        yield row


def _write_steadily(path, seconds, line):
    """10 MB a second, in a burst each millisecond."""
    burst, due = line * (10_000 // len(line)), time.monotonic()
    with open(path, "ab", buffering=0) as file:
        for _ in range(int(seconds * 1000)):
            file.write(burst)
            due += 0.001
            time.sleep(max(0, due - time.monotonic()))


def _steady(bench, what, output):
    seconds, percents = 0.5 if bench.quick else 3, []
    for run in range(bench.runs):
        folder = bench.own_folder(f"steady-{what[-5:]}-{run}")
        path = os.path.join(folder, "a.log")
        with Weir(bench.build, folder, [_tail(path)], [output], stdout=subprocess.DEVNULL) as weir:
            _write_steadily(path, 0.5, b"x" * 199 + b"\n")  # connected, warm
            begin, cpu = time.monotonic(), weir.cpu()
            writer = threading.Thread(target=_write_steadily, args=(path, seconds, b"x" * 199 + b"\n"))
            writer.start()
            writer.join()
            percents.append((weir.cpu() - cpu) / (time.monotonic() - begin) * 100)
            weir.stop()
    return Row("idle", f"CPU at a steady 10 MB/s, {what}", median(percents), "% of a core", percents, beside="1,000 bursts a second")


def run(bench):
    yield _start(bench)
    yield from _idle(bench)
    yield _steady(bench, "to stdout", STDOUT)
    yield _steady(bench, "to Kafka", {"name": "kafka", "match": "*", "format": "raw", "brokers": bench.kafka.brokers, "topics": "steady"})
