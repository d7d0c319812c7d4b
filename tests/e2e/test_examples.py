# SPDX-License-Identifier: Apache-2.0
"""examples/, built as a third party would: from an installed weir. Their own tests, and each in a real weir."""
import re
import shutil

import pytest

import harness
from harness import ROOT, append, lines, until
from plugin_kit import kit  # noqa: F401

pytestmark = pytest.mark.one_build


@pytest.fixture(scope="session")
def examples(kit, tmp_path_factory):  # noqa: F811
    """A copy of the folder alone: nothing of this tree is near it."""
    assert shutil.which("rustc") or not harness.IN_CI, "rustc is not installed"
    folder = tmp_path_factory.mktemp("examples")
    shutil.copytree(ROOT / "examples", folder / "source")
    folder.chmod(0o755)
    return kit.build(folder / "source", folder / "build", "-DCMAKE_C_FLAGS=-Werror", "-DCMAKE_CXX_FLAGS=-Werror")


def test_their_own_tests(kit, examples):  # noqa: F811
    said = kit.run("ctest", "-j2", "--output-on-failure", cwd=examples)
    number = int(re.search(r"tests passed, 0 tests failed out of (\d+)", said).group(1))
    assert number == (9 if shutil.which("rustc") else 7), said


def into(lab, examples, output, ends=False, **options):
    """Starts: a file of numbered lines, tagged a.b, into that output."""
    append(lab.path("in.log"), lines(0, 1000, 60))
    config = lab.config([{"name": "tail", "path": lab.path("in.log"), "tag": "a.b", "read_from_head": True,
                          "exit_on_eof": ends}],
                        [{"name": output, "match": "*", **options}], plugins=[str(examples / ("out_%s" % output))])
    return lab.start(["-c", config])


def test_files(lab, examples):
    lab.path("out").mkdir()
    append(lab.path("evil.log"), b"x\n")
    tails = [{"name": "tail", "path": lab.path("evil.log"), "tag": tag, "alias": "t%d" % number, "read_from_head": True}
             for number, tag in enumerate(("../evil", "/tmp/evil", ".evil"))]
    append(lab.path("in.log"), lines(0, 1000, 60))
    tails.append({"name": "tail", "path": lab.path("in.log"), "tag": "a.b", "read_from_head": True})
    config = lab.config(tails, [{"name": "files", "match": "*", "dir": lab.path("out")}], plugins=[str(examples / "out_files")])
    weir = lab.start(["-c", config])
    wanted = {"%2E.%2Fevil", "%2Ftmp%2Fevil", "%2Eevil", "a.b"}
    until(lambda: {path.name for path in lab.path("out").iterdir()} == wanted
          and lab.path("out").joinpath("a.b").stat().st_size == 60000, "four files")
    weir.stop()
    assert lab.path("out").joinpath("a.b").read_bytes() == lines(0, 1000, 60)
    assert not lab.path("evil").exists()


def test_batch(lab, examples):
    weir = into(lab, examples, "batch", path=lab.path("out"))
    until(lambda: lab.path("out").exists() and lab.path("out").stat().st_size == 60000, "all lines")
    weir.kill()  # what is in the file was acknowledged, or comes again
    append(lab.path("in.log"), lines(1000, 2000, 60))
    weir = lab.start(["-c", lab.path("weir.yaml")], name="second")
    until(lambda: lab.path("out").read_bytes().endswith(lines(1999, 2000, 60)), "the last line")
    weir.stop()
    found = harness.numbers(lab.path("out").read_bytes(), 60)
    assert sorted(set(found)) == list(range(2000))


def test_sequence_goes_on_where_it_was(lab, examples):
    config = lab.config([{"name": "sequence", "interval": "1ms", "batch": 7}],
                        [{"name": "stdout", "match": "*", "format": "raw"}], plugins=[str(examples / "in_sequence")])
    seen = []
    for number in range(3):
        weir = lab.start(["-c", config], name="w%d" % number)
        weir.wait_output(lambda data: data.count(b"\n") >= 50)
        weir.stop()
        seen += [int(text) for text in weir.output().split()]
    assert seen == list(range(1, len(seen) + 1))
    weir = lab.start(["-c", config], name="killed")
    weir.wait_output(lambda data: data.count(b"\n") >= 50)
    weir.kill()
    seen += [int(text) for text in harness.whole_lines(weir.output()).split()]
    weir = lab.start(["-c", config], name="last")
    weir.wait_output(lambda data: data.count(b"\n") >= 50)
    weir.stop()
    seen += [int(text) for text in weir.output().split()]
    assert sorted(set(seen)) == list(range(1, max(seen) + 1))


def test_sequence_ends(lab, examples):
    status, out, err = harness.run(["-e", examples / "in_sequence.so", "-i", "sequence", "-p", "count=25", "-p",
                                    "interval=0", "-o", "stdout", "-p", "format=raw"], lab.folder)
    assert status == 0, err
    assert [int(text) for text in out.split()] == list(range(1, 26))


def test_directory(lab, examples):
    inputs = lab.path("inputs.d")
    inputs.mkdir()
    append(lab.path("a.log"), lines(0, 10))
    config = lab.config([{"name": "directory", "path": inputs}], [{"name": "stdout", "match": "*", "format": "raw"}],
                        plugins=[str(examples / "in_directory")])
    weir = lab.start(["-c", config])

    def put(name, text):
        """At once: what is written in place may be read before it is whole."""
        lab.path("half").write_text(text)
        lab.path("half").rename(inputs / name)
    put("a.conf", "name = tail\npath = %s\nread_from_head = on\ntag = x\n" % lab.path("a.log"))
    weir.wait_line(9)
    put("b.conf", "name = tail\npth = /x\n")
    weir.wait_log("is refused: ")
    put("c.conf", "name = nonsense\n")
    weir.wait_log("no input 'nonsense'")
    append(lab.path("a.log"), lines(10, 20))
    assert weir.wait_line(19) == lines(0, 20)  # which nothing of that has touched
    inputs.joinpath("a.conf").unlink()
    until(lambda: not weir.has_open(lab.path("a.log")), "the file is closed")
    weir.stop()


def test_tally(lab, examples):
    weir = into(lab, examples, "tally", path=lab.path("out"), ends=True)
    weir.wait(0)
    assert lab.path("out").read_text() == "a.b 1000\n"


def test_archive(lab, examples):
    if not (examples / "out_archive.so").exists():
        pytest.skip("there is no rustc")
    weir = into(lab, examples, "archive", path=lab.path("out"))
    until(lambda: lab.path("out").exists() and lines(999, 1000, 60)[:-1] in lab.path("out").read_bytes(), "the last line")
    weir.stop()
    data = lab.path("out").read_bytes()
    assert data[0] == 0x92 and [int(number) for number in re.findall(rb"log\xd9\x3b(\d{9}) ", data)] == list(range(1000))
