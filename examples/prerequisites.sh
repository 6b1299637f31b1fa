# shellcheck shell=bash
# Sourced by examples/quickstart.sh and tests/run.sh: installs what is missing, and says so.
#
# Only this needs root (or sudo); everything after it runs as whoever called. A service is never left running by it: on
# Debian the package of nginx starts nginx on port 80 when it is installed, so an nginx that came with *our* installation
# is stopped again, and one that was there before is not touched.

# Runs a command as root.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@" 2>/dev/null || sudo "$@"; fi
}

# Installs packages, whichever manager is there.
install_packages() {
  echo "> installing: $*"
  if command -v apt-get >/dev/null; then
    as_root apt-get update -qq
    # in run level 1 invoke-rc.d starts nothing
    as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "$@" >/dev/null
  elif command -v dnf >/dev/null; then
    as_root dnf install -y -q "$@" >/dev/null
  else
    echo "neither apt-get nor dnf is here; please install by hand: $*" >&2
    return 1
  fi
}

# The major version of the JDK in PATH, 0 when there is none; a runtime without a compiler is none.
jdk_version() {
  if command -v java >/dev/null && command -v javac >/dev/null; then
    javac -version 2>&1 | sed -nE 's/^javac ([0-9]+).*/\1/p'
  else
    echo 0
  fi
}

install_jdk() {
  if command -v dnf >/dev/null; then
    install_packages java-21-openjdk-devel || install_packages java-17-openjdk-devel
  else
    install_packages openjdk-21-jdk-headless 2>/dev/null || install_packages openjdk-17-jdk-headless
  fi
}

install_nginx() {
  install_packages nginx
  if [ -d /run/systemd/system ] && systemctl is-active --quiet nginx; then
    echo "> stopping the nginx that its package has just started"
    as_root systemctl disable --now --quiet nginx
  elif [ -s /run/nginx.pid ]; then
    echo "> stopping the nginx that its package has just started"
    as_root kill -QUIT "$(cat /run/nginx.pid)" 2>/dev/null || true
  fi
}

# Debian keeps nginx where only root has its PATH.
case ":$PATH:" in *:/usr/sbin:*) ;; *) PATH="$PATH:/usr/sbin" ;; esac

# need COMMAND [PACKAGE]
need() {
  command -v "$1" >/dev/null || install_packages "${2:-$1}"
}

need_prerequisites() {
  command -v cargo >/dev/null || { echo "cargo is missing: install Rust 1.89 or newer first" >&2; return 1; }
  [ "$(jdk_version)" -ge 17 ] || install_jdk
  command -v nginx >/dev/null || install_nginx
  need mvn maven
  need curl
}
