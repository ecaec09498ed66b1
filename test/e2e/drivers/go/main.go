// pgx in every way it can execute a query.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

func address(more string) string {
	tls := "sslmode=disable"
	if os.Getenv("E2E_TLS") == "1" {
		tls = "sslmode=verify-full sslrootcert=" + os.Getenv("E2E_CA")
	}
	return fmt.Sprintf("host=%s port=%s user=%s password=%s dbname=%s %s %s", os.Getenv("PGHOST"), os.Getenv("PGPORT"),
		os.Getenv("PGUSER"), os.Getenv("PGPASSWORD"), os.Getenv("PGDATABASE"), tls, more)
}

func using(more string, work func(context.Context, *pgx.Conn) error) error {
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	defer stop()
	conn, err := pgx.Connect(ctx, address(more))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return work(ctx, conn)
}

func unique(prefix string) string {
	return fmt.Sprintf("%s_%d_%d", prefix, os.Getpid(), time.Now().UnixNano())
}

func equal(got, wanted any) error {
	if fmt.Sprint(got) != fmt.Sprint(wanted) {
		return fmt.Errorf("got %v, wanted %v", got, wanted)
	}
	return nil
}

func code(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return fmt.Sprint(err)
}

func mode(name string) func() error {
	return func() error {
		return using("default_query_exec_mode="+name, func(ctx context.Context, conn *pgx.Conn) error {
			table := unique("t")
			if _, err := conn.Exec(ctx, "CREATE TABLE "+table+" (a int, b text)"); err != nil {
				return err
			}
			defer conn.Exec(ctx, "DROP TABLE "+table)
			for n := 0; n < 30; n++ {
				if _, err := conn.Exec(ctx, "INSERT INTO "+table+" VALUES ($1, $2)", n, fmt.Sprint("row ", n)); err != nil {
					return err
				}
				var got int
				if err := conn.QueryRow(ctx, "SELECT a FROM "+table+" WHERE b = $1", fmt.Sprint("row ", n)).Scan(&got); err != nil {
					return err
				}
				if err := equal(got, n); err != nil {
					return err
				}
			}
			var x int
			if err := conn.QueryRow(ctx, "SELECT 10 / $1::int", 0).Scan(&x); code(err) != "22012" {
				return fmt.Errorf("division by zero gave %v", err)
			}
			if err := conn.QueryRow(ctx, "SELECT 10 / $1::int", 2).Scan(&x); err != nil {
				return err
			}
			return equal(x, 5)
		})
	}
}

func batch(ctx context.Context, conn *pgx.Conn) error {
	b := &pgx.Batch{}
	for n := 0; n < 200; n++ {
		b.Queue(fmt.Sprintf("SELECT $1::int + %d", n%20), n)
	}
	results := conn.SendBatch(ctx, b)
	for n := 0; n < 200; n++ {
		var got int
		if err := results.QueryRow().Scan(&got); err != nil {
			return err
		}
		if err := equal(got, n+n%20); err != nil {
			return err
		}
	}
	if err := results.Close(); err != nil {
		return err
	}
	b = &pgx.Batch{}
	b.Queue("SELECT 1")
	b.Queue("SELECT 1/0")
	b.Queue("SELECT 2")
	if err := conn.SendBatch(ctx, b).Close(); code(err) != "22012" {
		return fmt.Errorf("a batch with an error gave %v", err)
	}
	var got int
	if err := conn.QueryRow(ctx, "SELECT 3").Scan(&got); err != nil {
		return err
	}
	return equal(got, 3)
}

func pipeline(ctx context.Context, conn *pgx.Conn) error {
	p := conn.PgConn().StartPipeline(ctx)
	for n := 0; n < 50; n++ {
		p.SendQueryParams(fmt.Sprintf("SELECT %d", n), nil, nil, nil, nil)
		if n%10 == 9 {
			if err := p.Sync(); err != nil {
				return err
			}
		}
	}
	seen := 0
	for {
		result, err := p.GetResults()
		if err != nil {
			return err
		}
		if result == nil {
			break
		}
		if reader, ok := result.(*pgconn.ResultReader); ok {
			rows := reader.Read()
			if rows.Err != nil {
				return rows.Err
			}
			if err := equal(string(rows.Rows[0][0]), seen); err != nil {
				return err
			}
			seen++
		}
	}
	if err := p.Close(); err != nil {
		return err
	}
	return equal(seen, 50)
}

func copying(ctx context.Context, conn *pgx.Conn) error {
	table := unique("t")
	if _, err := conn.Exec(ctx, "CREATE TABLE "+table+" (a int, b text)"); err != nil {
		return err
	}
	rows := make([][]any, 20000)
	for n := range rows {
		rows[n] = []any{n, fmt.Sprint("row ", n)}
	}
	count, err := conn.CopyFrom(ctx, pgx.Identifier{table}, []string{"a", "b"}, pgx.CopyFromRows(rows))
	if err != nil {
		return err
	}
	if err := equal(count, 20000); err != nil {
		return err
	}
	var out strings.Builder
	if _, err := conn.PgConn().CopyTo(ctx, &out, "COPY (SELECT a FROM "+table+" ORDER BY a) TO STDOUT"); err != nil {
		return err
	}
	if err := equal(len(strings.Fields(out.String())), 20000); err != nil {
		return err
	}
	if _, err := conn.PgConn().CopyFrom(ctx, strings.NewReader("x\n"), "COPY "+table+" (a) FROM STDIN"); code(err) != "22P02" {
		return fmt.Errorf("a bad row gave %v", err)
	}
	_, err = conn.Exec(ctx, "DROP TABLE "+table)
	return err
}

