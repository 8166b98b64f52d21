#!/bin/sh
# Links what cargo builds, by `cc`. A fresh Debian has none, and without one not even `cargo xtask setup` can be built:
# so the first call installs it, or says how.
set -eu
if ! command -v cc >/dev/null; then
    exec 9<"$0"
    flock 9 # cargo links several build scripts at once
fi
if ! command -v cc >/dev/null; then
    packages="gcc libc6-dev"
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "there is no linker; as root: apt-get update && apt-get install --yes --no-install-recommends $packages" >&2
        exit 1
    fi
    # cargo keeps what a linker prints to itself, unless the linker fails.
    if [ -t 0 ] && [ -w /dev/tty ]; then
        echo "+ apt-get install $packages" >/dev/tty
    fi
    apt-get update --quiet >&2
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends $packages >&2
fi
exec cc "$@"
