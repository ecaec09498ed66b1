//! tokio-postgres: every query is prepared, everything on one connection is pipelined.

use std::env;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{future, SinkExt, TryStreamExt};
use openssl::ssl::{SslConnector, SslMethod};
use postgres_openssl::MakeTlsConnector;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn config() -> Config {
    let mut config = Config::new();
    config
        .host(env::var("PGHOST").unwrap())
        .port(env::var("PGPORT").unwrap().parse().unwrap())
        .user(env::var("PGUSER").unwrap())
        .password(env::var("PGPASSWORD").unwrap())
        .dbname(env::var("PGDATABASE").unwrap())
        .connect_timeout(Duration::from_secs(10));
    config
}

fn tls() -> Option<MakeTlsConnector> {
    if env::var("E2E_TLS").unwrap() != "1" {
        return None;
    }
    let mut builder = SslConnector::builder(SslMethod::tls()).unwrap();
    builder.set_ca_file(env::var("E2E_CA").unwrap()).unwrap();
    Some(MakeTlsConnector::new(builder.build()))
}

async fn open_with(mut config: Config) -> Result<Client, tokio_postgres::Error> {
    if let Some(tls) = tls() {
        config.ssl_mode(tokio_postgres::config::SslMode::Require);
        let (client, connection) = config.connect(tls).await?;
        tokio::spawn(connection);
        return Ok(client);
    }
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn open() -> Result<Client, tokio_postgres::Error> {
    open_with(config()).await
}

fn unique() -> String {
    use std::time::{SystemTime, UNIX_EPOCH};
    format!("t_{}_{}", std::process::id(), SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos())
}

async fn queries() -> Outcome {
    let client = open().await?;
    for n in 0..50i32 {
        let row = client.query_one("SELECT $1::int4 * 2", &[&n]).await?;
        assert_eq!(row.get::<_, i32>(0), n * 2);
    }
    let row = client.query_one("SELECT $1::text, $2::bytea, $3::int8[]", &[&"täxt", &&b"\0\xff"[..], &vec![1i64, 2]]).await?;
    assert_eq!(row.get::<_, &str>(0), "täxt");
    assert_eq!(row.get::<_, Vec<i64>>(2), vec![1, 2]);
    Ok(())
}

async fn pipelined() -> Outcome {
    let client = open().await?;
    let statement = client.prepare("SELECT $1::int4 + 1").await?;
    let numbers: Vec<i32> = (0..300).collect();
    let rows = future::try_join_all(numbers.iter().map(|n| {
        let (client, statement) = (&client, &statement);
        async move { client.query_one(statement, &[n]).await }
    }))
    .await?;
    for (n, row) in rows.iter().enumerate() {
        assert_eq!(row.get::<_, i32>(0), n as i32 + 1);
    }
    Ok(())
}

async fn interleaved_clients() -> Outcome {
    let mut clients = Vec::new();
    for n in 0..6 {
        let client = open().await?;
        let statement = client.prepare(&format!("SELECT $1::int4 + {n}")).await?;
        clients.push((client, statement));
    }
    for turn in 0..15i32 {
        let rows = future::try_join_all(clients.iter().map(|(client, statement)| async move { client.query_one(statement, &[&turn]).await }))
            .await?;
        for (n, row) in rows.iter().enumerate() {
            assert_eq!(row.get::<_, i32>(0), turn + n as i32);
        }
    }
    Ok(())
}

async fn errors() -> Outcome {
    let client = open().await?;
    let error = client.query("SELECT * FROM nowhere", &[]).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::UNDEFINED_TABLE));
    let statement = client.prepare("SELECT 10 / $1::int4").await?;
    let error = client.query(&statement, &[&0i32]).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::DIVISION_BY_ZERO));
    assert_eq!(client.query_one(&statement, &[&5i32]).await?.get::<_, i32>(0), 2);
    Ok(())
}

async fn transactions() -> Outcome {
    let mut client = open().await?;
    let table = unique();
    client.batch_execute(&format!("CREATE TABLE {table} (a int4)")).await?;
    let mut transaction = client.transaction().await?;
    transaction.execute(&format!("INSERT INTO {table} VALUES ($1)"), &[&1i32]).await?;
    let inner = transaction.savepoint("s").await?;
    assert!(inner.execute(&format!("INSERT INTO {table} SELECT 1/0"), &[]).await.is_err());
    inner.rollback().await?;
    transaction.commit().await?;
    {
        let dropped = client.transaction().await?;
        dropped.execute(&format!("DELETE FROM {table}"), &[]).await?;
    } // rolled back by dropping it
    let count: i64 = client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await?.get(0);
    assert_eq!(count, 1);
    client.batch_execute(&format!("DROP TABLE {table}")).await?;
    Ok(())
}

