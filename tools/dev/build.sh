# Building. Sourced by ./dev.

dev_build() {
  local preset=${1:-dev}
  [[ $preset =~ ^(dev|release|asan|tsan|fuzz)$ ]] || die "build: dev, release, asan, tsan or fuzz"
  dev_setup build
  build "$preset"
}

# build PRESET [TARGET…]
build() {
  local preset=$1
  shift
  if [[ ! -f $BUILD/$preset/build.ninja ]]; then
    cmake --preset "$preset" -B "$BUILD/$preset" >&2 || die "cmake --preset $preset failed"
  fi
  say "building $preset${*:+: $*}"
  cmake --build "$BUILD/$preset" -j "$JOBS" ${1:+--target "$@"} >&2 || die "the $preset build failed"
}

dev_fuzz() {
  local seconds=${1:-60} only=${2:-} fuzzer name failed=0 count=0
  [[ $seconds =~ ^[0-9]+$ ]] || die "fuzz [SECONDS] [NAME]"
  dev_setup build
  build fuzz
  for fuzzer in $(find "$BUILD/fuzz" -maxdepth 2 -name '*_fuzz' -type f -executable | sort); do
    name=$(basename "$fuzzer")
    [[ -z $only || $name == "$only" || $name == "${only}_fuzz" ]] || continue
    count=$((count + 1))
    mkdir -p "test/fuzz/corpus/$name" "$BUILD/fuzz/found/$name"
    say "$name for $seconds s"
    # New inputs go to build/, so that the corpus in the tree grows only on purpose.
    "$fuzzer" "$BUILD/fuzz/found/$name" "test/fuzz/corpus/$name" -max_total_time="$seconds" -timeout=10 \
      -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$BUILD/fuzz/found/$name-" || failed=$((failed + 1))
  done
  ((count > 0)) || die "no fuzzer${only:+ '$only'} was built"
  echo "$((count - failed)) passed, $failed failed"
  ((failed == 0))
}

dev_bench() {
  [[ ${1:-help} == help || " $* " == *" --help "* ]] && exec python3 test/bench/bench.py "$@"
  dev_setup build
  need openssl python3 pgbouncer "${RUN_PACKAGES[@]}"
  setup_pgbouncer
  build release penstock  # each benchmark builds its own programs
  PENSTOCK_BINARY=$BUILD/release/penstock PENSTOCK_BUILD_DIR=$BUILD/release exec python3 test/bench/bench.py "$@"
}
