# SPDX-License-Identifier: Apache-2.0
"""A mistake ends with status 1 and one line that names file, line, and what was meant."""
import os
import re
import textwrap

import pytest

import harness

GOOD = """\
service:
  data_dir: ''
pipeline:
  inputs:
    - name: tail
      path: /var/log/none.log
      tag: a
  outputs:
    - name: stdout
      match: a
"""


def check(lab, text, args=("check",)):
    path = lab.path("weir.yaml")
    path.write_text(textwrap.dedent(text))
    status, out, err = harness.run([*args, "-c", path.name], lab.folder)
    return status, out, err.decode()


def refused(lab, text, line, *words):
    """Both `weir check` and running it say the same one line, with the file, the line and the words."""
    for args in (("check",), ()):
        status, out, err = check(lab, text, args)
        assert status == 1, err
        assert out == b"", out
        said = err.splitlines()
        assert len(said) == 1, err
        place = "weir.yaml:%d:" % line if line else "weir.yaml"
        assert place in said[0], err
        for word in words:
            assert word in said[0], err


def replaced(old, new):
    assert GOOD.count(old) == 1, old
    return GOOD.replace(old, new)


def test_good_file_is_good(lab):
    status, _, err = check(lab, GOOD)
    assert status == 0, err


def test_check_opens_nothing(lab):
    """No data_dir is made, no file is made, nothing is written."""
    status, out, err = check(lab, GOOD.replace("data_dir: ''", "data_dir: %s" % lab.path("data")))
    assert status == 0, err
    assert not lab.path("data").exists()
    assert b'"log"' not in out


@pytest.mark.parametrize("old,new,line,words", [
    # unknown option
    ("      path:", "      pth:", 6, ["pth", "path"]),
    ("      tag: a", "      tga: a", 7, ["tga", "tag"]),
    ("      match: a", "      match: a\n      fromat: raw", 11, ["fromat", "format"]),
    ("  data_dir: ''", "  data_dri: ''", 2, ["data_dri", "data_dir"]),
    ("  data_dir: ''", "  data_dir: ''\n  gracee: 5s", 3, ["gracee", "grace"]),
    # wrong type
    ("      tag: a", "      tag: a\n      read_from_head: maybe", 8, ["read_from_head", "maybe"]),
    ("      tag: a", "      tag: a\n      buffer_max_size: many", 8, ["buffer_max_size", "many"]),
    ("      tag: a", "      tag: a\n      refresh_interval: soon", 8, ["refresh_interval", "soon"]),
    ("      tag: a", "      tag: [a, b]", 7, ["tag"]),
    ("  data_dir: ''", "  data_dir: ''\n  input_threads: two", 3, ["input_threads", "two"]),
    # a choice: the nearest right one
    ("      match: a", "      match: a\n      format: json_line", 11, ["format", "json_line", "json_lines"]),
    ("  data_dir: ''", "  data_dir: ''\n  log_level: inof", 3, ["log_level", "inof", "info"]),
    # out of range
    ("  data_dir: ''", "  data_dir: ''\n  input_threads: 0", 3, ["input_threads", "0", "1", "64"]),
    ("  data_dir: ''", "  data_dir: ''\n  input_threads: 65", 3, ["input_threads", "65", "64"]),
    ("  data_dir: ''", "  data_dir: ''\n  input_threads: 99999999999999999999", 3, ["input_threads"]),
    ("  data_dir: ''", "  data_dir: ''\n  grace: -1s", 3, ["grace"]),
    ("  data_dir: ''", "  data_dir: ''\n  memory_limit: 99999999999999999999G", 3, ["memory_limit"]),
    # unknown plugin
    ("name: tail", "name: tial", 5, ["tial", "tail"]),
    ("name: stdout", "name: sdtout", 9, ["sdtout", "stdout"]),
    ("name: stdout", "name: nothinglikeit", 9, ["nothinglikeit"]),
    # one of the other kind
    ("name: tail", "name: stdout", 5, ["stdout"]),
    # missing path, missing name
    ("      path: /var/log/none.log\n", "", 5, ["path"]),
    ("    - name: tail\n      path: /var/log/none.log", "    - path: /var/log/none.log", 5, ["name"]),
    # broken YAML
    ("      tag: a", "     tag: a", 7, []),
    ("      tag: a", "      tag: 'a", None, []),
    ("      tag: a", "\t  tag: a", 7, []),
    ("      tag: a", "      tag: a\n      tag: b", 8, ["tag", "7"]),
    ("pipeline:", "pipelines:", 3, ["pipelines", "pipeline"]),
    ("  outputs:", "  output:", 8, ["output", "outputs"]),
    # a variable that is not there
    ("path: /var/log/none.log", "path: ${WEIR_TEST_NOT_SET}/x", 6, ["WEIR_TEST_NOT_SET"]),
    # a regular expression that is none
    ("      match: a", "      match_regex: '(a'", 10, ["(a"]),
])
def test_one_mistake_is_one_line(lab, old, new, line, words):
    refused(lab, replaced(old, new), line, *words)


