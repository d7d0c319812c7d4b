# SPDX-License-Identifier: Apache-2.0
"""tail → stdout: to /dev/null, a pipe, a file; raw and JSON; widths of lines; one file and many; one loop and two; a spool.

Beside weir runs the ceiling: the same reading, splitting, encoding and writing in one loop of one thread, no engine.
"""

import glob
import os

from common import in_turn, load, make_log, measure, median, pairs, weir_tail
from report import Row

GOALS = {"raw": 2.0, "json": 1.2}  # GB/s, 200-byte lines of one file to /dev/null
NAMES = {"null": "/dev/null", "pipe": "a pipe", "file": "a file"}


def _weir(bench, path, how, inputs=None):
    argv = weir_tail(bench.build, path, "stdout", "format=" + ("raw" if how == "raw" else "json_lines"))
    if not inputs:
        return argv
    end = argv.index("-o")
    argv = [argv[0], "-s", "input_threads=2"]  # an input lives on one loop: two of them, on two
    for own in inputs:
        argv += weir_tail(bench.build, own, "stdout")[1:end]
    return argv + ["-o", "stdout", "-p", "format=" + ("raw" if how == "raw" else "json_lines")]


def _row(bench, what, size, lines, commands, to, how, goal=None):
    """commands: {program: argv}, weir's first."""
    target = os.path.join(bench.folder, "out") if to == "file" else to
    results = in_turn(commands, bench.runs, lambda program, _: measure(commands[program], bench.build, target))
    rates = {program: [size / run.seconds / 1e9 for run in runs] for program, runs in results.items()}
    rate, cpu = median(rates["weir"]), median(run.cpu for run in results["weir"])
    row = Row("tail → stdout", what, rate, "GB/s", rates["weir"], f"{cpu / size * 1e9:.2f} s/GB, {cpu / lines * 1e9:.0f} ns a line",
              max(run.memory for run in results["weir"]), programs=results)
    if "ceiling" in commands:
        row.beside = (f"one loop {median(rates['ceiling']):.2f} GB/s, {median(run.cpu for run in results['ceiling']) / size * 1e9:.2f} s/GB; "
                      f"weir {median(pairs(results['ceiling'], results['weir'], 'seconds')):.0%} of it")
    if goal:
        row.goal, row.met = f"≥ {goal} GB/s", rate >= goal
    return row, rates


def _cells(bench):
    for width in (200,) if bench.quick else (200, 100, 1000):
        for to in ("null", "pipe", "file"):
            for how in ("raw",) if bench.quick and to == "file" else ("raw", "json"):
                yield width, to, how


def _one_file(bench):
    for width, to, how in _cells(bench):
        large = bench.size(256 << 20 if to == "file" else 1 << 30, 20 << 20)  # a disk must not be what is measured
        log = os.path.join(bench.folder, f"{width}-{large >> 20}M.log")
        size, lines = make_log(bench.build, log, large, width)
        commands = {"weir": _weir(bench, log, how), "ceiling": [bench.program("ceiling"), how, log]}
        what = f"{how} to {NAMES[to]}, {width:,}-byte lines"
        row, rates = _row(bench, what, size, lines, commands, to, how, GOALS[how] if (width, to) == (200, "null") else None)
        row.panel = "A file of 200-byte lines to standard output" if width == 200 else ""
        row.bars = [(f"{how} to {NAMES[to]}", row.value), ("one loop, no engine", median(rates["ceiling"]))]
        yield row


def _halves(folder, files):
    if files <= 100:
        return f"{folder}/0000/*[02468].log", f"{folder}/0000/*[13579].log"
    return f"{folder}/*[02468]/*.log", f"{folder}/*[13579]/*.log"


def _many_files(bench):
    for files in (10,) if bench.quick else (10, 1000):
        folder = os.path.join(bench.folder, f"{files}-files")
        size, lines = make_log(bench.build, folder, bench.size(1 << 30, 20 << 20), files=files)
        for how in ("raw", "json"):
            commands = {"weir": _weir(bench, f"{folder}/*/*.log", how),
                        "ceiling": [bench.program("ceiling"), how, *sorted(glob.glob(f"{folder}/*/*.log"))]}
            yield _row(bench, f"{how} to /dev/null, {files:,} files", size, lines, commands, "null", how)[0]
            commands["weir"] = _weir(bench, None, how, _halves(folder, files))
            yield _row(bench, f"{how} to /dev/null, {files:,} files, 2 input threads", size, lines, commands, "null", how)[0]


def _spooled(bench):
    """storage: disk, beside memory. It is for inputs that can't read again, so a test input makes the records."""
    if not os.path.exists(os.path.join(bench.build, "tests", "plugins", "in_counter.so")):
        return
    spool, records = load("spool"), bench.size(5_000_000, 100_000)
    args = spool.arguments(["--build", bench.build, "--records", str(records)])
    results = in_turn(["disk", "memory"], bench.runs,
                      lambda storage, number: measure(spool.command(args, storage, bench.own_folder(f"spool-{storage}-{number}")), bench.build))
    rates, cpu = [records / run.seconds / 1e6 for run in results["disk"]], median(run.cpu for run in results["disk"])
    row = Row("a spool", "records made in weir, to /dev/null, storage: disk", median(rates), "M records/s", rates,
              f"{cpu / records * 1e9:.0f} ns a record", max(run.memory for run in results["disk"]), programs=results)
    row.beside = (f"{median(pairs(results['memory'], results['disk'], 'seconds')):.2f} × the rate of storage: memory, "
                  f"{median(pairs(results['disk'], results['memory'], 'cpu')):.2f} × its CPU")
    yield row


def run(bench):
    yield from _one_file(bench)
    yield from _many_files(bench)
    yield from _spooled(bench)