func transactions(ctx context.Context, conn *pgx.Conn) error {
	table := unique("t")
	if _, err := conn.Exec(ctx, "CREATE TABLE "+table+" (a int)"); err != nil {
		return err
	}
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO "+table+" VALUES (1)"); err != nil {
			return err
		}
		inner := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "INSERT INTO "+table+" SELECT 1/0")
			return err
		})
		return equal(code(inner), "22012")
	})
	if err != nil {
		return err
	}
	var count int
	if err := conn.QueryRow(ctx, "SELECT count(*) FROM "+table).Scan(&count); err != nil {
		return err
	}
	conn.Exec(ctx, "DROP TABLE "+table)
	return equal(count, 1)
}

func prepared(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Prepare(ctx, "twice", "SELECT $1::int * 2"); err != nil {
		return err
	}
	for n := 0; n < 20; n++ {
		var got int
		if err := conn.QueryRow(ctx, "twice", n).Scan(&got); err != nil {
			return err
		}
		if err := equal(got, n*2); err != nil {
			return err
		}
	}
	if err := conn.Deallocate(ctx, "twice"); err != nil {
		return err
	}
	if _, err := conn.Prepare(ctx, "twice", "SELECT $1::int * 3"); err != nil {
		return err
	}
	var got int
	if err := conn.QueryRow(ctx, "twice", 5).Scan(&got); err != nil {
		return err
	}
	if err := equal(got, 15); err != nil {
		return err
	}
	return conn.DeallocateAll(ctx)
}

func cancelling() error {
	return using("", func(ctx context.Context, conn *pgx.Conn) error {
		if err := conn.PgConn().CancelRequest(ctx); err != nil { // nothing runs: must do nothing
			return err
		}
		go func() {
			time.Sleep(300 * time.Millisecond)
			conn.PgConn().CancelRequest(ctx)
		}()
		_, err := conn.Exec(ctx, "SELECT pg_sleep(20)")
		if err := equal(code(err), "57014"); err != nil {
			return err
		}
		var got int
		if err := conn.QueryRow(ctx, "SELECT 4").Scan(&got); err != nil {
			return err
		}
		short, stop := context.WithTimeout(ctx, 200*time.Millisecond)
		defer stop()
		if _, err := conn.Exec(short, "SELECT pg_sleep(20)"); !pgconn.Timeout(err) {
			return fmt.Errorf("deadline gave %v", err)
		}
		return equal(got, 4)
	})
}

func pooled() error {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, address("pool_max_conns=10"))
	if err != nil {
		return err
	}
	defer pool.Close()
	var wait sync.WaitGroup
	bad := make(chan error, 400)
	for n := 0; n < 400; n++ {
		wait.Add(1)
		go func(n int) {
			defer wait.Done()
			var got int
			if err := pool.QueryRow(ctx, fmt.Sprintf("SELECT $1::int + %d", n%30), n).Scan(&got); err != nil {
				bad <- err
			} else if got != n+n%30 {
				bad <- fmt.Errorf("got %d for %d", got, n)
			}
		}(n)
	}
	wait.Wait()
	select {
	case err := <-bad:
		return err
	default:
		return nil
	}
}

func settings() error {
	return using("application_name=a_go TimeZone=Asia/Tokyo search_path=pg_catalog", func(ctx context.Context, conn *pgx.Conn) error {
		var name, zone, path string
		for setting, into := range map[string]*string{"application_name": &name, "TimeZone": &zone, "search_path": &path} {
			if err := conn.QueryRow(ctx, "SELECT current_setting($1)", setting).Scan(into); err != nil {
				return err
			}
		}
		if err := equal(conn.PgConn().ParameterStatus("TimeZone"), "Asia/Tokyo"); err != nil {
			return err
		}
		return equal(name+zone+path, "a_goAsia/Tokyopg_catalog")
	})
}

func notifications() error {
	if os.Getenv("E2E_MODE") != "session" {
		return nil
	}
	return using("", func(ctx context.Context, conn *pgx.Conn) error {
		channel := unique("c")
		if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
			return err
		}
		if _, err := conn.Exec(ctx, "SELECT pg_notify($1, 'hi')", channel); err != nil {
			return err
		}
		note, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		return equal(note.Payload, "hi")
	})
}

func main() {
	checks := []struct {
		name string
		run  func() error
	}{
		{"mode cache_statement", mode("cache_statement")},
		{"mode cache_describe", mode("cache_describe")},
		{"mode describe_exec", mode("describe_exec")},
		{"mode exec", mode("exec")},
		{"mode simple_protocol", mode("simple_protocol")},
		{"a small statement cache", func() error {
			return using("statement_cache_capacity=5", func(ctx context.Context, conn *pgx.Conn) error {
				for n := 0; n < 60; n++ {
					var got int
					if err := conn.QueryRow(ctx, fmt.Sprintf("SELECT $1::int + %d", n%20), n).Scan(&got); err != nil {
						return err
					}
					if err := equal(got, n+n%20); err != nil {
						return err
					}
				}
				return nil
			})
		}},
		{"batch", func() error { return using("", batch) }},
		{"pipeline", func() error { return using("", pipeline) }},
		{"copy", func() error { return using("", copying) }},
		{"transactions", func() error { return using("", transactions) }},
		{"prepared by name", func() error { return using("", prepared) }},
		{"cancel", cancelling},
		{"pool", pooled},
		{"settings", settings},
		{"notifications", notifications},
	}
	bad := 0
	for _, check := range checks {
		if err := check.run(); err != nil {
			bad++
			fmt.Printf("FAIL %s: %v\n", check.name, err)
		} else {
			fmt.Printf("ok %s\n", check.name)
		}
	}
	fmt.Printf("done %d checks, %d failed\n", len(checks), bad)
	if bad > 0 {
		os.Exit(1)
	}
}
