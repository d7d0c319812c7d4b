# SPDX-License-Identifier: Apache-2.0
"""Users, roles and tokens; TLS that holds and TLS that must be refused. Secrets are never shown."""
import pytest

from etcd_agent import Agent, entry
from harness import append, lines, until

pytest_plugins = ["etcd_fixtures"]

KEY = "/logagent/127.0.0.1/collect_config"
QUICK = {"ping_interval": "300ms", "request_timeout": "3s", "connect_timeout": "3s"}
SECRET = "weir-secret"


def never_shown(weir, *secrets):
    for secret in secrets:
        assert secret not in weir.weir.log_text()
        assert secret not in weir.ask("/api/v1/status")[1] and secret not in weir.ask("/metrics")[1]


@pytest.fixture
def file(lab):
    append(lab.path("a.log"), lines(0, 10))
    return lab.path("a.log")


def test_role_that_may_read_its_key_only(lab, make_etcd, file):
    etcd = make_etcd()
    etcd.enable_auth(KEY)
    etcd.put(KEY, [entry(file)])
    secret = lab.path("password")
    secret.write_text(SECRET + "\n")
    weir = Agent(lab, etcd.endpoints(), key="/logagent/${ip}/collect_config", user="weir", password="file://%s" % secret,
                 topics=["one"], **QUICK)
    weir.wait_lines("one", lines(0, 10))
    etcd.put(KEY, "[]")
    weir.wait_inputs([])
    never_shown(weir, SECRET)
    weir.weir.stop()
    # a key that it may not read
    other = Agent(lab, etcd.endpoints(), key=[KEY, "/logagent/10.0.0.1/collect_config"], user="weir", password=SECRET,
                  name="other", **QUICK)
    other.weir.wait_log("permission denied")
    until(lambda: "permission denied" in (other.status()["inputs"][0]["error"] or ""), "the same in the status")
    never_shown(other, SECRET)
    other.weir.stop()


@pytest.mark.parametrize("options", [{}, {"user": "weir", "password": "wrong-secret"}, {"user": "nobody", "password": SECRET}],
                         ids=["no user", "wrong password", "unknown user"])
def test_refused(lab, make_etcd, file, options):
    etcd = make_etcd()
    etcd.enable_auth(KEY)
    etcd.put(KEY, [entry(file)])
    weir = Agent(lab, etcd.endpoints(), key=KEY, topics=["one"], **options, **QUICK)
    weir.weir.wait_log("refused with HTTP status")
    assert not weir.source()["connected"] and not weir.inputs()
    never_shown(weir, SECRET, "wrong-secret")
    weir.weir.stop()


def test_token_that_expires(lab, make_etcd, file):
    """A token that etcd has forgotten is replaced by a new one, and that is no outage."""
    etcd = make_etcd(options=["--auth-token-ttl", "1"])
    etcd.enable_auth(KEY)
    etcd.put(KEY, "[]")
    weir = Agent(lab, etcd.endpoints(), key=KEY, user="weir", password=SECRET, topics=["one"],
                 service={"log_level": "debug"}, **{**QUICK, "ping_interval": "3s"})
    until(lambda: weir.source().get("connected"), "the connection")
    failures = weir.metric("weir_etcd_failures_total")
    weir.weir.wait_log("the token has run out")
    etcd.put(KEY, [entry(file)])
    weir.wait_lines("one", lines(0, 10))
    assert weir.metric("weir_etcd_failures_total") == failures and weir.source()["connected"]
    weir.weir.stop()


def test_role_that_is_taken_away_and_given_back(lab, make_etcd, file):
    etcd = make_etcd()
    etcd.enable_auth(KEY)
    etcd.put(KEY, [entry(file)])
    weir = Agent(lab, etcd.endpoints(), key=KEY, user="weir", password=SECRET, topics=["one"], **QUICK)
    weir.wait_lines("one", lines(0, 10))
    etcd.ctl("user", "revoke-role", "weir", "reader")
    until(lambda: not weir.source()["connected"], "that it is refused")
    append(file, lines(10, 20))
    weir.wait_lines("one", lines(0, 20))
    etcd.put(KEY, "[]")
    etcd.ctl("user", "grant-role", "weir", "reader")
    weir.wait_inputs([])
    weir.weir.stop()


def tls(certificates, ca="ca", client="client"):
    options = {"tls.ca_file": str(certificates.path(ca + ".crt"))}
    if client:
        options["tls.crt_file"] = str(certificates.path(client + ".crt"))
        options["tls.key_file"] = str(certificates.path(client + ".key"))
    return options


def test_tls(lab, make_etcd, certificates, file):
    etcd = make_etcd(tls=(certificates, "server"))
    etcd.put("k", [entry(file)])
    weir = Agent(lab, etcd.endpoints(), key="k", topics=["one"], **tls(certificates), **QUICK)
    weir.wait_lines("one", lines(0, 10))
    etcd.put("k", "[]")
    weir.wait_inputs([])
    weir.weir.stop()


@pytest.mark.parametrize("server,options,reason", [
    ("server", {"ca": "foreign"}, "self-signed certificate in certificate chain|unable to get|certificate"),
    ("server", {"client": None}, "certificate required|bad certificate|alert|reset|not connected"),
    # In TLS 1.3 the client has finished by then: it may see the alert, or just that the connection is gone.
    ("server", {"client": "foreign"}, "bad certificate|unknown|alert|verif|reset|not connected"),
    ("elsewhere", {}, "no alternative certificate subject name matches"),
    ("expired", {}, "certificate has expired"),
], ids=["wrong ca", "no client certificate", "foreign client", "wrong host", "expired"])
def test_tls_that_must_be_refused(lab, make_etcd, certificates, file, server, options, reason):
    etcd = make_etcd(tls=(certificates, server))
    etcd.put("k", [entry(file)])
    weir = Agent(lab, etcd.endpoints(), key="k", topics=["one"], **tls(certificates, **options), **QUICK)

    def refused():
        error = weir.status()["inputs"][0]["error"] or ""
        return any(word in error for word in reason.split("|"))
    until(refused, lambda: "refused for %s: %s" % (reason, weir.status()["inputs"][0]["error"]))
    assert not weir.source()["connected"] and not weir.inputs()
    weir.weir.stop()
    assert weir.lines("one") == b""


def test_plain_port_is_no_tls(lab, make_etcd, certificates, file):
    etcd = make_etcd()
    etcd.put("k", [entry(file)])
    weir = Agent(lab, [etcd.endpoint().replace("http:", "https:")], key="k", topics=["one"], **tls(certificates), **QUICK)
    weir.weir.wait_log("nothing is followed until it does")
    assert not weir.inputs()
    weir.weir.stop()


@pytest.mark.parametrize("name", ["tls.ca_file", "tls.crt_file"])
def test_certificate_file_that_is_missing(lab, make_etcd, certificates, name):
    etcd = make_etcd(tls=(certificates, "server"))
    weir = Agent(lab, etcd.endpoints(), key="k", **{**tls(certificates), name: "/nonexistent/file.pem"}, **QUICK)
    weir.weir.wait_log("/nonexistent/file.pem")
    weir.weir.stop()
