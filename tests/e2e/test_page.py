# SPDX-License-Identifier: Apache-2.0
"""The page at /, in a real browser: what it shows, live, and that nothing it shows is ever taken for HTML."""
import json
import signal

import pytest

from browser import Browser, binary
from harness import IN_CI, Weir, Writer, append, lines, until
from test_admin import Admin

pytestmark = pytest.mark.one_build
HOSTILE = "<img src=x onerror=\"document.title='pwned'\">"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if not binary() and not IN_CI:
        pytest.skip("no Chromium here")
    one = Browser(tmp_path_factory.mktemp("browser"))
    yield one
    one.close()


@pytest.fixture
def page(browser, tmp_path):
    started = []
    browser.said.clear()
    browser.requests.clear()

    def open_page(width=1280, dark=False, **service):
        a = Admin(tmp_path, **service)
        started.append(a)
        if "http_token" not in service:
            a.ready()
        until(lambda: "metrics, health" in a.weir.log_text(), "the address in the log")
        browser.open("http://127.0.0.1:%d/" % a.port, width=width, dark=dark)
        return a
    yield open_page
    for a in started:
        if a.weir.running():
            a.weir.stop()


def test_shows_what_happens_without_a_reload(browser, page):
    a = page()
    browser.wait("document.querySelector('#overall').innerText.includes('Everything flows')")
    append(a.file, lines(0, 5000, 100))
    a.weir.wait_output(lambda data: data.endswith(lines(4999, 5000, 100)))
    browser.wait("document.querySelector('#outputs').innerText.includes('5,000')", "5,000 records delivered")
    browser.wait("document.querySelectorAll('#plot path.line-in')[0].getAttribute('d').length > 10", "a plot")
    assert str(a.file) in browser.text("#files") and "488\u202fKiB" in browser.text("#files")
    writer = Writer(a.file, 1000, first=5000, width=100)  # the rate is that of the last seconds
    browser.wait("/^[1-9]/.test(document.querySelector('#tile-out').innerText)", "a rate")
    writer.stop()
    assert not browser.said
    assert all(url.startswith(("http://127.0.0.1:%d/" % a.port, "data:")) for url in browser.requests), browser.requests


def test_a_file_name_is_text(browser, page, tmp_path):
    name = "a" + HOSTILE + "\n\u202egpj.log"
    a = page()
    (tmp_path / name).write_bytes(b"x\n")
    a.config.write_text(a.config.read_text().replace("a.log", "a*.log"))
    a.weir.signal(signal.SIGHUP)
    browser.wait("document.querySelector('#files-title').innerText.includes('2')", "two files")
    rest(browser)
    assert HOSTILE + "\\u000a\\u202egpj.log" in browser.text("#files")
    browser.eval("""(() => { const s = structuredClone(model.status); s.inputs[0].files.push(
        {path: %s, state: %s, size: 5, read: 5, committed: 0}); s.inputs[0].error = %s; s.outputs[0].alias = %s;
        digest(s, Date.now() / 1000); render(); })()""" % tuple(json.dumps(t) for t in (HOSTILE + "2", HOSTILE, HOSTILE, HOSTILE)))
    assert browser.eval("document.querySelectorAll('main img').length") == 0
    assert browser.eval("document.title") == "(1) weir"
    assert HOSTILE + "2" in browser.text("#files")
    assert HOSTILE in browser.text("#problems") and HOSTILE in browser.text("#outputs")


def test_what_a_source_tells_is_text(browser, page):
    page()
    browser.wait("!!model.status")
    rest(browser)
    browser.eval("""(() => { const s = structuredClone(model.status); s.etcd = [{alias: "fleet", connected: true, revision: 44,
        applied_revision: 41, entries: 3, refused_entries: 30, refused: [{key: %s, entry: 2, error: %s}], note: %s}];
        digest(s, Date.now() / 1000); render(); })()""" % ((json.dumps(HOSTILE),) * 3))
    text = browser.text("#sources")
    assert "41 applied of 44 seen" in text and "and 29 more" in text
    assert "%s, entry 2: %s" % (HOSTILE, HOSTILE) in text
    assert "refused 30 entries" in browser.text("#problems")
    assert browser.eval("document.querySelectorAll('main img').length") == 0


def test_the_policy_refuses_html(browser, page):
    """A mistake in the script would not be enough: the browser itself takes no text for HTML, and runs nothing inline."""
    a = page()
    browser.wait("!!model.status")
    assert browser.eval("(() => { try { document.body.innerHTML = '<b>x'; return ''; } catch (e) { return e.name; } })()") == "TypeError"
    assert browser.eval("(() => { const s = document.createElement('b'); try { s.setAttribute('onclick', 'document.title = 1'); }"
                        " catch {} document.body.append(s); s.click(); return document.title; })()") == "weir"
    for path in ("/", "/page.js", "/api/v1/status", "/nowhere"):
        headers = a.ask(path)[1]
        assert "default-src 'none'" in headers["Content-Security-Policy"] and "unsafe" not in headers["Content-Security-Policy"]
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert a.ask("/", Host="evil.example")[0] == 421


