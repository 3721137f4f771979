"""The SQL clients of Python against a service: psycopg 3, psycopg2, SQLAlchemy,
pandas, asyncpg, pg8000, ADBC. Each connects, finds its way around, binds
parameters of every type, reads nulls and many rows, fails and goes on.

    python sql.py host port
"""

import asyncio
import datetime
import decimal
import sys
import threading
import traceback
import uuid

import adbc_driver_postgresql.dbapi
import asyncpg
import pandas
import pg8000.dbapi
import psycopg
import psycopg2
import psycopg2.extras
import sqlalchemy

HOST, PORT = sys.argv[1], int(sys.argv[2])
URL = f"postgresql://someone@{HOST}:{PORT}/sysjob"
JOBS = 100_000
FIRST = uuid.UUID("10000000-0000-0000-0000-000000000000")
CREATED = datetime.datetime(2026, 5, 1, 10, 0, 0)
MANY = "SELECT asyncoperationid, name, statecode, createdon FROM asyncoperation"
SLOW = ("SELECT count(*) FROM asyncoperation a CROSS JOIN asyncoperation b "
        "CROSS JOIN asyncoperation c WHERE a.name > b.name AND b.name > c.name")

passed, failed = 0, 0


def check(name, ok, seen=None):
    global passed, failed
    if ok:
        passed += 1
        print(f"ok     {name}")
    else:
        failed += 1
        print(f"FAILED {name}: {seen!r}")


def part(run):
    """Runs the checks of a client; an exception is a failed check."""
    global failed
    try:
        run()
    except Exception:
        failed += 1
        print(f"FAILED {run.__name__}")
        traceback.print_exc(file=sys.stdout)


PARAMETERS = [
    ("int2", "statecode = %s", 3, 99_900),
    ("int4", "operationtype = %s", 100_000, 0),
    ("int8", "operationtype < %s", 2**40, JOBS),
    ("float", "operationtype < %s", 10.5, JOBS),
    ("numeric", "operationtype < %s", decimal.Decimal("1.5"), 80_000),
    ("text", "name = %s", "job 7", 1),
    ("uuid", "asyncoperationid = %s", FIRST, 1),
    ("timestamp", "createdon = %s", CREATED, 1),
    ("date", "createdon < %s", datetime.date(2026, 5, 1), 0),
    ("null", "name = %s", None, 0),
]


ARRAYS = [
    ("int4[]", "statuscode = ANY(%s::int4[])", [30, 31], 66_600),
    ("uuid[]", "asyncoperationid = ANY(%s::uuid[])", [FIRST], 1),
    ("text[]", "name = ANY(%s::text[])", ["job 1", "job 2"], 2),
    ("untyped int4[]", "statuscode = ANY(%s)", [30, 31], 66_600),
    ("untyped uuid[]", "asyncoperationid = ANY(%s)", [FIRST], 1),
    ("untyped text[]", "name = ANY(%s)", ["job 1", 'job "2"'], 1),
    ("timestamp[]", "createdon = ANY(%s::timestamp[])", [CREATED], 1),
    ("all of int4[]", "statuscode <> ALL(%s)", [30, 31], 33_400),
    ("null in int4[]", "statuscode = ANY(%s::int4[])", [30, None], 33_300),
    ("empty int4[]", "statuscode = ANY(%s::int4[])", [], 0),
]


