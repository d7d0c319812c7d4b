# SPDX-License-Identifier: Apache-2.0
"""How soon a put into etcd is in force; etcd_apply makes the runs."""

import contextlib
import io

from common import load, median, percentile
from report import Row, percentiles


def _run(etcd_apply, bench, part, number, *options):
    args = etcd_apply.arguments(["--build", bench.build, *map(str, options)])
    with contextlib.redirect_stdout(io.StringIO()):
        return etcd_apply.run(args, bench.own_folder(f"etcd-{part.__name__}-{number}"), part)


def run(bench):
    etcd_apply = load("etcd_apply")
    inputs, puts, entries = bench.size(1000, 20), bench.size(100, 10), bench.size(10_000, 100)
    rounds = [_run(etcd_apply, bench, etcd_apply.one_by_one, number, "--inputs", inputs, "--puts", puts) for number in range(bench.few)]
    taken = [second * 1e3 for one in rounds for second in one["put"]]
    watched = [second * 1e3 for one in rounds for second in one["watch"]]
    row = Row("etcd", f"put → first record, {inputs:,} inputs there, p99", percentile(taken, 0.99), "ms",
              [percentile(one["put"], 0.99) * 1e3 for one in rounds],
              beside=f"{percentiles(taken)}; etcd's own watch p99 {percentile(watched, 0.99):.1f}", goal="p99 < 50 ms")
    row.met = row.value < 50
    yield row

    rounds = [_run(etcd_apply, bench, etcd_apply.at_once, number, "--entries", entries) for number in range(bench.few)]
    seconds = [one["all"] for one in rounds]
    row = Row("etcd", f"{entries:,} entries in one put, all delivered", median(seconds), "s", seconds,
              f"{median(one['cpu'] for one in rounds):.2f} s", goal="< 1 s")
    row.met = row.value < 1
    yield row
    for what, part in (("", "memory"), (", four seconds later", "rest")):
        memory = [one[part] for one in rounds]
        row = Row("etcd", f"memory with {entries:,} inputs out of etcd{what}", median(memory), "MB", memory, goal="≤ 40 MB")
        row.met = row.value <= 40
        yield row
    more = [second * 1e3 for one in rounds for second in one["one more"]]
    yield Row("etcd", f"one more among {entries:,}: put → first record", median(more), "ms", more,
              f"{median(one['one more cpu'] for one in rounds) * 1e3:.1f} ms", beside=percentiles(more))
