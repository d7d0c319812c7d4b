# SPDX-License-Identifier: Apache-2.0
import os
import shutil

import pytest

import harness


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Of several workers (pytest-xdist), one takes a whole file, and one takes all that share the broker, first of all."""
    def shares_broker(item):
        return "shared_kafka" in item.fixturenames

    for item in items:
        item.add_marker(pytest.mark.xdist_group("kafka" if shares_broker(item) else item.path.name))
    items.sort(key=lambda item: (not shares_broker(item), item.get_closest_marker("kafka") is None))


class Lab:
    """One test's folder, and the weirs that it starts."""
    plugin_dir = harness.TEST_PLUGINS  # of the test plugins that a configuration names

    def __init__(self, folder):
        self.folder = folder
        self.started = []

    def path(self, name):
        return self.folder / name

    def config(self, inputs, outputs, service=None, plugins=(), name="weir.yaml", data_dir=True):
        service = dict(service or {})
        if data_dir:
            service.setdefault("data_dir", self.folder / "data")
        if os.environ.get("WEIR_TEST_SANDBOX"):  # by hand: whatever a test does must work in it as well
            self.folder.chmod(0o755)
            service.setdefault("sandbox", True)
            service.setdefault("sandbox_write", [self.folder])
        path = self.folder / name
        path.write_text(harness.config_text(inputs, outputs, service, plugins, self.plugin_dir))
        return path

    def start(self, args, **kwargs):
        weir = harness.Weir(self.folder, args, **kwargs)
        self.started.append(weir)
        return weir

    def tail(self, path, name="weir", service=None, output=None, stdout=None, stderr=None, preload=None, env=None,
             **options):
        """Starts: tail of `path` from its head, to stdout as raw. Underscored options of tail by name."""
        settings = {"name": "tail", "path": path, "tag": "t", "read_from_head": True, **options}
        sink = {"name": "stdout", "match": "*", "format": "raw", **(output or {})}
        config = self.config([settings], [sink], service, name="%s.yaml" % name)
        return self.start(["-c", config], name=name, stdout=stdout, stderr=stderr, preload=preload, env=env)

    def finish(self):
        for weir in self.started:
            if weir.running():
                weir.process.kill()
                weir.process.wait()
        for weir in self.started:
            text = weir.log_text()
            for word in harness.SANITIZER_WORDS:
                assert word not in text, text


@pytest.fixture
def lab(tmp_path):
    tmp_path.chmod(0o755)
    lab = Lab(tmp_path)
    yield lab
    lab.finish()
    # Outputs can be large; of a failed test too, what matters was shown.
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.fixture
def need():
    """need("strace"): in CI a missing tool is a failure, elsewhere the test is skipped."""
    def check(tool):
        path = shutil.which(tool)
        if path is None:
            (pytest.fail if harness.IN_CI else pytest.skip)("%s is not installed" % tool)
        return path
    return check