def psycopg3():
    with psycopg.connect(URL, autocommit=True) as connection:
        check("psycopg: server version", connection.info.server_version >= 150000)
        count = "SELECT count(*) FROM asyncoperation WHERE "
        for name, condition, value, expected in PARAMETERS:
            for _ in range(6 if name == "uuid" else 1):
                seen = connection.execute(count + condition, (value,)).fetchone()[0]
            check(f"psycopg: {name}", seen == expected, seen)
        seen = connection.execute(count + "CAST(%s AS bit) = 1", (True,)).fetchone()[0]
        check("psycopg: bool", seen == JOBS, seen)
        for name, condition, value, expected in ARRAYS:
            seen = connection.execute(count + condition, (value,)).fetchone()[0]
            check(f"psycopg: {name}", seen == expected, seen)
        row = connection.execute("SELECT %s, %s, %s, %s::uuid[]", (1, "x", [1, 2], [FIRST])).fetchone()
        check("psycopg: what is sent comes back", row == (1, "x", [1, 2], [FIRST]), row)
        with connection.cursor(binary=True) as cursor:
            cursor.execute(MANY + " WHERE asyncoperationid = %s", (FIRST,))
            row = cursor.fetchone()
        check("psycopg: binary", row == (FIRST, "job 0", 1, CREATED), row)
        row = connection.execute("SELECT message FROM asyncoperation WHERE name = 'job 1'").fetchone()
        check("psycopg: null", row == (None,), row)
        check("psycopg: many rows", len(connection.execute(MANY).fetchall()) == JOBS)
        try:
            connection.execute("SELECT nosuch FROM asyncoperation")
            check("psycopg: error", False)
        except psycopg.errors.UndefinedColumn as error:
            check("psycopg: error", "nosuch" in str(error))
        timer = threading.Timer(0.5, connection.cancel)
        timer.start()
        try:
            connection.execute(SLOW)
            check("psycopg: cancel", False)
        except psycopg.errors.QueryCanceled:
            check("psycopg: cancel", True)
        check("psycopg: goes on", connection.execute("SELECT 1").fetchone() == (1,))
    with psycopg.connect(URL) as connection:
        with connection.cursor(name="jobs") as cursor:
            cursor.itersize = 30_000
            cursor.execute(MANY)
            check("psycopg: server-side cursor", sum(1 for _ in cursor) == JOBS)
        try:
            connection.execute("SELECT 1/0")
        except psycopg.Error:
            pass
        status = connection.info.transaction_status
        check("psycopg: failed transaction", status == psycopg.pq.TransactionStatus.INERROR, status)
        connection.rollback()
        check("psycopg: after rollback", connection.execute("SELECT 2").fetchone() == (2,))
        with connection.cursor().copy("COPY (SELECT name FROM asyncoperation) TO STDOUT") as copy:
            check("psycopg: copy", sum(1 for _ in copy.rows()) == JOBS)
        with connection.pipeline():
            one, two = connection.execute("SELECT 1"), connection.execute("SELECT 2")
            check("psycopg: pipeline", (one.fetchone(), two.fetchone()) == ((1,), (2,)))


def psycopg2_():
    connection = psycopg2.connect(URL)
    psycopg2.extras.register_uuid()
    cursor = connection.cursor()
    for name, condition, value, expected in PARAMETERS:
        cursor.execute("SELECT count(*) FROM asyncoperation WHERE " + condition, (value,))
        seen = cursor.fetchone()[0]
        check(f"psycopg2: {name}", seen == expected, seen)
    cursor.execute("SELECT count(*) FROM asyncoperation WHERE statecode IN %s", ((0, 1),))
    check("psycopg2: tuple", cursor.fetchone()[0] == 100)
    named = connection.cursor("jobs")
    named.execute(MANY)
    check("psycopg2: named cursor", sum(len(b) for b in iter(lambda: named.fetchmany(30_000), [])) == JOBS)
    named.close()
    try:
        cursor.execute("SELECT * FROM nosuch")
        check("psycopg2: error", False)
    except psycopg2.errors.UndefinedTable:
        check("psycopg2: error", True)
    connection.rollback()
    timer = threading.Timer(0.5, connection.cancel)
    timer.start()
    try:
        cursor.execute(SLOW)
        check("psycopg2: cancel", False)
    except psycopg2.errors.QueryCanceled:
        check("psycopg2: cancel", True)
    connection.rollback()
    cursor.execute("SELECT 1")
    check("psycopg2: goes on", cursor.fetchone() == (1,))
    connection.close()


