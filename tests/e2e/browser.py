# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium, spoken to by its DevTools protocol over a pipe: no driver and no library in between."""
import base64
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import time

from harness import until

FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--mute-audio",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
         "--disable-default-apps", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--hide-scrollbars"]


def binary():
    return shutil.which("chromium") or shutil.which("google-chrome")


class Browser:
    """One tab. `said`: console messages and errors, among them violations of the page's policy."""

    def __init__(self, folder):
        ours_read, theirs_write = os.pipe()
        theirs_read, ours_write = os.pipe()
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 60) for fd in (theirs_read, theirs_write)]
        os.close(theirs_read)
        os.close(theirs_write)
        environment = dict(os.environ, HOME=str(folder), XDG_RUNTIME_DIR=str(folder))
        self.process = subprocess.Popen(
            ["bash", "-c", 'exec "$@" 3<&%d 4>&%d %d<&- %d>&-' % (*high, *high), "-", binary(), *FLAGS,
             "--user-data-dir=%s" % (folder / "profile"), "--remote-debugging-pipe", "about:blank"],
            pass_fds=high, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=open(folder / "chromium.err", "ab"), env=environment, start_new_session=True)
        for fd in high:
            os.close(fd)
        self.read_fd, self.write_fd = ours_read, ours_write
        self.buffer, self.number, self.session = b"", 0, None
        self.said, self.requests = [], []
        target = until(self._page, "a tab", 60)
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")

    def _page(self):
        for target in self.call("Target.getTargets")["targetInfos"]:
            if target["type"] == "page":
                return target["targetId"]
        return None

    def _message(self, deadline):
        while b"\0" not in self.buffer:
            if not select.select([self.read_fd], [], [], max(0, deadline - time.monotonic()))[0]:
                raise AssertionError("the browser does not answer")
            piece = os.read(self.read_fd, 1 << 20)
            assert piece, "the browser has ended"
            self.buffer += piece
        message, _, self.buffer = self.buffer.partition(b"\0")
        message = json.loads(message)
        method, what = message.get("method"), message.get("params", {})
        if method == "Runtime.consoleAPICalled":
            self.said.append(" ".join(str(a.get("value", a.get("description"))) for a in what["args"]))
        elif method == "Runtime.exceptionThrown":
            self.said.append(what["exceptionDetails"].get("exception", {}).get("description", "exception"))
        elif method == "Log.entryAdded":
            self.said.append(what["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(what["request"]["url"])
        return message

    def call(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write_fd, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + 60
        while True:
            answer = self._message(deadline)
            if answer.get("id") == self.number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def open(self, url, width=1280, height=900, dark=False):
        self.resize(width, height)
        self.scheme(dark)
        self.call("Page.navigate", url=url)

    def resize(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)

    def scheme(self, dark):
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def eval(self, script):
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, script, what=None):
        """Until the script is true; what can't be had yet is false."""
        tried = "(() => { try { return !!(%s); } catch { return false; } })()" % script
        return until(lambda: self.eval(tried), lambda: "%s; the page says: %s" % (
            what or script, self.eval("document.body ? document.body.innerText.slice(0, 2000) : ''")))

    def text(self, selector):
        return self.eval("(document.querySelector(%s) || {}).innerText" % json.dumps(selector))

    def key(self, key, text=None):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, **({"text": text} if text and kind == "keyDown" else {}),
                      **({"windowsVirtualKeyCode": {"Tab": 9, "Enter": 13, "ArrowLeft": 37}[key]} if len(key) > 1 else {}))

    def type(self, text):
        self.call("Input.insertText", text=text)

    def shot(self, path, whole=True):
        height = int(self.eval("document.documentElement.scrollHeight")) if whole else None
        clip = {"clip": {"x": 0, "y": 0, "width": self.eval("innerWidth"), "height": min(height, 6000), "scale": 1}} if whole else {}
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole, **clip)["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self):
        os.close(self.write_fd)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)  # its own helpers, in its own session
        except ProcessLookupError:
            pass
        self.process.wait()
        os.close(self.read_fd)
