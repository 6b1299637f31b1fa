#!/usr/bin/env bash
# The main job, from a clean clone: two versions of the sample, a private nginx, two deployments, the second under load, and
# a rollback. Everything lives in one temporary folder and is gone afterwards, also when something fails on the way.
# Root (or sudo) is used for one thing only: to install nginx, a JDK, Maven or curl when they are missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=examples/prerequisites.sh
source examples/prerequisites.sh

site=""
hammer=""

# A port outside the kernel's ephemeral range on which nobody answers.
free_port() {
  local port
  for _ in $(seq 200); do
    port=$((20000 + (RANDOM % 10000)))
    case " ${taken[*]:-} " in *" $port "*) continue ;; esac
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      echo "$port"
      return
    fi
  done
  echo "no free port found" >&2
  return 1
}

slotd() {
  "$slotd_binary" -f "$site/desired.yaml" --state-dir "$site/state" "$@"
}

# Ends what carries this folder's mark in its environment: only for the case that `slotd down` did not work.
end_leftovers() {
  local environ pid
  for environ in /proc/[0-9]*/environ; do
    pid=${environ#/proc/}
    pid=${pid%/environ}
    if tr '\0' '\n' <"$environ" 2>/dev/null | grep -qxF "QUICKSTART_SITE=$site"; then
      kill -KILL "$pid" 2>/dev/null || true
    fi
  done 2>/dev/null
}

# Runs at every end, good or bad.
clean_up() {
  local code=$?
  trap - EXIT
  set +e +o pipefail
  [ -z "$hammer" ] || kill "$hammer" 2>/dev/null
  if [ -n "$site" ]; then
    echo "> cleaning up"
    [ ! -d "$site/state" ] || slotd down >/dev/null 2>&1
    end_leftovers
    [ ! -s "$site/nginx/nginx.pid" ] || kill -TERM "$(cat "$site/nginx/nginx.pid")"
    rm -rf "$site" 2>/dev/null || { sleep 1 && rm -rf "$site"; }
  fi
  exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# build STAMP: the sample as that version
build() {
  (cd examples/spring-boot && mvn -q -B -DskipTests package "-Dstamp=$1")
}

configure_nginx() {
  mkdir -p "$site/nginx/conf.d"
  echo "set \$service_url http://127.0.0.1:$port1;" >"$site/nginx/conf.d/service-url.inc"
  cat >"$site/nginx/nginx.conf" <<EOF
worker_processes 2;
pid $site/nginx/nginx.pid;
error_log $site/nginx/error.log;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path $site/nginx/body;
  proxy_temp_path $site/nginx/proxy;
  fastcgi_temp_path $site/nginx/fastcgi;
  uwsgi_temp_path $site/nginx/uwsgi;
  scgi_temp_path $site/nginx/scgi;
  server {
    listen 127.0.0.1:$proxy_port;
    include $site/nginx/conf.d/service-url.inc;
    location / { proxy_pass \$service_url; proxy_set_header Host \$http_host; }
  }
}
EOF
}

# desire STAMP: the manifest that asks for that version
desire() {
  cat >"$site/desired.yaml.new" <<EOF
services:
  webservice:
    jar: { version: 1.0.1-SNAPSHOT-$1, path: $PWD/examples/spring-boot/target/webservice-1.0.1-SNAPSHOT-$1.jar }
    slots:
      real1: { port: $port1 }
      real2: { port: $port2 }
    launch:
      env: { QUICKSTART_SITE: $site }
    proxy:
      url: http://127.0.0.1:$proxy_port/profile
      include: $site/nginx/conf.d/service-url.inc
      nginx: { config: $site/nginx/nginx.conf }
EOF
  mv "$site/desired.yaml.new" "$site/desired.yaml"
}

# timed WHAT COMMAND…
timed() {
  local what=$1 begun=$EPOCHREALTIME
  shift
  local code=0
  "$@" || code=$?
  local ended=$EPOCHREALTIME
  echo "> $what took $(((${ended/[.,]/} - ${begun/[.,]/}) / 1000)) ms"
  return "$code"
}

need_prerequisites
echo "> building slotd"
cargo build --release --locked --quiet --bin slotd --example hammer
target=${CARGO_TARGET_DIR:-target}
slotd_binary=$target/release/slotd
first=$(date -u +%Y%m%d%H%M%S)
second=$((first + 1))
echo "> building the sample as 1.0.1-SNAPSHOT-$first and 1.0.1-SNAPSHOT-$second"
build "$first"
build "$second"

site=$(mktemp -d)
chmod 755 "$site" # nginx's workers look for the flag as another user when this runs as root
taken=()
proxy_port=$(free_port) && taken+=("$proxy_port")
port1=$(free_port) && taken+=("$port1")
port2=$(free_port)
configure_nginx
nginx -p "$site/nginx" -c "$site/nginx/nginx.conf" -e "$site/nginx/error.log"

echo
echo "> version 1: slotd apply"
desire "$first"
timed "the first deployment" slotd apply
curl -fsS "http://127.0.0.1:$proxy_port/version" && echo

echo
echo "> version 2, under load: slotd apply"
"$target/release/examples/hammer" "http://127.0.0.1:$proxy_port/version" 8 >"$site/hammer.txt" &
hammer=$!
desire "$second"
timed "the second deployment" slotd apply
sleep 1 # the load goes on for a moment on the new version
kill -TERM "$hammer"
failed=0
wait "$hammer" || failed=1
hammer=""
cat "$site/hammer.txt"
curl -fsS "http://127.0.0.1:$proxy_port/version" && echo
# a load that the new version did not answer proves nothing
grep -q "version 1.0.1-SNAPSHOT-$second:" "$site/hammer.txt" || failed=1

echo
echo "> slotd status"
slotd status
echo
echo "> slotd plan"
slotd plan
echo
echo "> slotd rollback webservice"
# 3 says that the manifest goes on asking for another release than the one that is now live
timed "the rollback" slotd rollback webservice || [ $? -eq 3 ]
answer=$(curl -fsS "http://127.0.0.1:$proxy_port/version")
echo "$answer"
case "$answer" in *"$first"*) ;; *) echo "the rollback did not bring version $first back" >&2; failed=1 ;; esac

echo
if [ "$failed" -ne 0 ]; then
  echo "FAILED: see above" >&2
  exit 1
fi
echo "> done: $(head -n 1 "$site/hammer.txt")"