def sqlalchemy_(driver):
    engine = sqlalchemy.create_engine(f"postgresql+{driver}://someone@{HOST}:{PORT}/sysjob")
    inspector = sqlalchemy.inspect(engine)
    tables = inspector.get_table_names()
    check(f"sqlalchemy {driver}: tables", "asyncoperation" in tables and len(tables) == 22, tables)
    check(f"sqlalchemy {driver}: has_table", inspector.has_table("team"))
    check(f"sqlalchemy {driver}: has no table", not inspector.has_table("nosuch"))
    columns = {c["name"]: c for c in inspector.get_columns("asyncoperation")}
    key = columns["asyncoperationid"]
    check(f"sqlalchemy {driver}: uuid", isinstance(key["type"], sqlalchemy.UUID) and not key["nullable"], key)
    name = columns["name"]["type"]
    check(f"sqlalchemy {driver}: varchar", isinstance(name, sqlalchemy.VARCHAR) and name.length == 256, name)
    check(f"sqlalchemy {driver}: comment", columns["asyncoperationid"]["comment"] == "Primary key of the job row")
    key = inspector.get_pk_constraint("asyncoperation")
    check(f"sqlalchemy {driver}: primary key", key["constrained_columns"] == ["asyncoperationid"], key)
    keys = inspector.get_foreign_keys("asyncoperation")
    owners = [k["referred_table"] for k in keys if k["constrained_columns"] == ["owninguser"]]
    check(f"sqlalchemy {driver}: foreign keys", owners == ["systemuser"], keys)
    check(f"sqlalchemy {driver}: indexes", inspector.get_indexes("asyncoperation") == [])
    check(f"sqlalchemy {driver}: unique", inspector.get_unique_constraints("team") == [])
    check(f"sqlalchemy {driver}: checks", inspector.get_check_constraints("team") == [])
    check(f"sqlalchemy {driver}: views", inspector.get_view_names() == [])
    comment = inspector.get_table_comment("asyncoperation")
    check(f"sqlalchemy {driver}: table comment", comment["text"] == "System Job", comment)
    metadata = sqlalchemy.MetaData()
    metadata.reflect(engine)
    check(f"sqlalchemy {driver}: reflect", len(metadata.tables) == 22)
    jobs = metadata.tables["asyncoperation"]
    with engine.connect() as connection:
        query = sqlalchemy.select(jobs.c.name).where(jobs.c.asyncoperationid == FIRST)
        check(f"sqlalchemy {driver}: select", connection.execute(query).scalar_one() == "job 0")
        query = sqlalchemy.select(sqlalchemy.func.count()).where(jobs.c.name.like("job 1%"))
        check(f"sqlalchemy {driver}: like", connection.execute(query).scalar_one() == 11_111)
        query = sqlalchemy.select(jobs.c.name).order_by(jobs.c.createdon).limit(2).offset(1)
        check(f"sqlalchemy {driver}: page", connection.execute(query).scalars().all() == ["job 1", "job 2"])
        rows = connection.execution_options(stream_results=True, max_row_buffer=10_000)
        check(f"sqlalchemy {driver}: stream", sum(1 for _ in rows.execute(sqlalchemy.select(jobs.c.name))) == JOBS)
    with engine.connect() as connection:
        frame = pandas.read_sql_table("systemuser", connection)
        check(f"pandas {driver}: read_sql_table", len(frame) == 3, len(frame))
        frame = pandas.read_sql_query("SELECT statecode, count(*) AS jobs FROM asyncoperation GROUP BY statecode", connection)
        check(f"pandas {driver}: read_sql_query", frame["jobs"].sum() == JOBS, frame)
    engine.dispose()


def with_psycopg3():
    sqlalchemy_("psycopg")


def with_psycopg2():
    sqlalchemy_("psycopg2")


