# SPDX-License-Identifier: Apache-2.0
"""Fixtures around a real etcd. Test modules name this file in pytest_plugins."""
import pytest

import harness
from etcd_agent import Agent
from etcd_server import Certificates, Etcd, Proxy, missing


@pytest.fixture(scope="session")
def etcd_ready():
    if not (harness.BUILD / "plugins" / "in_etcd.so").exists():
        missing("%s has no plugins/in_etcd.so: libcurl was missing when it was built" % harness.BUILD)


@pytest.fixture
def make_etcd(etcd_ready, tmp_path):
    """make_etcd(nodes=1, tls=…): they end with the test."""
    made = []

    def make(**options):
        made.append(Etcd(tmp_path / ("etcd%d" % len(made)), **options))
        return made[-1]
    yield make
    for etcd in made:
        etcd.remove()


@pytest.fixture
def etcd(make_etcd):
    """One member, for this test alone."""
    return make_etcd()


@pytest.fixture
def make_proxy():
    made = []

    def make(target, port=None):
        made.append(Proxy(target, port))
        return made[-1]
    yield make
    for proxy in made:
        proxy.end()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("tls") / "certificates")


@pytest.fixture
def agent(lab, etcd):
    """agent(**options of the etcd input): a weir at that etcd."""
    def make(endpoints=None, **options):
        return Agent(lab, endpoints or etcd.endpoints(), **options)
    return make
