# SPDX-License-Identifier: Apache-2.0
"""docs/operations.md says what is true: its metrics are the ones that weir has, its alarms and its score are right."""
import http.client
import importlib.util
import re
import shutil
import socket
import subprocess

import pytest

from harness import IN_CI, ROOT, Weir, append, config_text, lines, until

pytestmark = pytest.mark.one_build
DOCUMENT = (ROOT / "docs" / "operations.md").read_text()
RULES = ROOT / "conf" / "prometheus.rules"


def documented():
    return {(name, kind) for name, kind in re.findall(r"^\| `([a-z0-9_]+)` \| (counter|gauge) \|", DOCUMENT, re.M)}


def check_by_prometheus(text):
    """What Prometheus' own parser makes of it, and its conventions for names."""
    from prometheus_client.parser import text_string_to_metric_families
    families = list(text_string_to_metric_families(text))
    assert len(families) > 40
    for family in families:
        assert family.type in ("counter", "gauge") and family.documentation, family.name
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter"), sample.name


def test_every_metric_is_documented_and_there(tmp_path):
    """With every plugin, and what their options bring; Kafka is librdkafka's mock cluster, and etcd is away."""
    path, config = tmp_path / "a.log", tmp_path / "weir.yaml"
    address = str(tmp_path / "admin")  # no port: the mock cluster takes one that is free
    append(path, lines(0, 100))
    config.write_text(config_text(
        [{"name": "tail", "alias": "in", "path": path, "tag": "t", "read_from_head": True, "parser": "json", "time_key": "time"},
         {"name": "tail", "alias": "decoded", "path": tmp_path / "none.log", "tag": "u", "encoding": "gbk"},
         {"name": "etcd", "alias": "fleet", "endpoints": ["http://127.0.0.1:9"], "key": "k", "emit_events": True,
          "allow_path": ["/var/log/**"]},
         {"name": "lines", "path": tmp_path / "lines", "storage": "disk"}],
        [{"name": "stdout", "match": "*"},
         {"name": "kafka", "match": "t", "brokers": "127.0.0.1:9", "rdkafka.test.mock.num.brokers": 1,
          "rdkafka.statistics.interval.ms": 100},
         {"name": "kafka", "alias": "exact", "match": "u", "brokers": "127.0.0.1:9", "rdkafka.test.mock.num.brokers": 1,
          "delivery": "exactly_once"}],
        {"data_dir": tmp_path / "data", "http_server": True, "http_listen": "unix:" + address}, ["in_lines"]))
    weir = Weir(tmp_path, ["-c", config])

    def metrics():
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.connect(address)
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()
        except OSError:
            assert weir.running(), weir.log_text()
            return ""
        finally:
            connection.close()

    def kinds(text):
        return set(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
    until(lambda: re.search(r'^weir_kafka_topic_sent_messages_total\{.*\} 100$', metrics(), re.M), "librdkafka's figures")
    until(lambda: documented() <= kinds(metrics()), lambda: "in docs/operations.md, but not there: %s" % (documented() - kinds(metrics())))
    text = metrics()
    if IN_CI or importlib.util.find_spec("prometheus_client"):
        check_by_prometheus(text)
    weir.stop()
    assert kinds(text) - documented() == set(), "not in docs/operations.md"


def of_plugins():
    """{metric} by the sources of the plugins: names that a help text stands behind. Whatever options bring them."""
    found = set()
    for source in ROOT.glob("plugins/*/*.c"):
        plugin = source.parent.name.split("_", 1)[1]
        rows = re.findall(r'"([a-z0-9_]+)",[\s\\]*(?:\.help = )?"[A-Z]|WEIR_GAUGE, "([a-z_]+)", (?:bytes|seconds|file_)',
                          source.read_text())
        found |= {"weir_%s_%s" % (plugin, one or other) for one, other in rows}
    return found


def test_metrics_of_plugins_are_documented():
    """Those that only some option or event brings, too."""
    names = {re.sub("_total$", "", name) for name, _ in documented() if re.match("weir_(tail|etcd|kafka|stdout)_", name)}
    assert len(names) > 40
    assert of_plugins() == names


def test_alarms_use_metrics_that_are():
    names = {name for name, _ in documented()} | {"up"}
    expressions = re.findall(r"^ +expr: (.+)$", RULES.read_text(), re.M)
    assert len(expressions) >= 9
    for expression in expressions:
        used = set(re.findall(r"\b(?:weir_[a-z0-9_]+|process_[a-z_]+|up)\b", expression))
        assert used and used <= names, expression
    if shutil.which("promtool"):
        subprocess.run(["promtool", "check", "rules", RULES], check=True, timeout=60)


def test_the_unit_is_as_tight_as_is_said():
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze")
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", ROOT / "conf" / "weir.service"], capture_output=True,
                          text=True, timeout=60, check=False)
    score = re.search(r"exposure level for weir.service: ([0-9.]+)", done.stdout)
    if not score:
        pytest.skip("this systemd can't judge a file: %s" % (done.stdout + done.stderr)[-200:])
    assert float(score[1]) <= float(re.search(r"is \*\*([0-9.]+) \(OK\)\*\*", DOCUMENT)[1])
