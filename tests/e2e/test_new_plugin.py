# SPDX-License-Identifier: Apache-2.0
"""weir new-plugin, and that what it writes builds and passes from an installed weir, and from the build tree."""
import shutil
import subprocess

import pytest

import harness
from plugin_kit import kit  # noqa: F401

pytestmark = pytest.mark.one_build


@pytest.mark.parametrize("kind,file", [("output", "out_mine"), ("input", "in_mine")])
def test_builds_and_passes(lab, kit, kind, file):  # noqa: F811
    said = kit.run("weir", "new-plugin", "mine", "--" + kind, "project", cwd=lab.folder)
    assert {path.name for path in lab.path("project").iterdir()} == {
        file + ".c", "test_%s.c" % file, "CMakeLists.txt", "README.md", ".gitignore"}
    assert "cmake --build build" in said
    for path in lab.path("project").iterdir():
        assert "@" not in path.read_text().replace("@@", ""), path
    build = kit.build(lab.path("project"), lab.path("project") / "build", "-DCMAKE_C_FLAGS=-Werror")
    tested = kit.run("ctest", "--output-on-failure", cwd=build)
    assert "100% tests passed, 0 tests failed out of 2" in tested
    # By hand, as the README of the project says, without CMake.
    kit.run("sh", "-c", "cc -std=c99 -D_DEFAULT_SOURCE -Wall -Wextra -Wpedantic -Werror -shared -fPIC -o x.so %s.c"
            " $(pkg-config --cflags weir)" % file, cwd=lab.path("project"))
    kit.run("sh", "-c", "cc -o unit test_%s.c %s.c $(pkg-config --cflags --libs weir-fake-host) && ./unit" % (file, file),
            cwd=lab.path("project"))
    # Installed, it is found by its name.
    kit.run("cmake", "--install", build, "--prefix", kit.prefix, cwd=lab.folder)
    assert ("%s plugin, version 0.1" % kind) in kit.run("weir", "plugins", "mine", cwd=lab.folder)
    for path in kit.prefix.glob("lib*/**/%s.so" % file):
        path.unlink()


def test_from_the_build_tree(lab, need):
    need("cmake")
    status, _, err = harness.run(["new-plugin", "tree", "--output", "p"], lab.folder)
    assert status == 0, err
    build = lab.path("p") / "build"
    for command in (["cmake", "-S", lab.path("p"), "-B", build, "-Dweir_DIR=%s" % (harness.BUILD / "kit")],
                    ["cmake", "--build", build], ["ctest", "--test-dir", build]):
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["Mine", "1st", "my-plugin", "../x", "a" * 33, "mine.so", "", "mine\n"])
def test_bad_names(lab, name):
    status, _, err = harness.run(["new-plugin", name, "--output", "p"], lab.folder)
    assert status == 1 and err.startswith(b"error: a plugin's name begins with a small letter"), err
    assert not lab.path("p").exists()


def test_longest_name_and_keywords(lab, need):
    compiler = need("cc")
    for name in ("a" * 32, "int", "timer", "pthread", "main"):
        folder = lab.path("p" + name)
        status, _, err = harness.run(["new-plugin", name, "--output", folder], lab.folder)
        assert status == 0, err
        subprocess.run([compiler, "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-I", str(harness.ROOT / "include"),
                        str(folder / ("out_%s.c" % name)), str(folder / ("test_out_%s.c" % name))], check=True)


def test_nothing_is_overwritten(lab):
    lab.path("p").mkdir()
    lab.path("p").joinpath("out_mine.c").write_text("mine")
    status, out, err = harness.run(["new-plugin", "mine", "--output", "p"], lab.folder)
    assert status == 1 and b"p is not empty: nothing is overwritten" in err and out == b""
    assert lab.path("p").joinpath("out_mine.c").read_text() == "mine"
    lab.path("file").write_text("x")
    status, _, err = harness.run(["new-plugin", "mine", "--output", "file"], lab.folder)
    assert status == 1 and b"can't open the directory file: Not a directory" in err
    status, _, err = harness.run(["new-plugin", "mine", "--output", "no/such"], lab.folder)
    assert status == 1 and b"No such file" in err


def test_an_empty_directory_will_do(lab):
    lab.path("p").mkdir()
    status, _, err = harness.run(["new-plugin", "mine", "--input", "p"], lab.folder)
    assert status == 0, err
    shutil.rmtree(lab.path("p"))


@pytest.mark.parametrize("args,words", [
    ([], "the name is missing"), (["mine"], "--input or --output is missing"),
    (["mine", "--input"], "the directory is missing"), (["mine", "--input", "--output", "p"], "one kind too many"),
    (["mine", "--input", "p", "q"], "one word too many"), (["mine", "--filter", "p"], "unknown flag")])
def test_usage(lab, args, words):
    status, out, err = harness.run(["new-plugin", *args], lab.folder)
    assert status == 1 and out == b"" and words in err.decode() and b"weir new-plugin NAME --input|--output DIR" in err


def test_only_as_the_first_word(lab):
    status, _, err = harness.run(["-s", "log_level=info", "new-plugin", "x", "--output", "p"], lab.folder)
    assert status == 1 and b"'new-plugin' is the first word, or none" in err
    status, _, err = harness.run(["new-plugn"], lab.folder)
    assert status == 1 and b"did you mean 'new-plugin'" in err


def test_headers_and_packages(lab, kit):  # noqa: F811
    """The installed headers alone, in each language; versions asked for; a bad name in the CMake function."""
    for header in ("plugin.h", "event.h", "json.h", "fake_host.h"):
        lab.path("h.c").write_text("#include <weir/%s>\n#include <weir/%s>\n" % (header, header))
        for compiler, *flags in (("cc", "-std=c99"), ("cc", "-std=c11"), ("c++", "-xc++", "-std=c++17")):
            kit.run("sh", "-c", "%s %s -Wall -Wextra -Wpedantic -Werror -fsyntax-only h.c $(pkg-config --cflags weir)"
                    % (compiler, " ".join(flags)), cwd=lab.folder)
    assert kit.run("pkg-config", "--variable=plugindir", "weir", cwd=lab.folder).strip().endswith("/weir")
    project = lab.path("project")
    project.mkdir()
    project.joinpath("x.c").write_text("int x;\n")
    for text, words in (("find_package(weir 99 REQUIRED)", "99"),
                        ("find_package(weir REQUIRED)\nweir_add_plugin(mine x.c)", "neither in_x nor out_x"),
                        ("find_package(weir REQUIRED)\nweir_add_plugin(out_mine)", "no sources")):
        project.joinpath("CMakeLists.txt").write_text("cmake_minimum_required(VERSION 3.16)\nproject(x C)\n%s\n" % text)
        said = kit.run("cmake", "-S", ".", "-B", "build", cwd=project, status=1)
        assert words in said, said
