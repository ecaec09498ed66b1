# Words that all commands use. Sourced by ./dev.

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
die() {
  printf 'dev: %s\n' "$*" >&2
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
  if ((EUID == 0)); then
    "$@"
  elif have sudo; then
    sudo "$@"
  else
    die "this needs root (or sudo): $*"
  fi
}

# Runs a program that refuses to be root (Postgres) as an unprivileged user; replaces the subshell it runs in.
exec_unprivileged() {
  if ((EUID == 0)); then
    exec setpriv --reuid postgres --regid postgres --clear-groups --pdeathsig INT "$@"
  else
    exec setpriv --pdeathsig INT "$@"
  fi
}

port_is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# The first free TCP port of 127.0.0.1 from $1 on.
free_port() {
  local port
  for ((port = $1; port < $1 + 200; port++)); do
    if port_is_free "$port"; then
      echo "$port"
      return
    fi
  done
  die "no free port from $1 on"
}