def rest(browser):
    """The page asks no more, as if it were hidden, so that what is put into it stays."""
    browser.eval("Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
                 "document.dispatchEvent(new Event('visibilitychange'))")
    browser.wait("!asking")


def test_files_by_lag_filter_and_keys(browser, page, tmp_path):
    a = page()
    for number in range(60):
        (tmp_path / ("a%02d.log" % number)).write_bytes(lines(0, 5))
    a.config.write_text(a.config.read_text().replace("a.log", "a*.log"))
    a.weir.signal(signal.SIGHUP)
    browser.wait("document.querySelector('#files-title').innerText.includes('61')", "61 files")
    browser.wait("model.points.length > 0", "a point of the plot")
    rest(browser)
    browser.eval("""(() => { const s = structuredClone(model.status); for (const f of s.inputs[0].files) {
        f.lag = Number((f.path.match(/a(\\d+).log$/) || [0, 0])[1]); f.abandoned = f.lag === 59 ? 2048 : 0; f.lag_seconds = 90; }
        digest(s, Date.now() / 1000); render(); })()""")
    top = browser.text("#files tbody tr")
    assert "a59.log" in top and "59\u202fB" in top and "for 2 min" in top and "2\u202fKiB given up" in top
    assert browser.text("#tile-behind") == "1.73\u202fKiB" and "in 59 files" in browser.text("#tile-behind-more")
    assert browser.eval("document.querySelectorAll('#files tbody tr').length") == 25
    browser.key("/", "/")
    assert browser.eval("document.activeElement.id") == "files-filter"
    browser.type("a17 open")
    browser.wait("document.querySelectorAll('#files tbody tr').length === 1")
    assert "a17.log" in browser.text("#files tbody")
    browser.eval("document.querySelector('#files-filter').value = '';"
                 "document.querySelector('#files-filter').dispatchEvent(new Event('input')); document.querySelector('#files-more').focus()")
    browser.key("Enter", "\r")
    browser.wait("document.querySelectorAll('#files tbody tr').length === 61")
    browser.eval("document.querySelector('#files th[data-sort=path] button').focus()")
    browser.key("Enter", "\r")
    assert browser.eval("document.querySelector('#files th[data-sort=path]').getAttribute('aria-sort')") == "ascending"
    assert "a.log" in browser.text("#files tbody tr")
    browser.eval("document.querySelector('#plot').focus()")
    browser.key("ArrowLeft")
    assert "delivered" in browser.text("#readout")


def test_says_when_weir_is_away_and_when_it_is_back(browser, page):
    a = page()
    browser.wait("document.querySelector('#files').innerText.includes('a.log')")
    a.weir.kill()
    browser.wait("document.querySelector('#overall').innerText.includes('weir is away')")
    assert "does not answer" in browser.text("#away") and str(a.file) in browser.text("#files")
    a.weir = Weir(a.config.parent, ["-c", a.config])
    browser.wait("document.querySelector('#away').hidden", "that it is back")
    browser.wait("document.querySelector('#overall').innerText.includes('Everything flows')")


def test_rests_while_hidden(browser, page):
    page()
    browser.wait("model.points.length > 0")
    rest(browser)
    at = browser.eval("model.at")
    assert browser.eval("new Promise((done) => setTimeout(() => done(model.at), 2500))") == at
    browser.eval("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    browser.wait("model.at > %r" % at)


def test_asks_for_the_token(browser, page, tmp_path):
    token = tmp_path / "token"
    token.write_text("canary-7\n")
    page(http_token="file://%s" % token)
    browser.wait("!document.querySelector('#token').hidden")
    assert browser.eval("document.activeElement.id") == "token-text"
    browser.type("wrong")
    browser.key("Enter", "\r")
    browser.wait("document.querySelector('#token-wrong').innerText !== ''")
    browser.type("canary-7")
    browser.key("Enter", "\r")
    browser.wait("document.querySelector('#overall').innerText.includes('Everything flows')")
    assert "canary" not in browser.eval("document.documentElement.outerHTML + location.href")
    browser.eval("sessionStorage.clear()")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_phone(browser, page, dark):
    a = page(width=360, dark=dark)
    append(a.file, lines(0, 10))
    browser.wait("document.querySelector('#outputs').innerText.includes('In all')")
    assert browser.eval("document.documentElement.scrollWidth") <= 360
    ground = browser.eval("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (max(ground) < 60) == dark and (min(ground) > 200) != dark
