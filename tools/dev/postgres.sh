# A throwaway Postgres: own data, own port, gone when ./dev ends. Sourced by ./dev.

readonly PG_BIN=/usr/lib/postgresql/15/bin

# start_postgres FOLDER: a new cluster below FOLDER. Sets PG_PORT, PG_PASSWORD (of the superuser postgres) and PG_PID.
start_postgres() {
  local folder=$1
  PG_PORT=$(free_port 15432)
  PG_PASSWORD=$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')
  mkdir -p "$folder/data"
  printf '%s\n' "$PG_PASSWORD" >"$folder/password"
  chmod 600 "$folder/password"
  ((EUID != 0)) || chown -R postgres:postgres "$folder"
  (cd "$folder" && exec_unprivileged "$PG_BIN/initdb" -D "$folder/data" -U postgres --pwfile="$folder/password" \
    --auth-host=scram-sha-256 --auth-local=trust -E UTF8 --locale=C.UTF-8 --no-sync) >"$folder/initdb.log" 2>&1 ||
    die "initdb failed: $(tail -n 3 "$folder/initdb.log")"
  # In a session of its own, so that Ctrl-C reaches only ./dev, which then ends things in order.
  (cd "$folder" && exec_unprivileged setsid "$PG_BIN/postgres" -D "$folder/data" -p "$PG_PORT" \
    -c listen_addresses=127.0.0.1 -c unix_socket_directories="$folder" -c fsync=off -c max_connections=200) \
    >"$folder/postgres.log" 2>&1 &
  PG_PID=$!
  local attempt
  for ((attempt = 0; attempt < 150; attempt++)); do
    "$PG_BIN/pg_isready" -q -h 127.0.0.1 -p "$PG_PORT" && return
    kill -0 "$PG_PID" 2>/dev/null || break
    sleep 0.1
  done
  die "Postgres did not start: $(tail -n 3 "$folder/postgres.log")"
}

stop_postgres() { stop_process "${PG_PID:-}" INT 10; }

# stop_process PID SIGNAL SECONDS: asks, waits, and then does not ask.
stop_process() {
  local pid=$1 attempt
  [[ -n $pid ]] && kill -0 "$pid" 2>/dev/null || return 0
  kill -"$2" "$pid" 2>/dev/null || true
  for ((attempt = 0; attempt < $3 * 10; attempt++)); do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -QUIT "$pid" 2>/dev/null || true
  sleep 1
  kill -KILL "$pid" 2>/dev/null || true
}