async fn portals() -> Outcome {
    let mut client = open().await?;
    let transaction = client.transaction().await?;
    let portal = transaction.bind("SELECT n FROM generate_series(1, 250) n", &[]).await?;
    let mut seen = 0;
    loop {
        let rows = transaction.query_portal(&portal, 100).await?;
        if rows.is_empty() {
            break;
        }
        seen += rows.len();
    }
    assert_eq!(seen, 250);
    transaction.commit().await?;
    Ok(())
}

async fn copies() -> Outcome {
    let client = open().await?;
    let table = unique();
    client.batch_execute(&format!("CREATE TABLE {table} (a int4)")).await?;
    let sink = client.copy_in::<_, Bytes>(&format!("COPY {table} FROM STDIN")).await?;
    let mut sink = pin!(sink);
    for n in 0..5000 {
        sink.send(Bytes::from(format!("{n}\n"))).await?;
    }
    assert_eq!(sink.finish().await?, 5000);
    let out: Vec<Bytes> = client.copy_out(&format!("COPY (SELECT a FROM {table} ORDER BY a) TO STDOUT")).await?.try_collect().await?;
    assert_eq!(out.concat(), (0..5000).map(|n| format!("{n}\n")).collect::<String>().into_bytes());
    {
        // Dropped half way: the driver sends CopyFail.
        let sink = client.copy_in::<_, Bytes>(&format!("COPY {table} FROM STDIN")).await?;
        let mut sink = pin!(sink);
        sink.send(Bytes::from_static(b"1\n")).await?;
    }
    let count: i64 = client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await?.get(0);
    assert_eq!(count, 5000);
    client.batch_execute(&format!("DROP TABLE {table}")).await?;
    Ok(())
}

async fn cancelled() -> Outcome {
    let client = open().await?;
    let token = client.cancel_token();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        match tls() {
            Some(tls) => token.cancel_query(tls).await,
            None => token.cancel_query(NoTls).await,
        }
    });
    let error = client.query("SELECT pg_sleep(20)", &[]).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
    assert_eq!(client.query_one("SELECT 1", &[]).await?.get::<_, i32>(0), 1);
    Ok(())
}

async fn simple_queries() -> Outcome {
    let client = open().await?;
    let rows = client.simple_query("SELECT 1; SELECT 2; SELECT 3").await?;
    let values: Vec<String> = rows
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
        .collect();
    assert_eq!(values, ["1", "2", "3"]);
    Ok(())
}

async fn typed_queries() -> Outcome {
    use tokio_postgres::types::Type;
    let client = open().await?;
    for n in 0..10i32 {
        let rows = client.query_typed("SELECT $1::int4", &[(&n, Type::INT4)]).await?;
        assert_eq!(rows[0].get::<_, i32>(0), n);
    }
    Ok(())
}

async fn settings() -> Outcome {
    let mut config = config();
    config.application_name("a crab").options("-c timezone=Asia/Tokyo -c search_path=pg_catalog");
    let client = open_with(config).await?;
    for (name, wanted) in [("application_name", "a crab"), ("TimeZone", "Asia/Tokyo"), ("search_path", "pg_catalog")] {
        let row = client.query_one("SELECT current_setting($1)", &[&name]).await?;
        assert_eq!(row.get::<_, &str>(0), wanted);
    }
    Ok(())
}

/// One check with a deadline; a panic inside it (a failed assertion) is a failure like any other.
async fn check<F>(name: &str, work: F) -> bool
where
    F: Future<Output = Outcome> + 'static,
{
    let local = tokio::task::LocalSet::new();
    let task = local.run_until(async move {
        let handle = tokio::task::spawn_local(work);
        tokio::time::timeout(Duration::from_secs(20), handle).await
    });
    match task.await {
        Ok(Ok(Ok(()))) => {
            println!("ok {name}");
            return true;
        }
        Ok(Ok(Err(error))) => println!("FAIL {name}: {error} {:?}", error.source().map(|source| source.to_string())),
        Ok(Err(panic)) => println!("FAIL {name}: {panic}"),
        Err(_) => println!("FAIL {name}: took more than 20 s"),
    }
    false
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let outcomes = [
        check("queries", queries()).await,
        check("pipelined", pipelined()).await,
        check("interleaved clients", interleaved_clients()).await,
        check("errors", errors()).await,
        check("transactions", transactions()).await,
        check("portals", portals()).await,
        check("copies", copies()).await,
        check("cancelled", cancelled()).await,
        check("simple queries", simple_queries()).await,
        check("typed queries", typed_queries()).await,
        check("settings", settings()).await,
    ];
    let bad = outcomes.iter().filter(|ok| !**ok).count();
    println!("done {} checks, {bad} failed", outcomes.len());
    std::process::exit(if bad == 0 { 0 } else { 1 });
}
