# shellcheck shell=bash
# What the scripts share: saying what happens, running a long step with visible progress, and Debian packages.
# Sourced with `root` (the top of the tree) and `state` (where logs go, in log/) set.
# shellcheck disable=SC2034,SC2154

say() {
    printf 'stonechat: %s\n' "$*" >&2
}

die() {
    say "$*"
    exit 1
}

# start COMMAND…: runs it in the background in a process group of its own, so that Ctrl-C reaches this script alone.
start() {
    set -m
    "$@" &
    set +m
}

step_pid= # the process group of the step that runs; who is interrupted ends it

# step LOG WHAT COMMAND…: runs COMMAND with its output in LOG. On a terminal its last line is shown while it runs, elsewhere
# a line every 20 seconds; after a failure the end of LOG is shown. Says nothing when it takes less than a second.
step() {
    local log=$1 what=$2 pid status=0 since=$SECONDS told=0 last width
    shift 2
    start "$@" >"$log" 2>&1 </dev/null
    pid=$!
    step_pid=$pid
    width=$((${COLUMNS:-80} - ${#what} - 24))
    [ "$width" -gt 0 ] || width=1
    while kill -0 "$pid" 2>/dev/null; do
        sleep 0.2
        if [ -t 2 ]; then
            last=$(tail -n 1 "$log" | tr -d '\r\033' | cut -c "1-$width") || last=
            [ $((SECONDS - since)) -lt 1 ] || printf '\r\033[Kstonechat: %s (%d s) %s' "$what" $((SECONDS - since)) "$last" >&2
        elif [ $((SECONDS - since)) -ge 1 ] && [ $((SECONDS - since)) -ge "$told" ]; then
            say "$what … ($((SECONDS - since)) s)"
            told=$((SECONDS - since + 20))
        fi
    done
    wait "$pid" || status=$?
    step_pid=
    [ ! -t 2 ] || printf '\r\033[K' >&2
    if [ "$status" -ne 0 ]; then
        say "$what failed; the end of $log:"
        tail -n 40 "$log" >&2
    elif [ $((SECONDS - since)) -ge 1 ]; then
        say "$what: done in $((SECONDS - since)) s"
    fi
    return "$status"
}

# The packages of a purpose: run, or test (which needs those of run as well).
packages_of() {
    sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$root/scripts/packages.$1"
    [ "$1" = run ] || packages_of run
}

# A line of a list is a package, or a package and a command that makes it unnecessary when it is there already.
missing_packages() {
    packages_of "$1" | while read -r package command; do
        if [ -n "$command" ] && command -v "$command" >/dev/null; then
            continue
        fi
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || echo "$package"
    done | sort -u
}

# Installs what is missing: as root, through sudo, or says the one line to type. No service is started: what the scripts
# need they start themselves.
install_packages() {
    local missing as_root=()
    command -v dpkg-query >/dev/null || die "this needs Debian 12 (bookworm), or a container of it"
    missing=$(missing_packages "$1" | tr '\n' ' ')
    missing=${missing% }
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        if command -v sudo >/dev/null && { sudo -n true 2>/dev/null || { [ -t 0 ] && say "sudo is needed to install: $missing" && sudo true; }; }; then
            as_root=(sudo)
        else
            say "Debian packages are missing; install them, as root, with:"
            printf '    apt-get update && apt-get install --no-install-recommends -y %s\n' "$missing" >&2
            exit 1
        fi
    fi
    say "installing Debian packages: $missing"
    mkdir -p "$state/log"
    # shellcheck disable=SC2086 # a list of words
    step "$state/log/packages.log" "installing packages" "${as_root[@]}" sh -c '
        export DEBIAN_FRONTEND=noninteractive
        policy=/usr/sbin/policy-rc.d
        if [ ! -e "$policy" ]; then
            trap "rm -f $policy" EXIT
            trap "exit 1" HUP INT TERM
            printf "#!/bin/sh\nexit 101\n" >"$policy" && chmod 755 "$policy"
        fi
        apt-get -qq update && apt-get -y -o Dpkg::Use-Pty=0 --no-install-recommends install "$@"' sh $missing ||
        exit 1
}

# build PRESET TARGET…: configures once, then builds.
build() {
    local preset=$1
    shift
    mkdir -p "$state/log"
    if [ ! -f "$root/build/$preset/build.ninja" ]; then
        (cd "$root" && step "$state/log/configure-$preset.log" "configuring ($preset)" cmake --preset "$preset") || return
    fi
    step "$state/log/build-$preset.log" "building ($preset)" cmake --build "$root/build/$preset" --target "$@"
}

# npm_install DIRECTORY run|test: the packages of its lock file, without their scripts; for run, only those that the server
# serves. Nothing when they are there already.
npm_install() {
    local directory=$1 purpose=$2 stamp omit=()
    [ -f "$directory/package-lock.json" ] || return 0
    for stamp in "$directory/node_modules/.installed-for-"{"$purpose",test}; do
        [ ! "$stamp" -nt "$directory/package-lock.json" ] || return 0
    done
    [ "$purpose" = test ] || omit=(--omit=dev)
    mkdir -p "$state/log"
    step "$state/log/npm-$(basename "$directory").log" "fetching the npm packages of $(basename "$directory")/" \
        npm --prefix "$directory" ci "${omit[@]}" --ignore-scripts --no-audit --no-fund &&
        touch "$directory/node_modules/.installed-for-$purpose"
}
