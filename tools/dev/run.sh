# ./dev run: Penstock in front of a Postgres, to try it. Sourced by ./dev.

dev_run() {
  dev_setup run
  build release penstock
  local penstock=$BUILD/release/penstock port session_port
  port=${PENSTOCK_PORT:-$(free_port 6432)}
  session_port=$(free_port $((port + 1)))
  unset PENSTOCK_PORT PENSTOCK_JOBS PENSTOCK_BUILD # ours, no settings of the server
  RUN=$(mktemp -d "${TMPDIR:-/tmp}/penstock-run.XXXXXX")
  trap run_end EXIT
  trap 'exit 0' INT TERM HUP

  if [[ -n ${DATABASE_URL:-} ]]; then
    parse_database_url "$DATABASE_URL"
    check_database
  else
    chmod 711 "$RUN" # Postgres runs as somebody else
    start_postgres "$RUN/postgres"
    DB_HOST=127.0.0.1 DB_PORT=$PG_PORT DB_USER=postgres DB_PASSWORD=$PG_PASSWORD DB_NAME=postgres
    say "Postgres 15 on port $PG_PORT, its data in $RUN/postgres until you press Ctrl-C"
  fi

  cat >"$RUN/penstock.toml" <<END
[server]
catalog = "$RUN/catalog.db"

[[listener]]
address = "127.0.0.1"
port = $port

[[listener]]
address = "127.0.0.1"
port = $session_port
pool_mode = "session"
END
  "$penstock" tenant add default --host "$(bracketed "$DB_HOST"):$DB_PORT" --config "$RUN/penstock.toml" >&2
  # The password comes on standard input: command lines are public.
  printf '%s\n' "$DB_PASSWORD" |
    "$penstock" user add --tenant default "$DB_USER" --password-stdin --config "$RUN/penstock.toml" >&2

  setsid setpriv --pdeathsig TERM "$penstock" serve --config "$RUN/penstock.toml" >"$RUN/penstock.log" 2>&1 &
  PENSTOCK_PID=$!
  local url
  url="postgres://$(url_encode "$DB_USER"):$(url_encode "$DB_PASSWORD")@127.0.0.1:$port/$(url_encode "$DB_NAME")"
  wait_for_query "$url"

  cat <<END

Penstock is running: transaction mode on port $port, session mode on port $session_port.
Log: $RUN/penstock.log     Configuration: $RUN/penstock.toml
Ctrl-C ends it. Try it:

  psql '$url'

END
  local status=0
  wait "$PENSTOCK_PID" || status=$?
  tail -n 5 "$RUN/penstock.log" >&2
  die "Penstock ended by itself (status $status)"
}

run_end() {
  local status=$?
  trap '' INT TERM HUP
  stop_process "${PENSTOCK_PID:-}" TERM 5
  stop_postgres
  wait
  rm -rf "$RUN"
  exit "$status"
}

# Until a query has gone all the way through, nothing has started.
wait_for_query() {
  local error='' until=$((SECONDS + 20))
  while ((SECONDS < until)); do
    if ! kill -0 "$PENSTOCK_PID" 2>/dev/null; then
      tail -n 20 "$RUN/penstock.log" >&2
      die 'Penstock did not start'
    fi
    error=$(PGCONNECT_TIMEOUT=5 "$PG_BIN/psql" -XAtq "$1" -c 'select 1' 2>&1) && return
    sleep 0.2
  done
  tail -n 20 "$RUN/penstock.log" >&2
  die "no query came through Penstock: $error"
}

# parse_database_url postgres://user:password@host:port/database: sets DB_HOST, DB_PORT, DB_USER, DB_PASSWORD, DB_NAME.
parse_database_url() {
  local form='^postgres(ql)?://([^:@/]+)(:([^@/]*))?@(\[[^]]+\]|[^:/?]*)(:([0-9]+))?(/([^?]*))?(\?.*)?$'
  [[ $1 =~ $form ]] || die 'DATABASE_URL must look like postgres://user:password@host:port/database'
  DB_USER=$(url_decode "${BASH_REMATCH[2]}")
  DB_PASSWORD=$(url_decode "${BASH_REMATCH[4]}")
  DB_HOST=$(url_decode "${BASH_REMATCH[5]:-127.0.0.1}")
  DB_HOST=${DB_HOST#[}
  DB_HOST=${DB_HOST%]}
  DB_PORT=${BASH_REMATCH[7]:-5432}
  DB_NAME=$(url_decode "${BASH_REMATCH[9]:-${BASH_REMATCH[2]}}")
  [[ -n $DB_PASSWORD ]] || die 'DATABASE_URL must hold the password: Penstock logs in with it'
}

# Asks the Postgres of DATABASE_URL itself, so that a mistake in it is not searched for in Penstock.
check_database() {
  local error
  error=$(PGPASSWORD=$DB_PASSWORD PGCONNECT_TIMEOUT=5 "$PG_BIN/psql" -Xwqc 'select 1' -h "$DB_HOST" -p "$DB_PORT" \
    -U "$DB_USER" -d "$DB_NAME" 2>&1 >/dev/null) || die "DATABASE_URL leads to no Postgres that answers: $error"
}

bracketed() { if [[ $1 == *:* ]]; then echo "[$1]"; else echo "$1"; fi; }
url_decode() { printf '%b' "${1//%/\\x}"; }
url_encode() {
  local LC_ALL=C text=$1 i c
  for ((i = 0; i < ${#text}; i++)); do
    c=${text:i:1}
    if [[ $c == [A-Za-z0-9._~-] ]]; then printf '%s' "$c"; else printf '%%%02X' "'$c"; fi
  done
}
