# SPDX-License-Identifier: Apache-2.0
"""What is followed changes in etcd, and the difference happens, and only that: no line lost or twice."""
import json
import socket

from etcd_agent import KEY, Agent, entry
from harness import Writer, append, line, lines, numbers, scaled, until, whole_lines

pytest_plugins = ["etcd_fixtures"]

OWN = "/logagent/127.0.0.1/collect_config"


def test_add_and_remove(lab, etcd, agent):
    a, b = lab.path("a.log"), lab.path("b.log")
    append(a, lines(0, 10))
    append(b, lines(0, 10))
    weir = agent(topics=["one", "two"])
    etcd.put(KEY, [entry(a)])
    weir.wait_lines("one", lines(0, 10))
    etcd.put(KEY, [entry(a), entry(b, "two")])
    weir.wait_lines("two", lines(0, 10))
    append(a, lines(10, 20))
    weir.wait_lines("one", lines(0, 20))
    etcd.put(KEY, [entry(b, "two")])
    weir.wait_inputs([b])
    until(lambda: not weir.weir.has_open(a), "the file is closed")
    until(lambda: weir.metric("weir_etcd_changes_total") == 3, "the changes counted")
    append(b, lines(10, 20))
    weir.wait_lines("two", lines(0, 20))
    weir.weir.stop()
    assert weir.lines("one") == lines(0, 20)


def test_what_did_not_change_is_not_touched(lab, etcd, agent):
    a, b = lab.path("a.log"), lab.path("b.log")
    append(a, lines(0, 10))
    append(b, lines(0, 10))
    etcd.put(KEY, [entry(a)])
    weir = agent(topics=["one", "two"])
    weir.wait_lines("one", lines(0, 10))
    number = next(fd for fd, path in weir.weir.descriptors().items() if path == str(a))
    for topic in ("two", "one", "two"):
        etcd.put(KEY, [entry(b, topic), entry(a)])
        until(lambda: weir.inputs().get(str(b), {}).get("topic") == topic, "the change")
        assert weir.weir.descriptors()[number] == str(a)
    weir.weir.stop()
    assert weir.weir.log_text().count("%s is followed from" % a) == 1
    assert weir.lines("one") + weir.lines("two") == lines(0, 10) + lines(0, 10)


def test_change_of_topic_keeps_the_position(lab, etcd, agent):
    a = lab.path("a.log")
    append(a, lines(0, 100))
    weir = agent(topics=["one", "two"])
    etcd.put(KEY, [entry(a, "one")])
    weir.wait_lines("one", lines(0, 100))
    etcd.put(KEY, [entry(a, "two")])
    # while the new one waits, the old one may still read
    until(lambda: weir.wait_inputs([a])[str(a)]["topic"] == "two", "the new topic")
    append(a, lines(100, 200))
    weir.wait_lines("two", lines(100, 200))
    weir.weir.stop()
    assert weir.lines("one") == lines(0, 100)


def test_change_of_option(lab, etcd, agent):
    a = lab.path("a.log")
    append(a, lines(0, 10))
    weir = agent(topics=["one"])
    etcd.put(KEY, [entry(a)])
    weir.wait_lines("one", lines(0, 10))
    revision = etcd.quick_put(KEY, [entry(a, exclude_regex="^00000001[0-4]")])
    weir.wait_applied(revision)
    weir.wait_inputs([a])
    append(a, lines(10, 20))
    weir.wait_lines("one", lines(0, 10) + lines(15, 20))
    weir.weir.stop()


def test_one_that_comes_back_goes_on_where_it_stopped(lab, etcd, agent):
    a = lab.path("a.log")
    append(a, lines(0, 10))
    weir = agent(topics=["one"])
    etcd.put(KEY, [entry(a)])
    weir.wait_lines("one", lines(0, 10))
    etcd.put(KEY, "[]")
    weir.wait_inputs([])
    append(a, lines(10, 20))
    etcd.put(KEY, [entry(a)])
    weir.wait_lines("one", lines(0, 20))
    # and in the next life as well
    etcd.put(KEY, "[]")
    weir.wait_inputs([])
    weir.weir.stop()
    append(a, lines(20, 30))
    later = agent(topics=["one"], name="later")
    later.wait_applied(etcd.revision())
    etcd.put(KEY, [entry(a)])
    later.wait_lines("one", lines(20, 30))
    later.weir.stop()


