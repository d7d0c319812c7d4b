# SPDX-License-Identifier: Apache-2.0
"""What the suite found: one row for each thing measured; as a table, as JSON, and in a document."""

import json
import os
import platform
import re
import subprocess
import time
from dataclasses import dataclass, field

from common import ROOT, Failed, percentile

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


@dataclass
class Row:
    group: str
    what: str
    value: float
    unit: str
    values: list = field(default_factory=list)  # what the value is the median, or a percentile, of
    cpu: str = ""
    memory: float = None  # MB, the highest peak
    beside: str = ""  # what else is to be said: a ceiling's ratio, other percentiles
    goal: str = ""
    met: bool = None
    panel: str = ""  # of the plot
    bars: list = field(default_factory=list)  # (label, value), weir's first
    programs: dict = field(default_factory=dict)  # {program: [Result, …]}: every single run

    def cells(self):
        """As text: group, what, figure, range, CPU, memory, beside, goal, met."""
        low, high = (number(min(self.values)), number(max(self.values))) if len(self.values) > 1 else ("", "")
        met = "" if self.met is None else "yes" if self.met else "NO"
        return [self.group, self.what, f"{number(self.value)} {self.unit}".strip(), f"{low} to {high}" if low else "", self.cpu,
                "" if self.memory is None else number(self.memory), self.beside, self.goal, met]


HEADINGS = ["group", "what", "figure", "lowest to highest", "CPU", "MB", "beside it", "goal", "met"]


def number(value):
    """Three digits that mean something."""
    if value == 0:
        return "0"
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 0.1 else f"{value:.2g}"


def table(rows):
    lines = [HEADINGS] + [row.cells() for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def tally(rows):
    goals = [row for row in rows if row.met is not None]
    missed = [row.what for row in goals if not row.met]
    return f"{len(goals) - len(missed)} of {len(goals)} goals met" + (": not " + "; ".join(missed) if missed else "")


def _first(path, pattern):
    with open(path, encoding="utf-8") as file:
        found = re.search(pattern, file.read(), re.M)
    return found.group(1).strip() if found else "unknown"


def machine(build):
    """Where and of what it was measured."""
    git = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    version = subprocess.run([os.path.join(build, "weir"), "--version"], capture_output=True, text=True, check=False)
    return {"date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), "commit": git.stdout.strip() or "unknown",
            "weir": version.stdout.split("\n", 1)[0].removeprefix("weir "), "build": _first(os.path.join(build, "CMakeCache.txt"), r"^CMAKE_BUILD_TYPE:\w+=(.*)$"),
            "processor": _first("/proc/cpuinfo", r"^model name\s*: (.*)$"), "processors": os.cpu_count(),
            "memory_gb": round(int(_first("/proc/meminfo", r"^MemTotal:\s*(\d+)")) / 1e6), "kernel": platform.release(),
            "load_before": os.getloadavg()[0]}


def write_json(path, about, rows):
    whole = [dict(row.__dict__, programs={program: [run._asdict() for run in runs] for program, runs in row.programs.items()})
             for row in rows]
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"machine": about, "rows": whole}, file, indent=1)
        file.write("\n")


def _markdown(rows):
    """One table a group."""
    parts = []
    for group in dict.fromkeys(row.group for row in rows):
        lines = [row.cells()[1:] for row in rows if row.group == group]
        used = [column for column in range(len(HEADINGS) - 1) if column == 0 or any(line[column] for line in lines)]
        table_lines = [HEADINGS[1:], ["---"] * (len(HEADINGS) - 1), *lines]
        parts.append(f"### {group}\n\n" + "\n".join("| " + " | ".join(line[column] for column in used) + " |" for line in table_lines))
    return "\n\n".join(parts)


def _parts(path):
    """A document's text before and behind its figures, with the marks."""
    with open(path, encoding="utf-8") as file:
        before, begin, rest = file.read().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise Failed(f"{path} lacks the lines {BEGIN} and {END}, between which the figures go")
    return before + begin, end + after


def check_doc(path):
    """Fails, before anything is measured, where the figures could not be put afterwards."""
    try:
        _parts(path)
    except OSError as error:
        raise Failed(str(error)) from None


def write_doc(path, about, rows, minutes):
    """Puts the figures between the document's two marks."""
    before, after = _parts(path)
    head = (f"{about['date']}, commit {about['commit']}, {about['processors']} × {about['processor']}, {about['memory_gb']} GB, "
            f"Linux {about['kernel']}; load before {about['load_before']:.1f}; {minutes:.0f} minutes. {tally(rows)}.")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{before}\n{head}\n\n{_markdown(rows)}\n{after}")


def percentiles(values, scale=1):
    """p50, p99, p99.9 as text."""
    return ", ".join(f"p{name} {number(percentile(values, part) * scale)}" for name, part in (("50", 0.5), ("99", 0.99), ("99.9", 0.999)))
