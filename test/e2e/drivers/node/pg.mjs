// node-postgres.
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { at, equal, fails, load, run, sessionMode } from './checks.mjs';

const pg = load('pg');
const Cursor = load('pg-cursor');
const { from: copyFrom, to: copyTo } = load('pg-copy-streams');

async function using(work) {
  const client = new pg.Client(at);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

const unique = (prefix) => `${prefix}_${process.pid}_${Math.random().toString(36).slice(2, 10)}`;

await run({
  'simple and parameterised queries': () => using(async (client) => {
    equal((await client.query('SELECT 1 AS a; SELECT 2 AS a')).map((r) => r.rows[0].a), [1, 2]);
    equal((await client.query('SELECT $1::int + 1 AS a', [41])).rows, [{ a: 42 }]);
  }),
  'named statements shared by a pool of clients': async () => {
    const pool = new pg.Pool({ ...at, max: 10 });
    const answers = await Promise.all(Array.from({ length: 300 }, (_, n) =>
      pool.query({ name: `plus-${n % 7}`, text: `SELECT $1::int + ${n % 7} AS a`, values: [n] })));
    equal(answers.map((r) => r.rows[0].a), Array.from({ length: 300 }, (_, n) => n + (n % 7)));
    await pool.end();
  },
  'a named statement again and again, with other clients between': async () => {
    const clients = await Promise.all(Array.from({ length: 6 }, async () => {
      const client = new pg.Client(at);
      await client.connect();
      return client;
    }));
    for (let turn = 0; turn < 10; turn++) {
      const rows = await Promise.all(clients.map((client, n) =>
        client.query({ name: 'same', text: `SELECT $1::int * ${n} AS a`, values: [turn] })));
      equal(rows.map((r) => r.rows[0].a), clients.map((_, n) => n * turn));
    }
    await Promise.all(clients.map((client) => client.end()));
  },
  'errors leave the client usable': () => using(async (client) => {
    await fails(client.query('SELECT nonsense'), '42703');
    await fails(client.query({ name: 'bad', text: 'SELECT * FROM nowhere' }), '42P01');
    await fails(client.query({ name: 'div', text: 'SELECT 1 / $1::int AS a', values: [0] }), '22012');
    equal((await client.query({ name: 'div', text: 'SELECT 1 / $1::int AS a', values: [1] })).rows, [{ a: 1 }]);
  }),
  'transactions': () => using(async (client) => {
    const name = unique('t');
    await client.query(`CREATE TABLE ${name} (a int)`);
    await client.query('BEGIN');
    await client.query(`INSERT INTO ${name} VALUES ($1)`, [1]);
    await client.query('ROLLBACK');
    equal((await client.query(`SELECT count(*)::int AS n FROM ${name}`)).rows, [{ n: 0 }]);
    await client.query(`DROP TABLE ${name}`);
  }),
  'queued queries answer in order': () => using(async (client) => {
    const answers = await Promise.all(Array.from({ length: 200 }, (_, n) => client.query('SELECT $1::int AS a', [n])));
    equal(answers.map((r) => r.rows[0].a), Array.from({ length: 200 }, (_, n) => n));
  }),
  'a cursor reads a portal in parts': () => using(async (client) => {
    await client.query('BEGIN');
    const cursor = client.query(new Cursor('SELECT n FROM generate_series(1, $1::int) n', [250]));
    let seen = 0;
    for (let rows = await cursor.read(100); rows.length; rows = await cursor.read(100)) seen += rows.length;
    await cursor.close();
    await client.query('COMMIT');
    equal(seen, 250);
  }),
  'a cursor outside a transaction, closed early': () => using(async (client) => {
    const cursor = client.query(new Cursor('SELECT n FROM generate_series(1, 100000) n'));
    equal((await cursor.read(10)).length, 10);
    await cursor.close();
    equal((await client.query('SELECT 1 AS a')).rows, [{ a: 1 }]);
  }),
  'copy both ways': () => using(async (client) => {
    const name = unique('t');
    await client.query(`CREATE TABLE ${name} (a int, b text)`);
    const lines = Array.from({ length: 20000 }, (_, n) => `${n}\trow ${n}\n`);
    await pipeline(Readable.from(lines), client.query(copyFrom(`COPY ${name} FROM STDIN`)));
    let out = '';
    for await (const chunk of client.query(copyTo(`COPY (SELECT * FROM ${name} ORDER BY a) TO STDOUT`))) out += chunk;
    equal(out.length, lines.join('').length);
    equal(out === lines.join(''), true);
    await client.query(`DROP TABLE ${name}`);
  }),
  'query_timeout and statement_timeout': async () => {
    const client = new pg.Client({ ...at, statement_timeout: 200 });
    await client.connect();
    await fails(client.query('SELECT pg_sleep(10)'), '57014');
    equal((await client.query('SHOW statement_timeout')).rows, [{ statement_timeout: '200ms' }]);
    await client.end();
  },
  'application_name and options': async () => {
    const client = new pg.Client({ ...at, application_name: 'a node', options: '-c extra_float_digits=0' });
    await client.connect();
    equal((await client.query('SHOW application_name')).rows, [{ application_name: 'a node' }]);
    equal((await client.query('SHOW extra_float_digits')).rows, [{ extra_float_digits: '0' }]);
    await client.end();
  },
  'notifications': async () => {
    if (!sessionMode) return;
    await using(async (client) => {
      const channel = unique('c');
      await client.query(`LISTEN ${channel}`);
      const heard = once(client, 'notification');
      await using((other) => other.query('SELECT pg_notify($1, $2)', [channel, 'hi']));
      equal((await heard)[0].payload, 'hi');
    });
  },
  'types': () => using(async (client) => {
    const { rows } = await client.query('SELECT $1::timestamptz AS t, $2::jsonb AS j, $3::bytea AS b, $4::text[] AS l',
      [new Date(0), { a: [1] }, Buffer.from([0, 255]), ['x', null]]);
    equal(rows[0].t.getTime(), 0);
    equal([rows[0].j, [...rows[0].b], rows[0].l], [{ a: [1] }, [0, 255], ['x', null]]);
  }),
  'a wrong password is refused with 28P01': async () => {
    const client = new pg.Client({ ...at, password: 'wrong' });
    await fails(client.connect(), '28P01');
  },
});