def test_deletion_of_the_key(lab, etcd, agent):
    a = lab.path("a.log")
    append(a, lines(0, 10))
    weir = agent(topics=["one"])
    etcd.put(KEY, [entry(a)])
    weir.wait_lines("one", lines(0, 10))
    etcd.delete(KEY)
    weir.wait_inputs([])
    weir.weir.wait_log("names no file any more")
    assert weir.metric("weir_etcd_emptied_total") == 1
    append(a, lines(10, 20))
    etcd.put(KEY, [entry(a)])
    weir.wait_lines("one", lines(0, 20))
    weir.weir.stop()


def test_several_keys_are_merged(lab, etcd, agent):
    a, b, c = (lab.path(name) for name in ("a.log", "b.log", "c.log"))
    for path in (a, b, c):
        append(path, lines(0, 10))
    etcd.put(KEY, [entry(a, "one")])
    etcd.put(OWN, [entry(b, "two"), entry(a, "one")])
    etcd.put("/web/%s" % socket.gethostname(), [entry(c, "three")])
    weir = agent(topics=["one", "two", "three"], key=[KEY, "/logagent/${ip}/collect_config", "/${WEIR_TEST_GROUP}/${hostname}"],
                 env={"WEIR_TEST_GROUP": "web"})
    for topic in ("one", "two", "three"):
        weir.wait_lines(topic, lines(0, 10))
    # the second entry for a.log and its topic says nothing new
    until(lambda: [name for name, _ in weir.refused()] == [OWN + "[2]"], lambda: str(weir.refused()))
    etcd.delete(KEY)
    until(lambda: not weir.refused(), "the other key's entry in its place")
    append(a, lines(10, 20))
    weir.wait_lines("one", lines(0, 20))
    etcd.delete(OWN)
    weir.wait_inputs([c])
    weir.weir.stop()


def test_one_file_to_two_topics(lab, etcd, agent):
    """Each has a position of its own, whichever is named first."""
    a = lab.path("a.log")
    append(a, lines(0, 10))
    weir = agent(topics=["one", "two"])
    etcd.put(KEY, [entry(a, "one")])
    weir.wait_lines("one", lines(0, 10))
    etcd.put(KEY, [entry(a, "two"), entry(a, "one")])
    weir.wait_lines("two", lines(0, 10))
    assert set(weir.inputs()) == {str(a), "%s#two" % a}
    etcd.put(KEY, [entry(a, "two")])
    weir.wait_inputs(["%s#two" % a])
    append(a, lines(10, 20))
    weir.wait_lines("two", lines(0, 20))
    etcd.put(KEY, [entry(a, "one"), entry(a, "two")])
    weir.wait_lines("one", lines(0, 20))
    weir.weir.stop()


def test_ids(lab, etcd, agent):
    """An id keeps the positions when the path's pattern changes."""
    a = lab.path("a.log")
    append(a, lines(0, 10))
    weir = agent(topics=["one"])
    etcd.put(KEY, [entry(a, id="app")])
    weir.wait_lines("one", lines(0, 10))
    etcd.put(KEY, [entry(lab.path("*.log"), id="app")])
    until(lambda: "*.log" in etcd.get(KEY).decode(), "the put")
    append(a, lines(10, 20))
    weir.wait_lines("one", lines(0, 20))
    assert set(weir.inputs()) == {"app"}
    weir.weir.stop()


def test_tags(lab, etcd, agent):
    """An entry's own, or the source's."""
    a, b = lab.path("a.log"), lab.path("b.log")
    weir = agent(topics=["one"])
    etcd.put(KEY, [entry(a, tag="web"), entry(b), entry(a, tag="tail", id="tail")])
    found = weir.wait_inputs([a, b, "tail"])
    assert [found[str(name)]["tag"] for name in (a, b, "tail")] == ["web", "src", "tail"]
    append(a, lines(0, 10))
    until(lambda: sorted(numbers(weir.lines("one"))) == sorted(2 * list(range(10))), "each line for both tags")
    weir.weir.stop()


