# SPDX-License-Identifier: Apache-2.0
"""From the append of a line until it was read at the other end: bench/latency writes and reads."""

import os
import subprocess

from common import Failed, Weir, percentile, topic
from report import Row, number, percentiles


def _taken(bench, rate, count, path, stdin, *kafka):
    """Milliseconds of each line."""
    done = subprocess.run([bench.program("latency"), str(rate), str(count), path, *kafka], stdin=stdin, capture_output=True,
                          text=True, check=False)
    if done.returncode:
        raise Failed(done.stderr)
    return [float(text) / 1e3 for text in done.stdout.split()]


def _to_stdout(bench, folder, rate, count):
    path = os.path.join(folder, "a.log")
    output = {"name": "stdout", "match": "*", "format": "raw"}
    with Weir(bench.build, folder, [{"name": "tail", "path": path, "read_from_head": True}], [output]) as weir:
        with open(path, "ab") as file:
            file.write(b"begin\n")
        weir.read_lines(1)
        taken = _taken(bench, rate, count, path, weir.process.stdout)
        weir.stop()
    return taken


def _to_kafka(bench, folder, rate, count):
    path, name = os.path.join(folder, "a.log"), f"latency-{rate}-{os.path.basename(folder)}"
    topic(bench.build, bench.kafka.brokers, "create", name, 1)
    output = {"name": "kafka", "match": "*", "format": "raw", "brokers": bench.kafka.brokers, "topics": name}
    inputs = [{"name": "tail", "path": path, "read_from_head": True}]
    with Weir(bench.build, folder, inputs, [output], stdout=subprocess.DEVNULL) as weir:
        taken = _taken(bench, rate, count, path, subprocess.DEVNULL, bench.kafka.brokers, name)
        weir.stop()
    topic(bench.build, bench.kafka.brokers, "delete", name)
    return taken


def run(bench):
    for where, measure in (("stdout", _to_stdout), ("a Kafka consumer", _to_kafka)):
        for rate in (100, 10_000):
            skipped = rate // (8 if bench.quick else 1) if where != "stdout" else 0  # they also wait for connections
            count = skipped + bench.size(rate * 3, rate // 4)
            taken, each = [], []
            for number_of_run in range(bench.runs):
                folder = bench.own_folder(f"latency-{where[-8:]}-{rate}-{number_of_run}")
                one = measure(bench, folder, rate, count)[skipped:]
                taken += one
                each.append(percentile(one, 0.99))
            row = Row("append → reader", f"to {where}, {number(rate)} lines a second, p99", percentile(taken, 0.99), "ms", each,
                      beside=percentiles(taken) + f" ms of {len(taken):,} lines", panel="Append to reader, p99")
            row.bars = [(f"to {where}, {number(rate)} lines/s", row.value)]
            if (where, rate) == ("stdout", 100):
                row.goal, row.met = "p99 < 1 ms", row.value < 1
            yield row
