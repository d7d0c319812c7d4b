# SPDX-License-Identifier: Apache-2.0
"""tail → Kafka beside the bare producer (as it comes; calm: with a long linger; plain: without idempotence), and kcat; and
exactly once beside at least once. tail_kafka makes the runs.
"""

import shutil

from common import load, median, pairs, percentile
from report import Row

# What is said of it: tail_kafka's options, and the programs beside weir.
CASES = {
    "raw": ([], ["bare", "weir", "calm", "plain", "kcat"]),
    "JSON": (["--format", "json"], ["bare", "weir"]),
    "raw, acks=1": (["--property", "acks=1"], ["bare", "weir"]),
    "raw, lz4": (["--property", "compression.codec=lz4"], ["bare", "weir", "calm"]),
    "raw, zstd": (["--property", "compression.codec=zstd"], ["bare", "weir", "calm"]),
    "raw, 6 partitions": (["--partitions", "6"], ["bare", "weir", "calm"]),
}
QUICK = {"raw": (["--property", "compression.codec=lz4"], ["bare", "weir"])}
WARM_UP = 8  # runs, of a gigabyte each
LEAST_RATE, MOST_CPU = 0.95, 1.15
LEAST_OF_PLAIN = 0.9
LEAST_OF_AT_LEAST_ONCE = 0.9


def _beside(tail_kafka, results):
    parts = []
    for other in ("bare", "calm", "plain", "kcat"):
        if results.get(other):
            rates, cpus = tail_kafka.ratios(results, other)
            parts.append(f"{median(rates):.2f} × {other}'s rate, {median(cpus):.2f} × its CPU")
    return "; ".join(parts)


def _idempotence(tail_kafka, results):
    rates, cpus = tail_kafka.ratios(results, "plain")
    row = Row("tail → Kafka", "raw, with idempotence, in parts of a plain producer's rate", median(rates), "", rates,
              f"{median(cpus):.2f} × its CPU", goal=f"≥ {LEAST_OF_PLAIN}")
    row.met = row.value >= LEAST_OF_PLAIN
    return row


def _exactly_once(bench, tail_kafka):
    """The rate from the first byte that is read on: before that the positions come from Kafka, once in a run's life."""
    lines = bench.size(5_000_000, 20_000)
    args = tail_kafka.arguments(["--build", bench.build, "--brokers", bench.kafka.brokers, "--lines", str(lines), "--runs", str(bench.runs),
                                 "--exactly-once"])
    results, size = tail_kafka.run_all(args, ["weir", "exact"], bench.folder)
    waits = tail_kafka.latency(args, bench.folder, bench.size(100, 10))
    seconds = {program: [run.seconds - tail_kafka.start_of(run) for run in runs] for program, runs in results.items()}
    parts = [one / other for one, other in zip(seconds["weir"], seconds["exact"])]
    rates, cpu = [size / one / 1e6 for one in seconds["exact"]], median(run.cpu for run in results["exact"])
    row = Row("tail → Kafka", "raw, exactly once", median(rates), "MB/s", rates, f"{cpu / size * 1e9:.2f} s/GB, {cpu / lines * 1e9:.0f} ns a line",
              max(run.memory for run in results["exact"]), panel="A file of 200-byte lines to Kafka", programs=results)
    row.beside = (f"{median(parts):.2f} × at least once's rate ({min(parts):.2f} to {max(parts):.2f}), "
                  f"{median(pairs(results['exact'], results['weir'], 'cpu')):.2f} × its CPU; a line is visible after "
                  f"p50 {percentile(waits, 0.5) * 1000:.0f}, p99 {percentile(waits, 0.99) * 1000:.0f} ms")
    row.bars = [("weir, exactly once", row.value)]
    row.goal, row.met = f"≥ {LEAST_OF_AT_LEAST_ONCE} × at least once's rate", median(parts) >= LEAST_OF_AT_LEAST_ONCE
    return row


def run(bench):
    tail_kafka = load("tail_kafka")
    for name, (options, programs) in (QUICK if bench.quick else CASES).items():
        lines = bench.size(5_000_000 if name == "raw" else 2_000_000, 20_000)
        args = tail_kafka.arguments(["--build", bench.build, "--brokers", bench.kafka.brokers, "--lines", str(lines),
                                     "--runs", str(bench.runs), *options])
        programs = [program for program in programs if program != "kcat" or shutil.which("kcat")]
        if name == "raw":
            tail_kafka.warm_up(args, bench.size(WARM_UP, 1), bench.folder)
        results, size = tail_kafka.run_all(args, programs, bench.folder)
        rates = {program: [size / run.seconds / 1e6 for run in runs] for program, runs in results.items()}
        cpu = median(run.cpu for run in results["weir"])
        row = Row("tail → Kafka", name, median(rates["weir"]), "MB/s", rates["weir"],
                  f"{cpu / size * 1e9:.2f} s/GB, {cpu / lines * 1e9:.0f} ns a line", max(run.memory for run in results["weir"]),
                  _beside(tail_kafka, results), panel="A file of 200-byte lines to Kafka", programs=results)
        row.bars = [(f"weir, {name}", row.value)] + [(other, median(rates[other])) for other in programs if other != "weir"]
        rate, more = (median(ratios) for ratios in tail_kafka.ratios(results, "bare"))
        row.goal = f"≥ {LEAST_RATE} × bare's rate, ≤ {MOST_CPU} × its CPU"
        row.met = rate >= LEAST_RATE and more <= MOST_CPU
        yield row
        if results.get("plain"):
            yield _idempotence(tail_kafka, results)
    if shutil.which("kcat"):  # it counts what is committed
        yield _exactly_once(bench, tail_kafka)
