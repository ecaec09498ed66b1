// A list of named checks; prints one line each and ends with the count. The exit status tells whether all were well.
import fs from 'node:fs';
import { createRequire } from 'node:module';

// Packages are installed outside the source tree: E2E_MODULES names their node_modules directory.
export const load = createRequire(process.env.E2E_MODULES + '/');

export const at = {
  host: process.env.PGHOST,
  port: Number(process.env.PGPORT),
  user: process.env.PGUSER,
  password: process.env.PGPASSWORD,
  database: process.env.PGDATABASE,
  ssl: process.env.E2E_TLS === '1' ? { ca: fs.readFileSync(process.env.E2E_CA, 'utf8') } : false,
};
export const sessionMode = process.env.E2E_MODE === 'session';

export function equal(got, wanted) {
  const [a, b] = [JSON.stringify(got), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`got ${a}, wanted ${b}`);
}

export async function fails(promise, code) {
  try {
    await promise;
  } catch (error) {
    if (error.code !== code) throw new Error(`failed with ${error.code} ${error.message}, wanted ${code}`);
    return;
  }
  throw new Error(`did not fail with ${code}`);
}

export async function run(checks) {
  let bad = 0;
  for (const [name, check] of Object.entries(checks)) {
    let timer;
    const late = new Promise((_, no) => { timer = setTimeout(() => no(new Error('took more than 15 s')), 15000); });
    try {
      await Promise.race([check(), late]);
      console.log(`ok ${name}`);
    } catch (error) {
      bad += 1;
      console.log(`FAIL ${name}: ${error.stack ?? error}`);
    }
    clearTimeout(timer);
  }
  console.log(`done ${Object.keys(checks).length} checks, ${bad} failed`);
  process.exit(bad ? 1 : 0);
}