def test_changes_that_no_output_takes(lab, etcd, agent):
    """They are kept up to a bound, then counted as lost and told once; files go on."""
    a = lab.path("a.log")
    append(a, lines(0, 10))
    weir = agent(emit_events=True, topic="nobody", topics=["one"])
    for letter in "abcd":  # 600 changes of 2 KB each
        none = [entry("/nonexistent/%d.log" % number, key=letter * 2000) for number in range(600)]
        weir.wait_applied(etcd.quick_put(KEY, [entry(a)] + none))
    weir.weir.wait_log("changes are not told as records any more, since no output takes them; does one match the tag 'src'?")
    assert 0 < weir.metric("weir_etcd_events_lost_total") < 2 * len(none)
    weir.wait_lines("one", lines(0, 10))
    assert weir.weir.log_text().count("changes are not told") == 1
    weir.weir.stop()


def test_prefix(lab, etcd, agent):
    paths = [lab.path("%d.log" % i) for i in range(4)]
    for path in paths:
        append(path, lines(0, 10))
    etcd.put("/files/0", entry(paths[0]))
    etcd.put("/other/1", entry(paths[1]))
    weir = agent(prefix="/files/", topics=["one"])
    weir.wait_inputs(paths[:1])
    weir.wait_lines("one", lines(0, 10))  # what is not read when its input goes waits in the file
    etcd.put("/files/2", [entry(paths[2]), entry(paths[3])])
    weir.wait_inputs([paths[0], paths[2], paths[3]])
    until(lambda: len(weir.lines("one")) == 3 * len(lines(0, 10)), "the lines of all three")
    etcd.delete("/files/0")
    weir.wait_inputs(paths[2:])
    assert weir.metric("weir_etcd_emptied_total") == 0
    etcd.ctl("del", "--prefix", "/files/")
    weir.wait_inputs([])
    weir.weir.wait_log("names no file any more: all 2 inputs are stopped")
    assert weir.metric("weir_etcd_emptied_total") == 1
    weir.weir.stop()
    assert len(weir.lines("one")) == 3 * len(lines(0, 10))


def test_neighbours_change_a_thousand_times(lab, etcd, agent):
    """A file written at 5,000 lines a second arrives in order and once."""
    kept = lab.path("kept.log")
    others = [lab.path("n%d.log" % i) for i in range(10)]
    for path in others:
        append(path, lines(0, 5))
    weir = agent(topics=["kept", "one", "two"])
    etcd.put(KEY, [entry(kept, "kept")])
    weir.wait_inputs([kept])
    writer = Writer(kept, 5000)
    for i in range(scaled(1000, 200)):
        some = [entry(path, "one" if (i >> n) & 1 else "two", skip_empty_lines=bool(i & 2))
                for n, path in enumerate(others) if (i * 7 + n) % 3]
        some.insert(i % (len(some) + 1), entry(kept, "kept"))
        etcd.quick_put(KEY, some)
    # Some are not among those of the last value, and those before it need not have been in force at all.
    revision = etcd.quick_put(KEY, [entry(kept, "kept")] + [entry(path) for path in others])
    weir.wait_applied(revision)
    written = writer.stop()
    until(lambda: len(weir.lines("one") + weir.lines("two")) >= len(lines(0, 5)) * len(others), "the neighbours' lines")
    until(lambda: len(weir.lines("kept")) >= len(lines(0, written)), "all lines of the file that did not change")
    weir.weir.stop()
    assert numbers(weir.lines("kept")) == list(range(written))
    assert weir.weir.log_text().count("%s is followed from" % kept) == 1
    both = weir.lines("one") + weir.lines("two")
    assert sorted(both.splitlines()) == sorted(lines(0, 5).splitlines() * len(others))


def test_thousands_change_at_once(lab, etcd, agent):
    """Each waits for the one that it follows on: the cost must not grow with the cube of their number."""
    paths = [lab.path("many/%04d.log" % i) for i in range(scaled(4000, 2000))]
    paths[0].parent.mkdir()
    for number, path in enumerate(paths):
        append(path, line(number))
    weir = agent(topics=["one", "two"])
    etcd.quick_put(KEY, [entry(path, "one") for path in paths])
    until(lambda: len(weir.lines("one")) == len(lines(0, len(paths))), "a line of each")
    etcd.quick_put(KEY, [entry(path, "two") for path in paths])
    weir.weir.wait_log(" %d changed" % len(paths))
    for number, path in enumerate(paths):
        append(path, line(len(paths) + number))
    wanted = len(lines(0, len(paths)))
    until(lambda: len(weir.lines("one")) + len(weir.lines("two")) == 2 * wanted, "another line of each")
    weir.wait_inputs(paths)
    etcd.quick_put(KEY, [entry(paths[0], "two")])
    weir.wait_inputs(paths[:1])
    weir.weir.stop()
    assert sorted(numbers(weir.lines("one") + weir.lines("two"))) == list(range(2 * len(paths)))


