// postgres.js: pipelines everything, prepares everything, sends parameters by type.
import { at, equal, fails, load, run, sessionMode } from './checks.mjs';

const postgres = load('postgres');
const connect = (more = {}) => postgres({
  host: at.host, port: at.port, user: at.user, password: at.password, database: at.database, ssl: at.ssl,
  max: 5, idle_timeout: 5, connect_timeout: 10, onnotice: () => {}, ...more,
});

async function using(work, more) {
  const sql = connect(more);
  try {
    return await work(sql);
  } finally {
    await sql.end({ timeout: 5 });
  }
}

const unique = (prefix) => `${prefix}_${process.pid}_${Math.random().toString(36).slice(2, 10)}`;

await run({
  'tagged queries': () => using(async (sql) => {
    equal((await sql`SELECT ${41}::int + 1 AS a`)[0].a, 42);
    equal((await sql`SELECT ${sql.json({ a: 1 })} AS j`)[0].j, { a: 1 });
  }),
  'hundreds at once over few connections': () => using(async (sql) => {
    const rows = await Promise.all(Array.from({ length: 500 }, (_, n) => sql`SELECT ${n}::int AS a`));
    equal(rows.map((r) => r[0].a), Array.from({ length: 500 }, (_, n) => n));
  }),
  'one connection pipelining many statements': () => using(async (sql) => {
    const rows = await Promise.all(Array.from({ length: 300 }, (_, n) => sql.unsafe(`SELECT $1::int + ${n % 60} AS a`, [n])));
    equal(rows.map((r) => r[0].a), Array.from({ length: 300 }, (_, n) => n + (n % 60)));
  }, { max: 1 }),
  'prepare off': () => using(async (sql) => {
    equal((await sql`SELECT ${1}::int AS a`)[0].a, 1);
  }, { prepare: false }),
  'simple protocol with several statements': () => using(async (sql) => {
    const results = await sql`SELECT 1 AS a; SELECT 2 AS a`.simple();
    equal(results.map((r) => r[0].a), [1, 2]);
  }),
  'errors between other queries': () => using(async (sql) => {
    const all = await Promise.allSettled(Array.from({ length: 60 }, (_, n) => sql`SELECT 10 / ${n % 3}::int AS a`));
    equal(all.map((r) => r.status), Array.from({ length: 60 }, (_, n) => (n % 3 ? 'fulfilled' : 'rejected')));
    await fails(sql`SELECT nonsense`, '42703');
  }),
  'transactions and savepoints': () => using(async (sql) => {
    const name = unique('t');
    await sql`CREATE TABLE ${sql(name)} (a int)`;
    await sql.begin(async (tx) => {
      await tx`INSERT INTO ${tx(name)} VALUES (1)`;
      await tx.savepoint(async (inner) => {
        await inner`INSERT INTO ${inner(name)} VALUES (2)`;
        throw new Error('back');
      }).catch(() => {});
    });
    await sql.begin(async (tx) => { await tx`DELETE FROM ${tx(name)}`; throw new Error('undo'); }).catch(() => {});
    equal((await sql`SELECT array_agg(a) AS l FROM ${sql(name)}`)[0].l, [1]);
    await sql`DROP TABLE ${sql(name)}`;
  }),
  'cursor': () => using(async (sql) => {
    let seen = 0;
    for await (const rows of sql`SELECT n FROM generate_series(1, 1000) n`.cursor(70)) seen += rows.length;
    equal(seen, 1000);
  }),
  'cursor left early': () => using(async (sql) => {
    for await (const rows of sql`SELECT n FROM generate_series(1, 1000) n`.cursor(10)) {
      equal(rows.length, 10);
      break;
    }
    equal((await sql`SELECT 5 AS a`)[0].a, 5);
  }, { max: 1 }),
  // Copying out is left to the other drivers: this one stalls there even on a direct connection without TLS.
  'copy in': () => using(async (sql) => {
    const name = unique('t');
    await sql`CREATE TABLE ${sql(name)} (a int)`;
    const { finished } = await import('node:stream/promises');
    const lines = Array.from({ length: 5000 }, (_, n) => `${n}\n`);
    const sink = await sql`COPY ${sql(name)} FROM STDIN`.writable();
    sink.write(lines.join(''));
    sink.end();
    await finished(sink);
    equal((await sql`SELECT sum(a)::int AS a FROM ${sql(name)}`)[0].a, 12497500);
    await sql`DROP TABLE ${sql(name)}`;
  }),
  'cancel': () => using(async (sql) => {
    const query = sql`SELECT pg_sleep(20)`;
    setTimeout(() => query.cancel(), 300);
    await fails(query, '57014');
    equal((await sql`SELECT 1 AS a`)[0].a, 1);
  }, { max: 1 }),
  'describe': () => using(async (sql) => {
    const found = await sql`SELECT ${1}::int AS a, 'x'::text AS b`.describe();
    equal(found.columns.map((c) => c.name), ['a', 'b']);
  }),
  'listen and notify': async () => {
    if (!sessionMode) return;
    await using(async (sql) => {
      const channel = unique('c');
      let tell;
      const heard = new Promise((yes) => { tell = yes; });
      await sql.listen(channel, tell);
      await sql.notify(channel, 'hi');
      equal(await heard, 'hi');
    });
  },
  'connection settings': () => using(async (sql) => {
    equal((await sql`SHOW application_name`)[0].application_name, 'a js');
    equal((await sql`SHOW TimeZone`)[0].TimeZone, 'Asia/Tokyo');
  }, { connection: { application_name: 'a js', TimeZone: 'Asia/Tokyo' } }),
});
