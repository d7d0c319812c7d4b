# SPDX-License-Identifier: Apache-2.0
"""A plugin that crashes, and one that hangs: the log says which instance it was, and in which callback."""
import json
import os
import re
import resource
import signal
import subprocess

import pytest

import harness
from harness import append, lines
from test_supervisor import Manager

pytestmark = pytest.mark.skipif(bool(harness.SANITIZER), reason="sanitizers handle crashes themselves")


def into(lab, fault, service=None, **options):
    """tail into out_broken with that fault, under an alias."""
    append(lab.path("in.log"), lines(0, 3))
    config = lab.config([{"name": "tail", "path": lab.path("in.log"), "read_from_head": True}],
                        [{"name": "broken", "match": "*", "alias": "the-sink", "fault": fault}], service, ["out_broken"])
    return lab.start(["-c", config], **options)


def source(lab, fault, service=None, **options):
    config = lab.config([{"name": "broken", "alias": "the-source", "fault": fault}],
                        [{"name": "stdout", "match": "*", "format": "raw"}], service, ["in_broken"])
    return lab.start(["-c", config], **options)


def crash_line(weir, text=None):
    """The one that tells of it. Another thread may say something behind it."""
    said = [row for row in (text or weir.log_text()).splitlines() if "crashed: " in row]
    assert len(said) == 1, weir.log_text()
    return said[0]


@pytest.mark.parametrize("fault,number,name,callback", [
    ("crashes_in_write", signal.SIGSEGV, "SIGSEGV", "write"), ("overflows_stack", signal.SIGSEGV, "SIGSEGV", "write")])
def test_output(lab, fault, number, name, callback):
    weir = into(lab, fault)
    weir.wait(-number)
    assert crash_line(weir).endswith(
        " error [engine] crashed: %s in the code of the-sink, in its callback '%s'" % (name, callback)), weir.log_text()
    date = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ")  # as any other line's
    assert date.match(crash_line(weir)) and date.match(weir.log_text()), weir.log_text()


def test_thread_of_a_plugins_own(lab):
    """No callback is there to be named: the code is, by where it lies."""
    weir = into(lab, "crashes_in_thread")
    weir.wait(-signal.SIGSEGV)
    assert crash_line(weir).endswith(
        "crashed: SIGSEGV in the code of the plugin 'broken', in a thread that was in no plugin's callback"), weir.log_text()


def test_destroy_is_on_the_control_thread(lab):
    weir = into(lab, "crashes_in_destroy")
    weir.wait_log("in.log is followed")
    weir.signal(signal.SIGTERM)
    weir.wait(-signal.SIGABRT)
    assert "crashed: SIGABRT in the code of the-sink, in its callback 'destroy'" in crash_line(weir), weir.log_text()


def test_input_and_json(lab):
    weir = source(lab, "crashes_in_timer", {"log_format": "json"})
    weir.wait(-signal.SIGSEGV)
    last = json.loads(crash_line(weir))
    assert last["message"] == "crashed: SIGSEGV in the code of the-source, in its callback 'timer'"
    assert last["level"] == "error" and last["who"] == "engine"


def test_log_file(lab):
    weir = into(lab, "crashes_in_write", {"log_file": lab.path("weir.log")})
    weir.wait(-signal.SIGSEGV)
    assert crash_line(weir, lab.path("weir.log").read_text()).endswith("in its callback 'write'")


def test_no_plugin_is_blamed_for_somebody_elses_signal(lab):
    weir = into(lab, "none")
    weir.wait_log("in.log is followed")  # the main thread, which gets the signal, has made every instance by then
    weir.signal(signal.SIGSEGV)
    weir.wait(-signal.SIGSEGV)
    assert crash_line(weir).endswith("crashed: SIGSEGV in a thread that was in no plugin's callback"), weir.log_text()


def dumps_core(command, folder):
    """Whether a process that ends so leaves a core, as the system is set up."""
    def limit():
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    child = subprocess.Popen(command, cwd=folder, preexec_fn=limit, stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, _ = os.wait4(child.pid, 0)
    child.returncode = status
    assert os.WIFSIGNALED(status)
    return os.WCOREDUMP(status)


@pytest.mark.one_build
def test_core_dumps_as_ever(lab):
    append(lab.path("in.log"), lines(0, 3))
    config = lab.config([{"name": "tail", "path": lab.path("in.log"), "read_from_head": True}],
                        [{"name": "broken", "match": "*", "fault": "crashes_in_write"}], None, ["out_broken"])
    plain = dumps_core(["sh", "-c", "kill -SEGV $$"], lab.folder)
    assert dumps_core([str(harness.WEIR), "-c", str(config)], lab.folder) == plain


def test_hanging_output_is_named(lab):
    weir = into(lab, "hangs_in_write", {"watchdog": "200ms", "grace": "100ms"})
    weir.wait_log("error [the-sink] has not come back from its callback 'write' for ")
    # As a service manager's watchdog ends it: where it hangs stands in the last line.
    weir.signal(signal.SIGABRT)
    weir.wait(-signal.SIGABRT)
    assert "the-sink, in its callback 'write'" in crash_line(weir).partition("; plugins' callbacks that run: ")[2], weir.log_text()
    assert weir.log_text().count("[the-sink] has not come back") == 1


def test_hanging_input_is_named(lab):
    weir = source(lab, "hangs_in_timer", {"watchdog": "200ms"})
    weir.wait_log("error [the-source] has not come back from its callback 'timer' for ")
    weir.kill()


def test_the_managers_watchdog_names_it_as_well(lab):
    manager = Manager(lab.folder)
    weir = source(lab, "hangs_in_timer", {"watchdog": "0"},
                  env={"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "200000"})
    weir.wait_log("1 of 1 input loops have not come round")
    weir.wait_log("error [the-source] has not come back from its callback 'timer' for ")
    weir.kill()


def test_waiting_is_no_hang(lab):
    """Another hang is named by then, and host->wait is none."""
    append(lab.path("in.log"), lines(0, 3))
    config = lab.config([{"name": "tail", "path": lab.path("in.log"), "read_from_head": True}],
                        [{"name": "broken", "match": "*", "alias": "waits", "fault": "waits_for_ever"},
                         {"name": "broken", "match": "*", "alias": "hangs", "fault": "hangs_in_write"}],
                        {"watchdog": "1s"}, ["out_broken"])  # long for a callback that comes back, however busy the machine is
    weir = lab.start(["-c", config])
    weir.wait_log("[hangs] has not come back")
    weir.kill()
    assert "[waits]" not in weir.log_text()


def test_watchdog_may_be_turned_off_and_on_by_a_reload(lab):
    weir = into(lab, "hangs_in_write", {"watchdog": "0"})
    weir.wait_log("starting")
    config = lab.path("weir.yaml")
    config.write_text(config.read_text().replace('"watchdog": "0"', '"watchdog": "100ms"'))
    weir.signal(signal.SIGHUP)
    weir.wait_log("error [the-sink] has not come back from its callback 'write' for ")
    weir.kill()