async def asyncpg_():
    connection = await asyncpg.connect(URL)
    count = "SELECT count(*) FROM asyncoperation WHERE "
    for name, condition, value, expected in PARAMETERS:
        if name in ("int8", "float", "numeric", "date"):
            continue  # Python's value must be of the column's own type.
        seen = await connection.fetchval(count + condition.replace("%s", "$1"), value)
        check(f"asyncpg: {name}", seen == expected, seen)
    row = await connection.fetchrow(MANY + " WHERE asyncoperationid = $1", FIRST)
    check("asyncpg: row", tuple(row) == (FIRST, "job 0", 1, CREATED), row)
    for name, condition, value, expected in ARRAYS:
        seen = await connection.fetchval(count + condition.replace("%s", "$1"), value)
        check(f"asyncpg: {name}", seen == expected, seen)
    rows = await connection.fetch("SELECT $1::int[] AS n, ARRAY['a', NULL] AS t, $2::uuid[] AS u", [1, 2], [FIRST])
    check("asyncpg: arrays in rows", tuple(rows[0]) == ([1, 2], ["a", None], [FIRST]), rows)
    seen = await connection.fetch("SELECT name FROM asyncoperation ORDER BY createdon LIMIT $1 OFFSET $2", 2, 1)
    check("asyncpg: limit", [r[0] for r in seen] == ["job 1", "job 2"], seen)
    seen = await connection.fetchval("SELECT $1::int + $2::int", 1, 2)
    check("asyncpg: casts", seen == 3, seen)
    async with connection.transaction(isolation="serializable", readonly=True):
        rows = 0
        async for _ in connection.cursor(MANY, prefetch=20_000):
            rows += 1
    check("asyncpg: cursor", rows == JOBS, rows)
    try:
        await connection.fetch("SELECT nosuch FROM asyncoperation")
        check("asyncpg: error", False)
    except asyncpg.UndefinedColumnError:
        check("asyncpg: error", True)
    try:
        await connection.fetch(SLOW, timeout=0.5)
        check("asyncpg: cancel", False)
    except asyncio.TimeoutError:
        check("asyncpg: cancel", True)
    check("asyncpg: goes on", await connection.fetchval("SELECT 1") == 1)
    await connection.reset()
    await connection.close()


def with_asyncpg():
    asyncio.run(asyncpg_())


def pg8000_():
    connection = pg8000.dbapi.connect("someone", host=HOST, port=PORT, database="sysjob")
    cursor = connection.cursor()
    for name, condition, value, expected in PARAMETERS:
        # It names no types, so numbers beyond the column's type fail, as in PostgreSQL.
        if name in ("int8", "float", "numeric"):
            continue
        cursor.execute("SELECT count(*) FROM asyncoperation WHERE " + condition, (value,))
        seen = cursor.fetchone()[0]
        check(f"pg8000: {name}", seen == expected, seen)
    cursor.execute(MANY)
    check("pg8000: many rows", len(cursor.fetchall()) == JOBS)
    try:
        cursor.execute("SELECT * FROM nosuch")
        check("pg8000: error", False)
    except pg8000.dbapi.DatabaseError as error:
        check("pg8000: error", error.args[0]["C"] == "42P01", error)
    connection.rollback()
    cursor.execute("SELECT 1")
    check("pg8000: goes on", cursor.fetchone()[0] == 1)
    connection.close()


def adbc():
    with adbc_driver_postgresql.dbapi.connect(URL) as connection:
        objects = connection.adbc_get_objects(depth="all", db_schema_filter="public", table_name_filter="team").read_all()
        schemas = objects.to_pylist()[0]["catalog_db_schemas"]
        tables = [t for s in schemas for t in s["db_schema_tables"]]
        check("adbc: get_objects", tables[0]["table_name"] == "team", tables)
        schema = connection.adbc_get_table_schema("asyncoperation")
        check("adbc: table schema", "statuscode" in schema.names, schema)
        check("adbc: table types", "table" in connection.adbc_get_table_types())
        with connection.cursor() as cursor:
            cursor.execute(MANY)
            check("adbc: many rows", cursor.fetch_arrow_table().num_rows == JOBS)
            cursor.execute("SELECT TOP 3 name FROM asyncoperation ORDER BY createdon")
            check("adbc: T-SQL", cursor.fetchall() == [("job 0",), ("job 1",), ("job 2",)])
            cursor.execute("SELECT count(*) FROM asyncoperation WHERE operationtype = $1", (10,))
            check("adbc: parameter", cursor.fetchone() == (20_000,))


for client in (psycopg3, psycopg2_, with_psycopg3, with_psycopg2, with_asyncpg, pg8000_, adbc):
    part(client)
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
