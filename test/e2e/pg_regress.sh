#!/usr/bin/env bash
# PostgreSQL's own regression suite, straight and through Penstock in session mode; fails unless both give the same
# results, file by file. Takes some minutes, so it is not part of the default run.
#
#   test/e2e/pg_regress.sh                      both event loops
#   test/e2e/pg_regress.sh --io epoll           one of them
#   test/e2e/pg_regress.sh --tls                TLS in both directions
#   test/e2e/pg_regress.sh --tests "int4 text"  only these tests (behind test_setup)
#
# The suite comes from Debian's source package of postgresql-15, pg_regress itself from postgresql-client-15.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=$root/.cache/e2e/pg_regress
mkdir -p "$cache"

"$here/setup.sh"

missing=()
for tool in make:make gcc:gcc perl:perl bzip2:bzip2 dpkg-source:dpkg-dev; do
  command -v "${tool%%:*}" >/dev/null || missing+=("${tool#*:}")
done
if [ ${#missing[@]} -gt 0 ]; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi

# The source lists of this machine, read as deb-src, in directories of our own: the system's stay as they are.
fetch_source() {
  local lists=$cache/apt
  rm -rf "$lists" && mkdir -p "$lists/parts" "$lists/lists/partial" "$cache/source"
  if compgen -G '/etc/apt/sources.list.d/*.sources' >/dev/null; then
    cp /etc/apt/sources.list.d/*.sources "$lists/parts/"
    sed -i 's/^Types:.*/Types: deb-src/' "$lists"/parts/*.sources
  fi
  if [ -s /etc/apt/sources.list ]; then
    sed -n 's/^deb\(-src\)\? /deb-src /p' /etc/apt/sources.list >"$lists/parts/all.list"
  fi
  local options=(-o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$lists/parts" -o "Dir::State::lists=$lists/lists"
    -o "Dir::Cache::srcpkgcache=$lists/srcpkgcache" -o "Dir::Cache::pkgcache=$lists/pkgcache" -o APT::Sandbox::User=root)
  apt-get "${options[@]}" update -qq
  # The newest that can be had: a mirror's lists may name a version whose files it does not have. Two runs are compared
  # with each other, so a minor version apart from the server does no harm.
  local version
  for version in $(apt-cache "${options[@]}" showsrc postgresql-15 | sed -n 's/^Version: //p' | sort -rV); do
    (cd "$cache/source" && apt-get "${options[@]}" source -qq --download-only "postgresql-15=$version") && break
  done
  tar -xf "$cache"/source/postgresql-15_*.orig.tar.* -C "$cache/source"
}
if ! compgen -G "$cache/source/postgresql-15*/src/test/regress/parallel_schedule" >/dev/null; then
  echo "fetching the source of postgresql-15"
  fetch_source
fi
suite=$(dirname "$(compgen -G "$cache/source/postgresql-15*/src/test/regress/parallel_schedule" | head -1)")

# The C functions that some tests load; only headers are made of the rest.
if [ ! -e "$cache/regress.so" ]; then
  echo "building the suite's C functions"
  source_root=$(cd "$suite/../../.." && pwd)
  (cd "$source_root" && ./configure -q --without-readline --without-zlib --without-icu && make -s -C src/backend generated-headers) \
    >"$cache/configure.log" 2>&1 || { tail -20 "$cache/configure.log"; exit 1; }
  gcc -O1 -fPIC -shared -fno-strict-aliasing -fwrapv "-I$source_root/src/include" "$suite/regress.c" -o "$cache/regress.so"
fi

exec "$root/.venv/bin/python" "$here/pg_regress.py" --suite "$suite" --library "$cache/regress.so" "$@"
