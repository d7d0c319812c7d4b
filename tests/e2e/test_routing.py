# SPDX-License-Identifier: Apache-2.0
"""Each output gets the records of its tags and topics, all of them, and no others.

There is one standard output: which of several stdout outputs wrote a line shows in the name it gives the date.
"""
import json

import pytest

from harness import append, line, lines, run


def route(lab, inputs, outputs):
    """inputs: {name: settings}, each the tail of a file with its name in it; outputs: {name: match settings}.
    Returns {output: [input, …] sorted}."""
    for name in inputs:
        lab.path(name).write_text(name + "\n")
    config = lab.config(
        [{"name": "tail", "alias": name, "path": lab.path(name), "read_from_head": True, "exit_on_eof": True, **settings}
         for name, settings in inputs.items()],
        [{"name": "stdout", "alias": "out-" + name, "format": "json_lines", "json_date_key": name, **settings}
         for name, settings in outputs.items()])
    weir = lab.start(["-c", config])
    weir.wait(0)
    found = {name: [] for name in outputs}
    for entry in weir.output().splitlines():
        record = json.loads(entry)
        found[next(key for key in record if key != "log")].append(record["log"])
    return {name: sorted(taken) for name, taken in found.items()}


def test_two_inputs_two_outputs(lab):
    assert route(lab, {"one": {"tag": "a"}, "two": {"tag": "b"}}, {"A": {"match": "a"}, "B": {"match": "b"}}) == {
        "A": ["one"], "B": ["two"]}


@pytest.mark.parametrize("match,tags", [
    ({"match": "web.access"}, ["web.access"]),
    ({"match": "web.*"}, ["web.access", "web.error", "web.access.old"]),
    ({"match": "*.access"}, ["web.access", "db.access", "Web.access"]),
    ({"match": "*"}, ["web.access", "web.error", "web.access.old", "db.access", "web", "Web.access"]),
    ({"match": "w*.*.*d"}, ["web.access.old"]),
    ({"match": "web"}, ["web"]),
    ({"match_regex": "^(web|db)\\.access$"}, ["web.access", "db.access"]),
    ({"match_regex": "(?i)^web\\.access$"}, ["web.access", "Web.access"]),
])
def test_matches(lab, match, tags):
    every = ["web.access", "web.error", "web.access.old", "db.access", "web", "Web.access"]
    found = route(lab, {tag: {"tag": tag} for tag in every}, {"some": match, "all": {"match": "*"}})
    assert found == {"some": sorted(tags), "all": sorted(every)}


def test_topics(lab):
    inputs = {"one": {"tag": "a", "topic": "web_log"}, "two": {"tag": "a", "topic": "db_log"}, "three": {"tag": "a"},
              "four": {"tag": "b", "topic": "web_log"}}
    outputs = {"web": {"match": "*", "match_topic": "web_*"}, "exact": {"match": "a", "match_topic": "db_log"},
               "all": {"match": "*"}}
    assert route(lab, inputs, outputs) == {
        "web": ["four", "one"], "exact": ["two"], "all": ["four", "one", "three", "two"]}


def test_two_inputs_of_one_file_each_read_all_of_it(lab):
    """Each keeps a position of its own, whichever comes first or is there at all."""
    path = lab.path("in.log")
    path.write_bytes(lines(0, 10))
    inputs = [{"name": "tail", "path": path, "alias": alias, "read_from_head": True} for alias in ("a", "b")]
    sink = [{"name": "stdout", "match": "*", "format": "raw"}]
    weir = lab.start(["-c", lab.config(inputs, sink)], name="one")
    weir.wait_output(lambda data: len(data) == 2 * len(lines(0, 10)))
    weir.stop()
    append(path, line(10))
    weir = lab.start(["-c", lab.config(inputs[1:], sink)], name="two")
    weir.wait_output(lambda data: data == line(10))
    weir.stop()
    weir = lab.start(["-c", lab.config(inputs[::-1], sink)], name="three")
    weir.wait_output(lambda data: data == line(10))
    weir.stop()


def test_two_inputs_of_one_file_need_aliases(lab):
    """By their order they would take each other's positions."""
    path = lab.path("in.log")
    config = lab.config([{"name": "tail", "path": path, "tag": tag} for tag in ("a", "b")], [{"name": "stdout", "match": "*"}])
    said = b"error: without an alias this input and tail.0 would have the same positions, those of 'tail:%s'" % bytes(path)
    for command in (["check"], []):
        status, _, err = run([*command, "-c", config], lab.folder)
        assert status == 1 and said in err, err
