# SPDX-License-Identifier: Apache-2.0
"""Cost against scale: the same total through ever more files, outputs and tags. CPU a record should stay flat."""

import os
import subprocess

from common import Process, Weir, in_turn, make_log, many, measure, median, weir_tail
from report import Row


def _row(what, nanoseconds, first, results=None):
    row = Row("scale", what, median(nanoseconds), "ns of CPU", nanoseconds, panel="CPU a record, as the same total is spread",
              programs=results or {})
    row.beside = f"{row.value / first:.2f} × that of 1" if first else ""
    row.bars = [(what, row.value)]
    return row


def _appended(bench, program, logs, files, lines):
    """CPU nanoseconds a record, of a program that follows so many files and has read them, when the lines are appended."""
    found = []
    for number_of_run in range(bench.runs + 1):
        cpu = program.cpu()
        with subprocess.Popen([bench.program("make_access_log"), str(lines * 200), logs, "200", str(files)]) as writer:
            program.read_lines(lines)
            writer.wait()
        if number_of_run:
            found.append((program.cpu() - cpu) / lines * 1e9)
    return found


def _appended_to_weir(bench, files, lines):
    folder, logs = bench.own_folder(f"scale-{files}"), bench.files(files)
    inputs = [{"name": "tail", "path": f"{logs}/*/*.log", "read_from_head": True, **many(files)}]
    with Weir(bench.build, folder, inputs, [{"name": "stdout", "match": "*", "format": "raw"}]) as weir:
        weir.read_lines(files)
        found = _appended(bench, weir, logs, files, lines)
        weir.stop()
    return found


def _appended_to_floor(bench, files, lines):
    """The same of bench/follow, which does only what the kernel can't do without; after weir, on the same files."""
    logs, log = bench.files(files), os.path.join(bench.folder, f"scale-{files}", "follow.log")
    limit = map(str, many(files).values())
    with Process([bench.program("follow"), logs, str(files), *limit], log, stdout=subprocess.PIPE) as follow:
        follow.read_lines(1)
        return _appended(bench, follow, logs, files, lines)


def _files(bench):
    first, first_floor, lines = None, None, bench.size(1_000_000, 20_000)
    for files in (1, 100) if bench.quick else (1, 100, 10_000, 100_000):
        row = _row(f"appended to {files:,} file{'s' if files > 1 else ''}", _appended_to_weir(bench, files, lines), first)
        floor = median(_appended_to_floor(bench, files, lines))
        first, first_floor = first or row.value, first_floor or floor
        row.beside = ", ".join([*([row.beside] if row.beside else []),
                                f"the least that the kernel asks for {floor:.0f} ns ({floor / first_floor:.2f} × that of 1): weir "
                                f"{row.value / floor:.1f} × it, {row.value - floor:.0f} ns more"])
        row.bars.append(("the least that the kernel asks for", floor))
        yield row


def _spread(bench, what, counts, command, divide):
    size, lines = bench.size(200 << 20, 4 << 20), 0
    logs = {}
    for count in counts:
        logs[count] = os.path.join(bench.folder, f"scale-{64 if what == 'tag' else 1}-logs")
        size, lines = make_log(bench.build, logs[count], size, files=64 if what == "tag" else 1)
    results = in_turn(counts, bench.runs, lambda count, _: measure(command(bench, logs[count], count), bench.build))
    first = None
    for count in counts:
        nanoseconds = [run.cpu / lines / (count if divide else 1) * 1e9 for run in results[count]]
        row = _row(f"{count} {what}{'s' if count > 1 else ''}" + (", for each of them" if divide else ""), nanoseconds, first,
                   {"weir": results[count]})
        row.memory = max(run.memory for run in results[count])
        first = first or row.value
        yield row


def _outputs(bench, log, count):
    return weir_tail(bench.build, f"{log}/*/*.log", "stdout", "format=raw") + ["-o", "stdout", "-p", "format=raw"] * (count - 1)


def _tags(bench, log, count):
    """64 files in count inputs, each with a tag of its own."""
    argv = [os.path.join(bench.build, "weir")]
    for tag in range(count):
        argv += ["-i", "tail", "-p", f"tag=tag{tag}", "-p", "read_from_head=true", "-p", "exit_on_eof=true"]
        for file in range(tag * 64 // count, (tag + 1) * 64 // count):
            argv += ["-p", f"path={log}/0000/{file:02}.log"]
    return argv + ["-o", "stdout", "-p", "format=raw"]


def run(bench):
    yield from _files(bench)
    yield from _spread(bench, "output", (1, 2) if bench.quick else (1, 2, 4, 8, 16), _outputs, True)
    yield from _spread(bench, "tag", (1, 4) if bench.quick else (1, 4, 16, 64), _tags, False)
