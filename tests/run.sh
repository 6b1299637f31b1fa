#!/usr/bin/env bash
# Everything that must hold, in one command: formatting, lints, all tests of slotd (unit, integration, and end to end with a
# real nginx and a real JVM), and the tests of the sample. Installs what the tests need and is missing.
# Exits with 1 when anything failed; goes through all of it first.
#
# No nginx of the system is used or started: each test has one of its own, in a temporary folder and on a port between
# 20000 and 29999. CARGO names another cargo.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=examples/prerequisites.sh
source examples/prerequisites.sh
cargo=${CARGO:-cargo}
failures=()
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# step NAME COMMAND…
step() {
  local name=$1
  shift
  echo
  echo "> $name"
  if "$@" </dev/null; then return; fi
  failures+=("$name")
}

run_tests() {
  "$cargo" test --locked --all-targets --no-fail-fast 2>&1 | tee "$log"
}

# Every reachable state of the planner on a small host, and what kills each seeded mutant: the command of the README.
explore() {
  "$cargo" test --locked --profile explore --test explore -- --nocapture --include-ignored
}

test_docs() {
  "$cargo" test --locked --doc --quiet
}

test_sample() {
  (cd examples/spring-boot && mvn -q -B test)
}

need_prerequisites
need strace
need openssl
step "cargo fmt --check" "$cargo" fmt --check
step "cargo clippy" "$cargo" clippy --locked --all-targets --quiet -- -D warnings
step "cargo clippy, the explorer" "$cargo" clippy --locked --test explore --quiet -- -D warnings
step "cargo test" run_tests
step "the explorer" explore
step "cargo test --doc" test_docs
step "the sample's tests" test_sample

echo
echo "> what cargo test said"
grep -E '^test result:|Running |^test .* FAILED$' "$log" || true
if [ "${#failures[@]}" -gt 0 ]; then
  printf 'FAILED: %s\n' "${failures[@]}"
  exit 1
fi
echo "all is well"
