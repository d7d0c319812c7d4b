# SPDX-License-Identifier: Apache-2.0
"""The plugin ABI: its layout is what is recorded; plugins of other versions load, with the expected result."""
import os
import re
import signal
import subprocess

import pytest

import harness
from harness import ROOT, append, lines, until

LAYOUT = ROOT / "tests" / "abi" / "layout"
HEADER = (ROOT / "include" / "weir" / "plugin.h").read_text()


def layout(header=None):
    env = dict(os.environ, WEIR_ABI_HEADER=str(header)) if header else dict(os.environ)
    done = subprocess.run([str(LAYOUT), "--check"], env=env, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.one_build
def test_layout_is_what_is_recorded():
    status, said = layout()
    assert status == 0, said


@pytest.mark.one_build
@pytest.mark.parametrize("change,words", [
    # an addition at an end
    ((r"(int \(\*retire\)\(void \*self\);)", r"\1 void (*more)(void);"),
     ["has grown, and that is not recorded", "weir_plugin.more", "tests/abi/layout --record"]),
    # in the middle
    ((r"(int \(\*start\)\(void \*self\);)", r"void (*more)(void); \1"),
     ["The plugin ABI is broken", "weir_plugin.start", "Put it back"]),
    # removed
    ((r"    uint64_t token;\n\};", "};"), ["is broken", "weir_position.token", "is now: gone"]),
    # another type of the same size, another signature, another number
    ((r"uint32_t records;    /\*", "int32_t records; /*"), ["is broken", "weir_chunk.records"]),
    ((r"\(\*timer_set\)\(struct weir_timer \*, uint64_t first, uint64_t repeat\)",
      "(*timer_set)(struct weir_timer *, uint64_t first, int repeat)"), ["is broken", "weir_host.timer_set"]),
    ((r"WEIR_RETRY = 1,", "WEIR_RETRY = 4,"), ["is broken", "weir_result.WEIR_RETRY"]),
    # a structure whose size nobody hands over
    ((r"(const char \*value;)\n\};\n\nstruct weir_map \{", r"\1 int more;\n};\n\nstruct weir_map {"),
     ["is broken", "weir_map_entry"]),
    ((r"#define WEIR_ABI_VERSION 1u", "#define WEIR_ABI_VERSION 2u"), ["is broken", "WEIR_ABI_VERSION"]),
])
def test_a_change_is_told_with_what_to_do(lab, change, words):
    text, count = re.subn(change[0], change[1], HEADER, count=1)
    assert count == 1, change
    lab.path("plugin.h").write_text(text)
    status, said = layout(lab.path("plugin.h"))
    assert status == 1, said
    for word in words:
        assert word in said, said


def test_old_in_new(lab):
    """The first version's input and output together, stopped, killed and started again."""
    config = lab.config([{"name": "abi1_in", "count": 3000, "tag": "t", "topic": "p", "secret": "s", "map.a": 1}],
                        [{"name": "abi1_out", "match": "*", "file": lab.path("out")}],
                        {"scheduler.base": "1ms", "scheduler.cap": "2ms"}, plugins=["abi1_in", "abi1_out"])
    weir = lab.start(["-c", config])
    weir.wait_log("abi1_in.0 goes on at 0, tag t, topic 'p', weir ")
    until(lambda: lab.path("out").exists() and lab.path("out").stat().st_size > 100, "some lines")
    weir.signal(signal.SIGKILL)
    assert weir.wait(None) in (-signal.SIGKILL, 0)  # 0: it was through before
    weir = lab.start(["-c", config], name="second")
    weir.wait(0)  # it ends when all is delivered
    assert "is not what came back" not in weir.log_text()
    found = [int(text) for text in lab.path("out").read_bytes().split()]
    assert sorted(set(found)) == list(range(1, 3001))
    weir = lab.start(["-c", config], name="third")
    weir.wait(0)
    assert "goes on at 3000" in weir.log_text()


def test_new_in_old(lab):
    append(lab.path("in.log"), lines(0, 500))
    config = lab.config([{"name": "tail", "path": lab.path("in.log"), "read_from_head": True, "exit_on_eof": True}],
                        [{"name": "abi_newer_out", "match": "*", "path": lab.path("out")}], plugins=["abi_newer_out"])
    weir = lab.start(["-c", config])
    weir.wait(0)
    assert "this weir has no future: doing without" in weir.log_text()
    assert lab.path("out").read_bytes() == lines(0, 500)


@pytest.mark.one_build
@pytest.mark.parametrize("plugin", ["abi1_in", "abi1_out", "abi_newer_out"])
def test_they_conform(lab, plugin):
    options = ["--option", "path=" + str(lab.path("out"))]
    status, out, err = harness.run(["check-plugin", harness.TEST_PLUGINS / (plugin + ".so"), "--cycles", "100", *options],
                                   lab.folder)
    assert status == 0, out.decode() + err.decode()


def test_another_version_is_refused(lab):
    status, _, err = harness.run(["plugins", "-e", harness.TEST_PLUGINS / "bad_abi.so"], lab.folder)
    assert status == 1 and b"is built for version 2 of the plugin interface, this weir has version 1" in err
