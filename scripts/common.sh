# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# Shared by quickstart, test and .ci/run. Sourced, from the top of the tree.

build_packages=(gcc make cmake pkg-config libc6-dev libyaml-dev libsqlite3-dev libpcre2-dev libxxhash-dev zlib1g-dev
    librdkafka-dev libjansson-dev libmicrohttpd-dev libcurl4-openssl-dev)
test_packages=(g++ check libmsgpack-dev python3 strace kcat openssl etcd-server etcd-client chromium bindfs
    python3-prometheus-client dpkg-dev mandoc)

lint_packages=(clang-tidy-14 cppcheck)

say() { printf '%s\n' "$*"; }
die() {
    printf '%s\n' "$*" >&2
    exit 1
}

# One of the examples of plugins is in Rust; a compiler from elsewhere will do.
command -v rustc >/dev/null || test_packages+=(rustc)

# quietly LOG COMMAND…: runs it with its output in LOG; on failure says so, with the log's last lines and its name.
quietly() {
    local log=$1
    shift
    if "$@" </dev/null >>"$log" 2>&1; then
        return 0
    fi
    {
        printf 'Failed: %s\n' "$*"
        # A parallel build says what is wrong long before its end.
        { grep -E 'error|undefined reference|^E: ' "$log" | head -n 10 || tail -n 10 "$log"; } | sed 's/^/    /'
        printf 'The whole output is in %s\n' "$log"
    } >&2
    return 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        return 1
    fi
}

installed() { dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed; }

# install_missing LOG PACKAGE…: what is there already is left alone, and then nothing is asked of the network or of root.
install_missing() {
    local log=$1 package
    local -a missing=()
    shift
    if ! command -v dpkg-query >/dev/null; then
        say "This is no Debian: what is needed must be there already (Debian calls it: $*)."
        return 0
    fi
    for package in "$@"; do
        installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return 0
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        printf 'Missing, and neither root nor sudo is there. As root: apt-get update && apt-get install %s\n' \
            "${missing[*]}" >&2
        return 1
    fi
    say "Installing ${missing[*]}"
    quietly "$log" as_root apt-get update &&
        quietly "$log" as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
            "${missing[@]}"
}

# build LOG PRESET [CMAKE OPTION…]
build() {
    local log=$1 preset=$2
    shift 2
    quietly "$log" cmake --preset "$preset" "$@" && quietly "$log" cmake --build --preset "$preset"
}

# A python that has pytest and can run several tests at a time: Debian's, the one in PATH, or one in build/venv.
find_pytest() {
    local python
    for python in /usr/bin/python3 python3 build/venv/bin/python; do
        if "$python" -c 'import pytest, xdist' >/dev/null 2>&1; then
            say "$python"
            return 0
        fi
    done
    return 1
}
