# Tests: suites leave JUnit reports, tally.py adds them up. Sourced by ./dev.

dev_test() {
  local suites=("${1:-all}") suite results
  [[ $suites == all ]] && suites=(lint unit e2e)
  results=$BUILD/results
  for suite in "${suites[@]}"; do
    case $suite in
      lint) dev_setup lint ;;
      unit | asan | tsan) dev_setup unit ;;
      e2e) dev_setup test ;;
      *) die "test: lint, unit, asan, tsan, e2e or all" ;;
    esac
  done
  rm -rf "$results"
  SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/penstock-test.XXXXXX")
  chmod 755 "$SCRATCH"
  trap 'stop_postgres; rm -rf "$SCRATCH"' EXIT
  trap 'exit 130' INT TERM
  for suite in "${suites[@]}"; do
    mkdir -p "$results/$suite"
    case $suite in
      lint) suite_rules "$results/lint" ;;
      unit) suite_unit dev "$results/unit" ;;
      asan | tsan) suite_unit "$suite" "$results/$suite" ;;
      e2e) suite_e2e "$results/e2e" ;;
    esac
  done
  stop_postgres
  python3 tools/tally.py "$results"
}

# suite_unit PRESET RESULTS: builds everything of the preset and runs it through ctest.
suite_unit() {
  local preset=$1 results=$2
  (build "$preset") || { report_failure "$results" build && return; }
  if [[ -z ${PG_PID:-} ]]; then
    start_postgres "$SCRATCH/postgres"
    export PENSTOCK_TEST_DATABASE_URL=postgres://postgres:$PG_PASSWORD@127.0.0.1:$PG_PORT/postgres
  fi
  say "unit tests ($preset)"
  GTEST_OUTPUT=xml:$results/ \
  ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1 \
  UBSAN_OPTIONS=print_stacktrace=1 \
  TSAN_OPTIONS=second_deadlock_stack=1 \
    ctest --test-dir "$BUILD/$preset" -LE lint -j "$JOBS" --timeout 600 --output-on-failure \
    --output-junit "$results/ctest.xml" >&2 || true
}

suite_e2e() {
  local results=$1
  if [[ ! -f test/e2e/requirements.txt ]]; then
    report_failure "$results" "test/e2e is not there"
    return
  fi
  (build release penstock) || { report_failure "$results" build && return; }
  e2e_venv || { report_failure "$results" "python packages" && return; }
  say "end-to-end tests"
  PENSTOCK_BINARY=$BUILD/release/penstock \
    "$BUILD/venv/bin/python" -m pytest -n 2 --reruns 1 --reruns-delay 1 test/e2e --junitxml="$results/pytest.xml" -q >&2 ||
    [[ -f $results/pytest.xml ]] || report_failure "$results" pytest
}

# A virtual environment with test/e2e/requirements.txt, renewed when that changes.
e2e_venv() {
  local venv=$BUILD/venv
  cmp -s test/e2e/requirements.txt "$venv/requirements.txt" && return
  python3 -m venv "$venv" >&2 &&
    "$venv/bin/pip" install -q --disable-pip-version-check --retries 5 -r test/e2e/requirements.txt >&2 &&
    cp test/e2e/requirements.txt "$venv/requirements.txt"
}

# report_failure RESULTS NAME: a suite that could not run is a failed test.
report_failure() {
  mkdir -p "$1"
  echo "<testsuites><testsuite><testcase name=\"$2\"><failure/></testcase></testsuite></testsuites>" >"$1/suite.xml"
}
