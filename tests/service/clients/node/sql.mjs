// The SQL clients of Node against a service: pg with cursors and streams, and
// postgres.js.
//
//     node sql.mjs host port

import pg from "pg";
import Cursor from "pg-cursor";
import QueryStream from "pg-query-stream";
import postgres from "postgres";

const [host, port] = [process.argv[2], Number(process.argv[3])];
const JOBS = 100000;
const FIRST = "10000000-0000-0000-0000-000000000000";
const MANY = "SELECT asyncoperationid, name, statecode, createdon FROM asyncoperation";
const COUNT = "SELECT count(*) AS n FROM asyncoperation WHERE ";
const SLOW =
  "SELECT count(*) FROM asyncoperation a CROSS JOIN asyncoperation b " +
  "CROSS JOIN asyncoperation c WHERE a.name > b.name AND b.name > c.name";

let passed = 0;
let failed = 0;
function check(name, ok, seen) {
  ok ? passed++ : failed++;
  console.log(ok ? `ok     ${name}` : `FAILED ${name}: ${JSON.stringify(seen)}`);
}
async function part(name, run) {
  try {
    await run();
  } catch (error) {
    failed++;
    console.log(`FAILED ${name}: ${error.stack}`);
  }
}

const PARAMETERS = [
  ["int4", "statecode = $1", 3, 99900],
  ["numeric", "operationtype < $1::numeric", "1.5", 80000],
  ["float", "operationtype < $1::float8", 10.5, JOBS],
  ["text", "name = $1", "job 7", 1],
  ["uuid", "asyncoperationid = $1", FIRST, 1],
  ["timestamp", "createdon = $1", new Date("2026-05-01T10:00:00Z"), 1],
  ["null", "name = $1", null, 0],
  ["int4[]", "statuscode = ANY($1)", [30, 31], 66600],
  ["text[]", "name = ANY($1)", ["job 1", 'job "2"'], 1],
  ["uuid[]", "asyncoperationid = ANY($1::uuid[])", [FIRST], 1],
];

await part("pg", async () => {
  process.env.TZ = "UTC";
  const client = new pg.Client({ host, port, user: "someone", database: "sysjob" });
  await client.connect();
  for (const [name, condition, value, expected] of PARAMETERS) {
    const { rows } = await client.query(COUNT + condition, [value]);
    check(`pg: ${name}`, Number(rows[0].n) === expected, rows);
  }
  const named = { name: "by-id", text: `${MANY} WHERE asyncoperationid = $1` };
  for (let n = 0; n < 2; n++) {
    const { rows } = await client.query({ ...named, values: [FIRST] });
    check(`pg: named statement ${n}`, rows[0].name === "job 0", rows);
  }
  const all = await client.query(MANY);
  check("pg: many rows", all.rowCount === JOBS, all.rowCount);
  const cursor = client.query(new Cursor(MANY));
  let read = 0;
  for (let rows; (rows = await cursor.read(30000)).length > 0; ) read += rows.length;
  await cursor.close();
  check("pg-cursor", read === JOBS, read);
  let streamed = 0;
  for await (const _ of client.query(new QueryStream(MANY, [], { batchSize: 10000 }))) streamed++;
  check("pg-query-stream", streamed === JOBS, streamed);
  const failure = await client.query("SELECT nosuch FROM asyncoperation").catch((e) => e);
  check("pg: error", failure.code === "42703", failure);
  await client.query("BEGIN");
  await client.query("SELECT 1/0").catch(() => {});
  const aborted = await client.query("SELECT 1").catch((e) => e);
  check("pg: failed transaction", aborted.code === "25P02", aborted);
  await client.query("ROLLBACK");
  check("pg: goes on", (await client.query("SELECT 1 AS one")).rows[0].one === 1);
  await client.query("SET statement_timeout = 500");
  const timeout = await client.query(SLOW).catch((e) => e);
  check("pg: statement_timeout", timeout.code === "57014", timeout);
  await client.query("SET statement_timeout = 0");
  const tables = await client.query("SELECT tablename FROM pg_tables WHERE schemaname = $1", ["public"]);
  check("pg: catalogs", tables.rowCount === 22, tables.rows);
  await client.end();
});

await part("postgres.js", async () => {
  const sql = postgres({ host, port, user: "someone", database: "sysjob", max: 1 });
  const [job] = await sql`SELECT name, message FROM asyncoperation WHERE asyncoperationid = ${FIRST}`;
  check("postgres.js: uuid", job.name === "job 0" && job.message === null, job);
  const [{ n }] = await sql`SELECT count(*) AS n FROM asyncoperation WHERE statecode = ${3}`;
  check("postgres.js: int", Number(n) === 99900, n);
  const list = await sql`SELECT name FROM asyncoperation WHERE name IN ${sql(["job 1", "job 2"])}`;
  check("postgres.js: list", list.length === 2, list);
  let read = 0;
  await sql.unsafe(MANY).cursor(25000, (rows) => {
    read += rows.length;
  });
  check("postgres.js: cursor", read === JOBS, read);
  const failure = await sql`SELECT * FROM nosuch`.catch((e) => e);
  check("postgres.js: error", failure.code === "42P01", failure);
  const slow = sql.unsafe(SLOW);
  setTimeout(() => slow.cancel(), 500);
  const cancelled = await slow.catch((e) => e);
  check("postgres.js: cancel", cancelled.code === "57014", cancelled);
  const two = await sql.begin(async (tx) => (await tx`SELECT 2 AS two`)[0].two);
  check("postgres.js: transaction", two === 2, two);
  await sql.end();
});

console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 ? 1 : 0);
