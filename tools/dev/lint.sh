# Format, layers, clang-tidy. Sourced by ./dev.

cxx_files() {
  local name
  git ls-files -co --exclude-standard -- 'src/*.cc' 'src/*.h' 'test/*.cc' 'test/*.h' | while read -r name; do
    [[ -f $name ]] && echo "$name"
  done
}

# dev_lint [--deep] [FILES…]: with files, only format and clang-tidy, only of those.
dev_lint() {
  local deep=() results=$BUILD/results-lint
  if [[ ${1:-} == --deep ]]; then
    deep=(--deep)
    shift
  fi
  dev_setup lint
  if (($# > 0)); then
    local failed=0
    clang-format-19 --dry-run --Werror "$@" || failed=1
    lint_tidy "${deep[@]}" "$@" || failed=1
    return $failed
  fi
  rm -rf "$results"
  suite_lint "$results/lint" "${deep[@]}"
  python3 tools/tally.py "$results"
}

dev_format() {
  need clang-format-19
  cxx_files | xargs -r clang-format-19 -i
}

# Runs every check and leaves a report: one test per check.
suite_lint() {
  local results=$1
  shift
  suite_rules "$results"
  check "$results" tidy lint_tidy "$@"
}

# All but clang-tidy, which takes longer than everything else together: that is `./dev lint`.
suite_rules() {
  local results=$1
  mkdir -p "$results"
  check "$results" format lint_format
  check "$results" layers python3 tools/check_layers.py
  check "$results" check_layers_test python3 tools/check_layers_test.py
  check "$results" tally_test python3 tools/tally_test.py
  check "$results" shell lint_shell
  check "$results" version lint_version
}

lint_format() { cxx_files | xargs -r clang-format-19 --dry-run --Werror; }

lint_tidy() {
  [[ -f $BUILD/dev/build.ninja ]] || cmake --preset dev -B "$BUILD/dev" >/dev/null
  # Touches nothing that is up to date; makes compile_commands.json name new files.
  cmake "$BUILD/dev" >/dev/null || return 1
  python3 tools/tidy.py --build "$BUILD/dev" --jobs "$JOBS" "$@"
}

lint_shell() {
  local script
  for script in dev .ci/run tools/dev/*.sh packaging/debian/{postinst,prerm,postrm}; do
    bash -n "$script" || return 1
  done
}

# CMakeLists.txt and src/base/version.h tell the same version.
lint_version() {
  local cmake source
  cmake=$(sed -n 's/^project(penstock VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
  source=$(sed -n 's/.*kVersion = "\([0-9.]*\)".*/\1/p' src/base/version.h)
  [[ $cmake == "$source" ]] || { echo "CMakeLists.txt says version $cmake, src/base/version.h $source" && return 1; }
}

# check RESULTS NAME COMMAND…: runs it, says so, and writes NAME.xml.
check() {
  local results=$1 name=$2 failure=''
  shift 2
  say "lint: $name"
  "$@" >&2 || failure='<failure message="see the log"/>'
  cat >"$results/$name.xml" <<END
<testsuites><testsuite name="lint"><testcase classname="lint" name="$name">$failure</testcase></testsuite></testsuites>
END
}
