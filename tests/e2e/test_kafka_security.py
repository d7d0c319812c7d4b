# SPDX-License-Identifier: Apache-2.0
"""TLS with client certificates and SASL against a real broker; a secret comes from a file and is never printed."""
import pytest

from etcd_server import Proxy
from harness import lines, until
from kafka_broker import PASSWORD, ship, ship_all

pytest_plugins = ["kafka_fixtures"]
pytestmark = pytest.mark.kafka


def tls(kafka, name="client"):
    return {"security.protocol": "ssl", "ssl.ca.location": kafka.secret("ca.pem"),
            "ssl.certificate.location": kafka.secret(name + ".pem"), "ssl.key.location": kafka.secret(name + ".key")}


def sasl(kafka, mechanism, password):
    return {"security.protocol": "sasl_ssl", "ssl.ca.location": kafka.secret("ca.pem"), "sasl.mechanism": mechanism,
            "sasl.username": "weir", "sasl.password": password}


@pytest.fixture
def path(lab):
    path = lab.path("in.log")
    path.write_bytes(lines(0, 10000))
    return path


def check_arrives(lab, kafka, path, topic, brokers, rdkafka):
    kafka.create(topic)
    ship_all(lab, kafka, path, topic, brokers=brokers, rdkafka=rdkafka)
    assert kafka.numbers(topic) == list(range(10000))


def test_client_certificate(lab, secure_kafka, path, topic):
    check_arrives(lab, secure_kafka, path, topic, secure_kafka.tls, tls(secure_kafka))


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"])
def test_sasl(lab, secure_kafka, path, topic, mechanism):
    lab.path("secret").write_text(PASSWORD + "\n", encoding="utf-8")
    lab.path("secret").chmod(0o600)
    check_arrives(lab, secure_kafka, path, topic, secure_kafka.sasl,
                  sasl(secure_kafka, mechanism, "file://%s" % lab.path("secret")))


def bearer(kafka, config):
    """Tokens that librdkafka makes by itself, without a signature: what a broker without a validator takes."""
    return {"security.protocol": "sasl_ssl", "ssl.ca.location": kafka.secret("ca.pem"),
            "sasl.mechanism": "OAUTHBEARER", "enable.sasl.oauthbearer.unsecure.jwt": "true",
            "sasl.oauthbearer.config": config}


def test_oauthbearer(lab, secure_kafka, path, topic):
    check_arrives(lab, secure_kafka, path, topic, secure_kafka.sasl, bearer(secure_kafka, "principal=weir"))


def test_oauthbearer_without_a_principal(lab, secure_kafka, path):
    """No token can be made: it is said why, and nothing is lost."""
    weir = ship(lab, secure_kafka, path, "refused", brokers=secure_kafka.sasl, service={"grace": "200ms"},
                rdkafka=bearer(secure_kafka, "scope=nothing"))
    weir.wait_log("no principal")
    assert weir.running()
    weir.stop()


def check_refused(lab, kafka, path, brokers, rdkafka, *words):
    """weir says so, keeps running, and has lost nothing once it is let in."""
    weir = ship(lab, kafka, path, "refused", brokers=brokers, rdkafka=rdkafka, service={"grace": "200ms"})
    weir.wait_log(brokers)
    until(lambda: any(word in weir.log_text().lower() for word in words), weir.log_text)
    assert weir.running()
    weir.stop()
    return weir.log_text()


def test_client_certificate_of_a_stranger(lab, secure_kafka, path):
    check_refused(lab, secure_kafka, path, secure_kafka.tls, tls(secure_kafka, "other-client"), "ssl", "tls")


def test_wrong_password(lab, secure_kafka, path):
    text = check_refused(lab, secure_kafka, path, secure_kafka.sasl,
                         sasl(secure_kafka, "SCRAM-SHA-256", "a-wrong-password"), "authentication failed")
    assert "a-wrong-password" not in text


def test_wrong_host_name(lab, secure_kafka, path, topic):
    """127.0.0.2 is not in the broker's certificate. That is looked at unless somebody turns it off."""
    proxy = Proxy(int(secure_kafka.tls.rsplit(":", 1)[1]), host="127.0.0.2")
    try:
        brokers = "127.0.0.2:%d" % proxy.port
        check_refused(lab, secure_kafka, path, brokers, tls(secure_kafka), "certificate verify failed")
        check_arrives(lab, secure_kafka, path, topic, brokers,
                      {**tls(secure_kafka), "ssl.endpoint.identification.algorithm": "none"})
    finally:
        proxy.end()
