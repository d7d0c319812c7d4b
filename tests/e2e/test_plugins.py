# SPDX-License-Identifier: Apache-2.0
"""Plugins of third parties: what is no plugin is refused, with the reason, before anything runs."""
import os
import shutil
import subprocess

import pytest

import harness

SOURCE = """
#include <weir/plugin.h>
static int make(const struct weir_host *h, struct weir_instance *i, const void *c, void **ret)
{ (void)h; (void)i; (void)c; *ret = (void *)1; return 0; }
static int take(void *self, struct weir_chunk *c) { (void)self; (void)c; return WEIR_DELIVERED; }
static void drop(void *self) { (void)self; }
%s
"""
DESCRIPTOR = """
const struct weir_plugin weir_plugin_descriptor = {
    .struct_size = %(size)s, .abi_version = %(abi)s, .option_size = sizeof(struct weir_option), .kind = %(kind)s,
    .name = %(name)s, .version = "1", .summary = "a test", .create = %(create)s, .write = %(write)s, .destroy = drop,
    .options = %(options)s, .config_size = 8};
"""
GOOD = {"size": "sizeof(struct weir_plugin)", "abi": "WEIR_ABI_VERSION", "kind": "WEIR_OUTPUT", "name": '"mine"',
        "create": "make", "write": "take", "options": "0"}


@pytest.fixture
def build(lab, need):
    """Builds a plugin out of C text, as a third party would."""
    compiler = need("cc")

    def make(text, name="out_mine.so"):
        source = lab.path("plugin.c")
        source.write_text(SOURCE % text)
        subprocess.run([compiler, "-shared", "-fPIC", "-I", str(harness.ROOT / "include"), "-o", str(lab.path(name)),
                        str(source)], check=True)
        lab.path(name).chmod(0o755)
        return lab.path(name)
    return make


def use(lab, plugin, output="mine"):
    """Runs weir with that plugin; what it says."""
    lab.path("in.log").write_bytes(b"x\n")
    lab.path("weir.yaml").write_text(
        "plugins:\n  - %s\nservice:\n  data_dir: ''\npipeline:\n  inputs:\n    - name: tail\n      path: %s\n"
        "      read_from_head: on\n      exit_on_eof: on\n  outputs:\n    - name: %s\n      match: '*'\n"
        % (plugin, lab.path("in.log"), output))
    status, _, err = harness.run(["-c", "weir.yaml"], lab.folder)
    return status, err.decode()


def refused(lab, plugin, *words):
    status, said = use(lab, plugin)
    assert status == 1, said
    assert len(said.splitlines()) == 1, said
    assert "weir.yaml:2:" in said and str(plugin) in said, said
    for word in words:
        assert word in said, said


def test_a_good_one_works(lab, build):
    status, said = use(lab, build(DESCRIPTOR % GOOD))
    assert status == 0, said


def test_a_good_one_is_found_by_its_directory(lab, build):
    build(DESCRIPTOR % GOOD)
    env = dict(os.environ, WEIR_PLUGIN_PATH=str(lab.folder))
    status, out, err = harness.run(["plugins", "mine"], lab.folder, env=env)
    assert status == 0 and b"a test" in out, err


@pytest.mark.parametrize("change,words", [
    ({"abi": "77"}, ["version 77", "version 1"]),
    ({"abi": "0"}, ["version"]),
    ({"size": "24"}, ["too small", "24"]),
    ({"size": "0"}, ["too small"]),
    ({"size": "1000000"}, ["1000000"]),
    ({"kind": "(enum weir_kind)0"}, ["neither"]),
    ({"kind": "(enum weir_kind)9"}, ["neither", "9"]),
    ({"name": "0"}, ["name"]),
    ({"name": '"Bad Name"'}, ["name"]),
    ({"name": '"a123456789012345678901234567890123"'}, ["name"]),
    ({"create": "0"}, ["create"]),
    ({"write": "0"}, ["write"]),
    ({"options": '(const struct weir_option[]){{.name = "x", .type = 99}, {0}}'}, ["option", "x"]),
    ({"options": '(const struct weir_option[]){{.name = "x", .type = WEIR_OPTION_INT, .offset = 4}, {0}}'},
     ["option", "x"]),
])
def test_bad_descriptors(lab, build, change, words):
    refused(lab, build(DESCRIPTOR % {**GOOD, **change}), *words)


def test_no_descriptor(lab, build):
    refused(lab, build("void *keep(void); void *keep(void) { return (void *)make + (long)take + (long)drop; }"),
            "weir_plugin_descriptor")


def test_a_tiny_object_of_that_name(lab, need):
    """Without weir's header: its descriptor is four bytes."""
    compiler = need("cc")
    lab.path("tiny.c").write_text("const int weir_plugin_descriptor = 1;\n")
    tiny = lab.path("tiny.so")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(tiny), str(lab.path("tiny.c"))], check=True)
    tiny.chmod(0o755)
    refused(lab, tiny, "weir_plugin_descriptor")


def test_writable_by_others(lab):
    copy = lab.path("out_copy.so")
    shutil.copy(harness.BUILD / "plugins" / "out_stdout.so", copy)
    copy.chmod(0o757)
    refused(lab, copy, "write", "chmod")


def test_in_a_folder_that_others_may_write_to(lab):
    folder = lab.path("open")
    folder.mkdir()
    folder.chmod(0o777)
    copy = folder / "out_copy.so"
    shutil.copy(harness.BUILD / "plugins" / "out_stdout.so", copy)
    copy.chmod(0o755)
    refused(lab, copy, "write")


def test_of_another_user(lab):
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    copy = lab.path("out_copy.so")
    shutil.copy(harness.BUILD / "plugins" / "out_stdout.so", copy)
    copy.chmod(0o755)
    os.chown(copy, 12345, 12345)
    refused(lab, copy, "12345")


def test_no_shared_object(lab):
    text = lab.path("out_text.so")
    text.write_text("these are words\n")
    text.chmod(0o644)
    refused(lab, text)
    empty = lab.path("out_empty.so")
    empty.write_bytes(b"")
    empty.chmod(0o644)
    refused(lab, empty)


def test_cut_off(lab):
    whole = (harness.BUILD / "plugins" / "out_stdout.so").read_bytes()
    cut = lab.path("out_cut.so")
    cut.write_bytes(whole[:500])
    cut.chmod(0o755)
    refused(lab, cut)


def test_a_directory_and_nothing(lab):
    refused(lab, lab.folder)
    refused(lab, lab.path("nowhere.so"), "No such file")


def test_a_second_one_of_the_same_name(lab):
    copy = lab.path("out_stdout.so")
    shutil.copy(harness.BUILD / "plugins" / "out_stdout.so", copy)
    copy.chmod(0o755)
    other = lab.path("other.so")
    shutil.copy(copy, other)
    other.chmod(0o755)
    lab.path("weir.yaml").write_text(
        "plugins:\n  - %s\n  - %s\npipeline:\n  inputs:\n    - name: tail\n      path: /x\n  outputs:\n"
        "    - name: stdout\n" % (copy, other))
    status, _, err = harness.run(["check", "-c", "weir.yaml"], lab.folder)
    assert status == 1 and b"weir.yaml:3:" in err and b"stdout" in err, err
