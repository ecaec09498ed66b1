# A newer PgBouncer than Debian 12's 1.18, which has no prepared statements: Debian 13's source, built here for the
# benchmarks. Sourced by ./dev.

readonly PGBOUNCER_SUITE=trixie

# Builds build/pgbouncer/pgbouncer unless it is there. Benchmarks fall back on the installed one when this fails.
setup_pgbouncer() {
  local folder=$BUILD/pgbouncer
  [[ ! -x $folder/pgbouncer ]] || return 0
  need libc-ares-dev libevent-dev libssl-dev make pkg-config
  say "building PgBouncer of Debian $PGBOUNCER_SUITE"
  (build_pgbouncer "$folder") >&2 || say "no newer PgBouncer: the installed one will have to do"
}

build_pgbouncer() {
  local folder=$1 apt=()
  mkdir -p "$folder"/{lists/partial,cache/archives/partial,state,source}
  cd "$folder/source"
  echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $PGBOUNCER_SUITE main" \
    >"$folder/sources.list"
  touch "$folder/state/status"
  # An apt of its own: the machine's package lists stay as they are.
  apt=(-o Dir::Etc::sourcelist="$folder/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::State="$folder/state"
    -o Dir::State::lists="$folder/lists" -o Dir::Cache="$folder/cache" -o APT::Sandbox::User=root)
  apt-get "${apt[@]}" update -q && apt-get "${apt[@]}" source -q --download-only pgbouncer || return 1
  tar xf pgbouncer_*.orig.tar.gz --strip-components=1 || return 1
  ./configure --with-cares --with-openssl=yes CFLAGS=-O2 && make -j "$JOBS" pgbouncer && cp pgbouncer ..
}