@pytest.mark.parametrize("kind", ["inputs", "outputs"])
def test_duplicate_alias(lab, kind):
    one = {"inputs": "    - name: tail\n      alias: twin\n      path: /x%d\n      tag: a\n",
           "outputs": "    - name: stdout\n      alias: twin\n      match: a%d\n"}[kind]
    other = {"inputs": "  outputs:\n    - name: stdout\n      match: '*'\n",
             "outputs": "  inputs:\n    - name: tail\n      path: /x\n      tag: a1\n"}[kind]
    text = "pipeline:\n  %s:\n%s%s%s" % (kind, one % 1, one % 2, other)
    refused(lab, text, {"inputs": 8, "outputs": 7}[kind], "twin")


def test_input_that_no_output_takes(lab):
    refused(lab, replaced("match: a", "match: b"), 7, "tag", "'a'")


def test_several_mistakes_are_all_named(lab):
    status, _, err = check(lab, GOOD.replace("path:", "pth:").replace("match:", "mach:"))
    assert status == 1
    assert "pth" in err and "mach" in err
    assert re.search(r"weir\.yaml:6:", err) and re.search(r"weir\.yaml:10:", err)


@pytest.mark.parametrize("text", ["", "pipeline:\n", "pipeline: {}\n", "service: {}\n", "pipeline:\n  inputs: []\n",
                                  "[]\n", "just words\n", "pipeline:\n  inputs: 7\n"])
def test_empty_or_odd_files(lab, text):
    status, _, err = check(lab, text)
    assert status == 1
    assert len(err.splitlines()) == 1 and "weir.yaml" in err, err


def test_no_such_file(lab):
    status, _, err = harness.run(["-c", "nowhere.yaml"], lab.folder)
    assert status == 1
    assert len(err.splitlines()) == 1 and b"nowhere.yaml" in err and b"No such file" in err


@pytest.mark.parametrize("data", [b"\xff\xfe\0", b"a: \xc3\x28\n", b"\0\0\0\0", b"&a [*a]", b"a: &a [*a, *a]\n",
                                  b"%YAML 9.9\n---\n", b"{" * 5000, b"- " * 5000, b"? ? ? ?", b"!!binary x: y"])
def test_hostile_bytes(lab, data):
    path = lab.path("weir.yaml")
    path.write_bytes(data)
    status, _, err = harness.run(["check", "-c", "weir.yaml"], lab.folder)
    assert status == 1 and err.strip(), err


def test_alias_bomb(lab):
    text = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    for before, name in zip("abcdefghi", "bcdefghij"):
        text += "%s: &%s [%s]\n" % (name, name, ", ".join(["*" + before] * 9))
    lab.path("weir.yaml").write_text(text)
    status, _, err = harness.run(["check", "-c", "weir.yaml"], lab.folder)
    assert status == 1 and err.strip()


def test_includes_and_variables(lab):
    lab.path("in.log").write_bytes(b"hello\n")
    lab.path("part.yaml").write_text(textwrap.dedent("""\
        pipeline:
          inputs:
            - name: tail
              path: ${WEIR_TEST_FOLDER}/in.log
              read_from_head: on
              exit_on_eof: on
              tag: ${WEIR_TEST_TAG}
    """))
    lab.path("weir.yaml").write_text(textwrap.dedent("""\
        includes: [part.yaml]
        service:
          data_dir: ''
        pipeline:
          outputs:
            - name: stdout
              match: it
              format: raw
    """))
    import os
    env = dict(os.environ, WEIR_TEST_FOLDER=str(lab.folder), WEIR_TEST_TAG="it")
    status, out, err = harness.run(["-c", "weir.yaml"], lab.folder, env=env)
    assert (status, out) == (0, b"hello\n"), err


def test_mistake_in_an_included_file_names_it(lab):
    lab.path("part.yaml").write_text("pipeline:\n  inputs:\n    - name: tail\n      pth: x\n")
    lab.path("weir.yaml").write_text(
        "includes: [part.yaml]\npipeline:\n  outputs:\n    - name: stdout\n      match: '*'\n")
    status, _, err = harness.run(["check", "-c", "weir.yaml"], lab.folder)
    assert status == 1
    assert b"part.yaml:4:" in err, err


@pytest.mark.parametrize("name", [
    pytest.param(path.name, marks=[pytest.mark.kafka] if "name: kafka" in path.read_text() else [])
    for path in sorted((harness.ROOT / "conf").glob("*.yaml"))])
def test_configuration_in_conf_is_good(lab, name):
    """Those with a kafka output are left to the builds that run librdkafka."""
    env = dict(os.environ, WEIR_QUICKSTART_DIR=str(lab.folder), WEIR_QUICKSTART_ETCD="http://127.0.0.1:2379",
               WEIR_QUICKSTART_KAFKA="127.0.0.1:9092", WEIR_QUICKSTART_PORT="2020")
    status, _, err = harness.run(["check", "-c", harness.ROOT / "conf" / name], lab.folder, env=env)
    assert status == 0, err
    assert b"warn" not in err, err
