#!/usr/bin/env bash
# Installs and builds what the end-to-end suite needs: Debian packages, the Python environment, Postgres of other
# versions, and the drivers' test programs. Everything lands in .venv and .cache/e2e of the repository; a second run
# does nothing and takes a moment. With --no-python the Python environment is somebody else's business (./dev test has one).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=$root/.cache/e2e
mkdir -p "$cache"

say() { printf 'e2e set-up: %s\n' "$*"; }

# ---- Debian packages: only those whose program is missing --------------------------------------------------------

packages=()
needs() { command -v "$1" >/dev/null 2>&1 || packages+=("${@:2}"); }
needs python3 python3
python3 -c 'import venv, ensurepip' >/dev/null 2>&1 || packages+=(python3-venv)
[ -x /usr/lib/postgresql/15/bin/postgres ] || packages+=(postgresql-15 postgresql-client-15)
needs openssl openssl
needs chromedriver chromium chromium-driver
needs promtool prometheus
needs setpriv util-linux
needs node nodejs
needs npm npm
needs go golang-go
needs javac openjdk-17-jdk-headless
needs mvn maven
needs pkg-config pkg-config
needs cc gcc libc6-dev
[ -e /usr/include/openssl/ssl.h ] || packages+=(libssl-dev)
# Debian's ordinary cargo is too old for today's crates; cargo-web is the one it keeps up to date.
cargo_is_new() { cargo --version 2>/dev/null | grep -qE '^cargo (1\.(8[5-9]|9[0-9]|[1-9][0-9]{2})|[2-9])'; }
cargo_is_new || packages+=(cargo-web rustc-web)
if [ ${#packages[@]} -gt 0 ]; then
  say "installing ${packages[*]}"
  # A server of its own is what Debian starts when postgresql-15 is installed; nothing here needs it.
  mkdir -p /etc/postgresql-common
  [ -e /etc/postgresql-common/createcluster.conf ] || echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf
  [ "$(id -u)" = 0 ] || { say "run as root to install them"; exit 1; }
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >"$cache/apt.log" 2>&1 ||
    { tail -20 "$cache/apt.log"; exit 1; }
fi

# once NAME SOURCES… -- COMMAND…: runs the command unless it has succeeded for exactly these sources before.
once() {
  local name=$1 sources=() stamp
  shift
  while [ "$1" != -- ]; do sources+=("$1"); shift; done
  shift
  stamp=$(cat "${sources[@]}" "${BASH_SOURCE[0]}" | sha256sum | cut -d' ' -f1)
  if [ "$(cat "$cache/$name.done" 2>/dev/null)" = "$stamp" ]; then return; fi
  say "$name"
  "$@" >"$cache/$name.log" 2>&1 || { say "$name failed:"; tail -30 "$cache/$name.log"; exit 1; }
  echo "$stamp" >"$cache/$name.done"
}

python_environment() {
  [ -x "$root/.venv/bin/python" ] || python3 -m venv "$root/.venv"
  "$root/.venv/bin/python" -m pip install -q --disable-pip-version-check -r "$here/requirements.txt"
}

node_packages() { # DIRECTORY-IN-CACHE SOURCE-DIRECTORY
  mkdir -p "$cache/$1"
  cp "$2/package.json" "$2/package-lock.json" "$cache/$1/"
  (cd "$cache/$1" && npm ci --ignore-scripts --no-audit --no-fund)
}

go_program() { (cd "$here/drivers/go" && go build -p 2 -o "$cache/go-checks" .); }

rust_program() {
  (cd "$here/drivers/rust" && CARGO_TARGET_DIR="$cache/rust" cargo build --release --locked -j 2)
}

java_program() {
  mkdir -p "$cache/java"
  mvn -q -B -f "$here/drivers/java/pom.xml" dependency:copy-dependencies -DoutputDirectory="$cache/java/lib"
  javac -d "$cache/java/classes" -cp "$cache/java/lib/*" "$here/drivers/java/Checks.java"
}

if [ "${1:-}" != --no-python ]; then
  [ -x "$root/.venv/bin/python" ] || rm -f "$cache/python.done"
  once python "$here/requirements.txt" -- python_environment
fi
[ -d "$cache/postgres_versions/node_modules" ] || rm -f "$cache/postgres_versions.done"
once postgres_versions "$here/postgres_versions/package-lock.json" -- node_packages postgres_versions "$here/postgres_versions"
once node "$here/drivers/node/package-lock.json" -- node_packages node "$here/drivers/node"
once go "$here"/drivers/go/* -- go_program
once rust "$here/drivers/rust/Cargo.lock" "$here/drivers/rust/Cargo.toml" "$here/drivers/rust/src/main.rs" -- rust_program
once java "$here"/drivers/java/* -- java_program
