# What each command needs from Debian 12, and how it gets there. Sourced by ./dev.

BUILD_PACKAGES=(
  ca-certificates ccache clang-19 cmake libbenchmark-dev libboost1.81-dev libc-ares-dev libc6-dev libclang-rt-19-dev
  libcli11-dev libfmt-dev libgmock-dev libgtest-dev libidn-dev libmimalloc-dev libpg-query-dev libpq-dev libprotobuf-c-dev libspdlog-dev
  libsqlite3-dev libssl-dev libstdc++-12-dev libtomlplusplus-dev liburing-dev libxxhash-dev libyaml-cpp-dev lld-19 llvm-19
  ninja-build pkg-config
)
# Fetches Swagger UI when the build is configured; any installation of the command will do.
BUILD_COMMANDS=(npm:npm)
RUN_PACKAGES=(postgresql-15 postgresql-client-15)
LINT_PACKAGES=(clang-format-19 clang-tidy-19 python3)
TEST_PACKAGES=(chromium chromium-driver openssl pgbouncer postgresql-15 postgresql-client-15 prometheus python3 python3-venv)
PACKAGE_PACKAGES=(dpkg-dev fakeroot gzip)
# Languages of the drivers in test/e2e: any installation of the command will do, whoever made it.
TEST_COMMANDS=(node:nodejs npm:npm javac:default-jdk-headless go:golang-go cargo:cargo curl:curl)

dev_setup() {
  case ${1:-build} in
    build) need "${BUILD_PACKAGES[@]}" $(missing_commands "${BUILD_COMMANDS[@]}") ;;
    run) need "${BUILD_PACKAGES[@]}" "${RUN_PACKAGES[@]}" $(missing_commands "${BUILD_COMMANDS[@]}") ;;
    lint) need "${BUILD_PACKAGES[@]}" "${LINT_PACKAGES[@]}" $(missing_commands "${BUILD_COMMANDS[@]}") ;;
    pgbouncer) setup_pgbouncer ;;
    unit) need "${BUILD_PACKAGES[@]}" "${RUN_PACKAGES[@]}" python3 $(missing_commands "${BUILD_COMMANDS[@]}") ;;
    test) need "${BUILD_PACKAGES[@]}" "${LINT_PACKAGES[@]}" "${TEST_PACKAGES[@]}" $(missing_commands "${TEST_COMMANDS[@]}") ;;
    package) need "${BUILD_PACKAGES[@]}" "${PACKAGE_PACKAGES[@]}" $(missing_commands "${BUILD_COMMANDS[@]}") ;;
    all)
      dev_setup test
      dev_setup package
      ;;
    *) die "setup: build, run, lint, unit, test, package, pgbouncer or all" ;;
  esac
}

# Packages for those commands (COMMAND:PACKAGE …) that are not on this machine.
missing_commands() {
  local pair
  for pair in "$@"; do
    have "${pair%%:*}" || echo "${pair#*:}"
  done
}

# Installs those of the packages that are missing; says and does nothing when all are there.
need() {
  local -A installed=()
  local name status missing=()
  while read -r name status; do
    [[ $status == installed ]] && installed[$name]=1
  done < <(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null || true)
  for name in "$@"; do
    [[ -n ${installed[$name]:-} ]] || missing+=("$name")
  done
  ((${#missing[@]} == 0)) && return
  say "installing ${missing[*]}"
  without_services apt_install "${missing[@]}"
}

apt_install() {
  local attempt
  for attempt in 1 2 3 4; do
    # The package lists are fetched only when the ones that are there do not do.
    if as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
      -o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=300 "$@"; then
      return
    fi
    ((attempt == 1)) || sleep $((attempt * 3))
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q || true
  done
  return 1
}

# Runs a command during which packages neither start services nor create a database cluster: what the tests need of
# postgresql-15 and pgbouncer is the programs.
without_services() {
  local policy=/usr/sbin/policy-rc.d cluster=/etc/postgresql-common/createcluster.d/penstock-dev.conf
  local had_policy=no status=0
  local had_pgbouncer=no
  dpkg-query -W pgbouncer >/dev/null 2>&1 && had_pgbouncer=yes
  if [[ -e $policy ]]; then
    had_policy=yes
  else
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
  fi
  as_root mkdir -p "$(dirname "$cluster")"
  echo 'create_main_cluster = false' | as_root tee "$cluster" >/dev/null
  "$@" || status=$?
  as_root rm -f "$cluster"
  [[ $had_policy == yes ]] || as_root rm -f "$policy"
  if [[ $had_pgbouncer == no && -d /run/systemd/system ]] && dpkg-query -W pgbouncer >/dev/null 2>&1; then
    as_root systemctl disable --now pgbouncer || true
  fi
  ((status == 0)) || die "installation failed: $*"
}
