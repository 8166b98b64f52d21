#!/bin/sh
# Links what cargo builds, by `cc`. A fresh Debian has none, and without one not even `cargo xtask setup` can be built:
# so the first call installs it, or says how.
set -eu

# rustc keeps what a linker prints to itself, unless the linker fails; what comes on rustc's own standard error cargo
# passes on at once.
say() {
    { echo "xtask/linker.sh: $*" >>"/proc/$PPID/fd/2"; } 2>/dev/null || true
    echo "xtask/linker.sh: $*" >&2
}

if ! command -v cc >/dev/null; then
    exec 9<"$0"
    flock 9 # cargo links several build scripts at once
fi
if ! command -v cc >/dev/null; then
    packages="gcc libc6-dev"
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        say "there is no linker; as root: apt-get update && apt-get install --yes --no-install-recommends $packages"
        exit 1
    fi
    say "there is no linker; installing $packages, which takes a minute or two"
    say "+ apt-get update"
    apt-get update --quiet >&2
    say "+ apt-get install $packages"
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends $packages >&2
fi
exec cc "$@"
