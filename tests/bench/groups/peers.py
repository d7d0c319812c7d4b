# SPDX-License-Identifier: Apache-2.0
"""Others on the same log: file to file, raw lines, with what is in PATH, or named by an environment variable (RSYSLOGD,
SYSLOG_NG, FLUENT_BIT). --peers unpacks Debian's rsyslog and syslog-ng, which can't both be installed, and installs their
libraries. One that is not there is left out.

None of them ends when a file is read, so each is stopped when its output is as long as the log.
"""

import glob
import os
import resource
import shutil
import signal
import subprocess
import time

from common import ROOT, Failed, Result, in_turn, make_log, measure, median, pairs, until, weir_tail
from report import Row


def _rsyslog(log, out, folder):
    return ["-n", "-f", "{config}", "-i", f"{folder}/pid"], f"""
global(workDirectory="{folder}")
module(load="imfile" mode="inotify")
template(name="plain" type="string" string="%rawmsg%\\n")
main_queue(queue.type="direct")
input(type="imfile" file="{log}" tag="t" ruleset="out" readMode="0")
ruleset(name="out") {{ action(type="omfile" file="{out}" template="plain" asyncWriting="off" ioBufferSize="256k") }}
"""


def _syslog_ng(log, out, folder):
    return ["-F", "-f", "{config}", "-p", f"{folder}/pid", "-R", f"{folder}/persist", "-c", f"{folder}/control", "--no-caps"], f"""
@version: 3.38
options {{ stats-freq(0); }};
source s {{ file("{log}" flags(no-parse) read-old-records(yes) follow-freq(1) log-fetch-limit(1000)); }};
destination d {{ file("{out}" template("${{MESSAGE}}\\n")); }};
log {{ source(s); destination(d); flags(flow-control); }};
"""


def _fluent_bit(log, out, folder):
    return ["-q", "-i", "tail", "-p", f"path={log}", "-p", "read_from_head=true", "-p", "buffer_max_size=1M", "-p",
            "buffer_chunk_size=1M", "-p", "file_cache_advise=off", "-p", "threaded=on", "-o", "file", "-p",
            f"path={os.path.dirname(out)}", "-p", f"file={os.path.basename(out)}", "-p", "format=template", "-p", "template={log}",
            "-f", "0.2"], ""


PEERS = {"rsyslog": (_rsyslog, "rsyslogd", "RSYSLOGD"), "syslog-ng": (_syslog_ng, "syslog-ng", "SYSLOG_NG"),
         "fluent-bit": (_fluent_bit, "fluent-bit", "FLUENT_BIT")}


LIBRARIES = ["libestr0", "libfastjson4", "liblognorm5", "libivykis0", "libnet1", "libwrap0"]


def _find(name):
    """Its command, or nothing."""
    _, program, variable = PEERS[name]
    path = os.environ.get(variable) or shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin")
    return [path] if path else []


def _unpack(bench):
    """Their commands, out of packages that are not installed."""
    root = bench.own_folder("peers")
    script = f""". '{ROOT}/scripts/common.sh'; install_missing '{root}/log' {' '.join(LIBRARIES)} || exit 1
        cd '{root}' && apt-get -q download rsyslog syslog-ng-core >>log 2>&1 || {{ tail -n 5 log >&2; exit 1; }}
        for package in *.deb; do dpkg -x "$package" . || exit 1; done"""
    if subprocess.run(["bash", "-c", script], stdin=subprocess.DEVNULL, check=False).returncode:
        raise Failed("rsyslog and syslog-ng can't be had")
    libraries = f"{root}/usr/lib/syslog-ng"
    os.environ["LD_LIBRARY_PATH"] = ":".join(filter(None, [libraries, os.environ.get("LD_LIBRARY_PATH")]))
    return {"rsyslog": [f"{root}/usr/sbin/rsyslogd", "-M", *glob.glob(f"{root}/usr/lib/*/rsyslog")],
            "syslog-ng": [f"{root}/usr/sbin/syslog-ng", "--module-path", *glob.glob(f"{libraries}/[0-9]*")]}


def _one_run(name, command, bench, log, size, folder):
    """Until its output is whole; the peak of its memory is told by the kernel, its CPU when it has ended."""
    out = f"{folder}/out"
    arguments, config = PEERS[name][0](log, out, folder)
    with open(f"{folder}/config", "w", encoding="utf-8") as file:
        file.write(config)
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with open(f"{folder}/log", "ab") as errors:
        process = subprocess.Popen([*command, *(text.replace("{config}", f"{folder}/config") for text in arguments)],
                                   stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, cwd=folder)
    try:
        until(lambda: os.path.exists(out) and os.path.getsize(out) >= size,
              lambda: f"{name} did not write all of {log}", process)
        seconds = time.monotonic() - begin
        with open(f"/proc/{process.pid}/status", encoding="utf-8") as file:
            memory = next(int(text.split()[1]) for text in file if text.startswith("VmHWM:")) / 1024
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Result(seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, memory)


def run(bench):
    found = {name: command for name in PEERS if (command := _find(name))}
    if bench.peers:
        found.update(_unpack(bench))
    if not found:
        print("no peers: --peers fetches rsyslog and syslog-ng")
        return
    log = os.path.join(bench.folder, "peers.log")
    size, _ = make_log(bench.build, log, bench.size(100 << 20, 2 << 20))

    def one_run(name, number):
        folder = bench.own_folder(f"peer-{name}-{number}")
        if name == "weir":
            return measure(weir_tail(bench.build, log, "stdout", "format=raw"), bench.build, f"{folder}/out")
        result = _one_run(name, found[name], bench, log, size, folder)
        shutil.rmtree(folder)
        return result

    results = {name: [] for name in ("weir", *found)}
    for name in list(found):
        try:
            one_run(name, "trial")
        except (Failed, OSError) as failed:
            print(f"{name} is left out: {failed}")
            del results[name]
    results = in_turn(results, bench.few, one_run)
    for name, runs in results.items():
        row = Row("peers", f"{name}, a file to a file, raw", median(size / one.seconds / 1e6 for one in runs), "MB/s",
                  [size / one.seconds / 1e6 for one in runs], f"{median(one.cpu for one in runs) / size * 1e9:.2f} s/GB",
                  max(one.memory for one in runs), programs={name: runs}, panel="A file of 200-byte lines to a file")
        row.bars = [(name, row.value)]
        if name != "weir":
            row.beside = f"weir {median(pairs(runs, results['weir'], 'seconds')):.0f} × as fast"
        yield row