def test_events_as_records(lab, etcd, agent):
    a = lab.path("a.log")
    append(a, lines(0, 1))
    weir = agent(emit_events=True, topic="history", topics=["one", "two", "history"])
    etcd.put(KEY, [entry(a, exclude_path=["*.gz", "*.bz2"])])
    weir.wait_lines("one", lines(0, 1))
    etcd.put(KEY, [entry(a, "two", exclude_path=["*.gz", "*.bz2"])])
    until(lambda: weir.inputs().get(str(a), {}).get("topic") == "two", "the new topic")
    etcd.put(KEY, "[]")
    weir.wait_inputs([])

    def events():
        records = [json.loads(text) for text in whole_lines(weir.weir.output()).splitlines()]
        return [one for one in records if "history" in one]
    until(lambda: len(events()) == 3, "three changes")
    weir.weir.stop()
    found = events()
    assert [one["action"] for one in found] == ["add", "change", "remove"]
    assert [one["id"] for one in found] == [str(a)] * 3
    assert found[0]["settings"] == {"path": str(a), "topic": "one", "read_from_head": "true",
                                    "exclude_path": ["*.gz", "*.bz2"], "tag": "src"}
    assert found[1]["settings"]["topic"] == "two" and found[0]["revision"] < found[1]["revision"]


def test_status_key(lab, etcd, agent):
    a = lab.path("a.log")
    append(a, lines(0, 10))
    weir = agent(topics=["one"], status_key="/status/${ip}", status_ttl="3s")
    revision = etcd.quick_put(KEY, [entry(a), {"path": "b.log"}])

    def value():
        return json.loads(etcd.get("/status/127.0.0.1") or "{}")
    wanted = [{"path": str(a), "topic": "one", "lag": 0}]
    found = until(lambda: (lambda v: v.get("applied_revision", 0) >= revision and v["files"] == wanted and v)(value()),
                  lambda: "the status: %s" % value())
    assert found["host"] == socket.gethostname() and found["connected"]
    assert "absolute" in found["refused"][0]["error"]
    weir.weir.kill()
    until(lambda: etcd.get("/status/127.0.0.1") is None, "the lease's end")


def test_status_key_tells_of_those_that_lag_most(lab, etcd, agent):
    """Of more files than it has room for, wherever that one stands among them."""
    many = lab.path("many")
    many.mkdir()
    for n in range(501):
        append(many / ("%03d.log" % n), line(n))
    weir = agent(topics=["one"], status_key="/status/${ip}", status_ttl="3s")
    etcd.put(KEY, [entry(many / "*.log")])
    until(lambda: len(weir.lines("one")) == len(lines(0, 501)), "a line of each")
    append(many / "250.log", b"half a line")

    def files():
        return json.loads(etcd.get("/status/127.0.0.1") or "{}").get("files", [])
    wanted = {"path": str(many / "250.log"), "topic": "one", "lag": len("half a line")}
    until(lambda: files()[:1] == [wanted], lambda: "the file that lags: %s" % files()[:3])
    weir.weir.stop()


def test_two_sources(lab, make_etcd):
    """Each has its own inputs."""
    etcd = make_etcd()
    a, b = lab.path("a.log"), lab.path("b.log")
    append(a, line(0))
    append(b, line(0))
    etcd.put("k1", [entry(a)])
    etcd.put("k2", [entry(b)])
    weir = Agent(lab, etcd.endpoints(), key="k1", topics=["one"])
    other = Agent(lab, etcd.endpoints(), key="k2", topics=["one"], name="other", service={"data_dir": lab.path("other")})
    weir.wait_inputs([a])
    other.wait_inputs([b])
    weir.weir.stop()
    other.weir.stop()
