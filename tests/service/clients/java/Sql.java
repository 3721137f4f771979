// PostgreSQL's JDBC driver against a service: metadata, parameters of every type,
// fetch size, cancel, errors, transactions.
//
//     java -cp /usr/share/java/postgresql.jar Sql.java host port

import java.math.BigDecimal;
import java.sql.*;
import java.util.*;

public class Sql {
    static final int JOBS = 100_000;
    static final UUID FIRST = UUID.fromString("10000000-0000-0000-0000-000000000000");
    static final String COUNT = "SELECT count(*) FROM asyncoperation WHERE ";
    static int passed, failed;

    interface Body { void run() throws Exception; }
    interface Set { void on(PreparedStatement statement) throws SQLException; }

    static void check(String name, boolean ok, Object seen) {
        if (ok) passed++; else failed++;
        System.out.println(ok ? "ok     " + name : "FAILED " + name + ": " + seen);
    }

    static void part(String name, Body body) {
        try {
            body.run();
        } catch (Exception error) {
            failed++;
            System.out.println("FAILED " + name + ": " + error);
        }
    }

    static List<String> column(ResultSet rows, String name) throws SQLException {
        List<String> all = new ArrayList<>();
        while (rows.next()) all.add(rows.getString(name));
        return all;
    }

    static void count(Connection c, String name, String condition, long expected, Set set) {
        part(name, () -> {
            try (PreparedStatement statement = c.prepareStatement(COUNT + condition)) {
                // From the fifth run on it is a prepared one, with binary answers.
                long seen = -1;
                for (int run = 0; run < 7; run++) {
                    set.on(statement);
                    try (ResultSet rows = statement.executeQuery()) {
                        rows.next();
                        seen = rows.getLong(1);
                    }
                }
                check(name, seen == expected, seen);
            }
        });
    }

    public static void main(String[] args) throws Exception {
        TimeZone.setDefault(TimeZone.getTimeZone("UTC"));
        String url = "jdbc:postgresql://" + args[0] + ":" + args[1] + "/sysjob?user=someone";
        Connection c = DriverManager.getConnection(url);
        DatabaseMetaData about = c.getMetaData();
        part("getTables", () -> {
            List<String> tables = column(about.getTables(null, "public", "%", new String[] {"TABLE"}), "TABLE_NAME");
            check("getTables", tables.contains("asyncoperation") && tables.size() == 22, tables);
        });
        part("getColumns", () -> {
            ResultSet rows = about.getColumns(null, "public", "asyncoperation", "name");
            check("getColumns", rows.next() && rows.getInt("COLUMN_SIZE") == 256 && rows.getInt("DATA_TYPE") == Types.VARCHAR, null);
            List<String> all = column(about.getColumns(null, null, "asyncoperation", null), "COLUMN_NAME");
            check("getColumns: all", all.contains("statuscode") && all.get(0).equals("asyncoperationid"), all);
        });
        part("getPrimaryKeys", () -> {
            List<String> keys = column(about.getPrimaryKeys(null, "public", "asyncoperation"), "COLUMN_NAME");
            check("getPrimaryKeys", keys.equals(List.of("asyncoperationid")), keys);
        });
        part("getImportedKeys", () -> {
            List<String> keys = column(about.getImportedKeys(null, "public", "asyncoperation"), "PKTABLE_NAME");
            check("getImportedKeys", keys.contains("systemuser"), keys);
        });
        part("getExportedKeys", () -> {
            List<String> keys = column(about.getExportedKeys(null, "public", "systemuser"), "FKTABLE_NAME");
            check("getExportedKeys", keys.contains("asyncoperation"), keys);
        });
        part("getIndexInfo", () -> {
            List<String> indexes = column(about.getIndexInfo(null, "public", "team", true, true), "COLUMN_NAME");
            check("getIndexInfo", indexes.equals(List.of("teamid")), indexes);
        });
        part("getSchemas", () -> check("getSchemas", column(about.getSchemas(), "TABLE_SCHEM").contains("public"), null));
        part("getCatalogs", () -> check("getCatalogs", column(about.getCatalogs(), "TABLE_CAT").contains("sysjob"), null));
        part("getTypeInfo", () -> check("getTypeInfo", column(about.getTypeInfo(), "TYPE_NAME").contains("uuid"), null));
        part("getTableTypes", () -> check("getTableTypes", column(about.getTableTypes(), "TABLE_TYPE").contains("TABLE"), null));
        part("getFunctions", () -> check("getFunctions", column(about.getFunctions(null, "public", "%"), "FUNCTION_NAME").isEmpty(), null));
        part("getProcedures", () -> check("getProcedures", column(about.getProcedures(null, "public", "%"), "PROCEDURE_NAME").isEmpty(), null));
        part("isValid", () -> check("isValid", c.isValid(5), null));

        count(c, "short", "statecode = ?", 99_900, s -> s.setShort(1, (short) 3));
        count(c, "int", "statecode = ?", 99_900, s -> s.setInt(1, 3));
        count(c, "long", "statecode = ?", 99_900, s -> s.setLong(1, 3));
        count(c, "double", "operationtype < ?", JOBS, s -> s.setDouble(1, 10.5));
        count(c, "BigDecimal", "operationtype < ?", 80_000, s -> s.setBigDecimal(1, new BigDecimal("1.5")));
        count(c, "String", "name = ?", 1, s -> s.setString(1, "job 7"));
        count(c, "UUID", "asyncoperationid = ?", 1, s -> s.setObject(1, FIRST));
        count(c, "Timestamp", "createdon = ?", 1, s -> s.setTimestamp(1, Timestamp.valueOf("2026-05-01 10:00:00")));
        count(c, "Date", "createdon < ?", 0, s -> s.setDate(1, java.sql.Date.valueOf("2026-05-01")));
        count(c, "null", "name = ?", 0, s -> s.setNull(1, Types.VARCHAR));

        part("values", () -> {
            try (PreparedStatement s = c.prepareStatement("SELECT asyncoperationid, name, statecode, createdon, message FROM asyncoperation WHERE asyncoperationid = ?")) {
                for (int run = 0; run < 7; run++) {
                    s.setObject(1, FIRST);
                    ResultSet row = s.executeQuery();
                    boolean ok = row.next() && row.getObject(1).equals(FIRST) && row.getString(2).equals("job 0")
                        && row.getInt(3) == 1 && row.getTimestamp(4).equals(Timestamp.valueOf("2026-05-01 10:00:00"))
                        && row.getString(5) == null && row.wasNull();
                    if (run % 6 == 0) check("values, run " + run, ok, null);
                }
                ResultSetMetaData meta = s.getMetaData();
                check("ResultSetMetaData", meta.getColumnName(2).equals("name") && meta.getColumnType(3) == Types.INTEGER, null);
            }
        });
        part("fetch size", () -> {
            c.setAutoCommit(false);
            try (Statement s = c.createStatement()) {
                s.setFetchSize(10_000);
                ResultSet rows = s.executeQuery("SELECT name FROM asyncoperation");
                int n = 0;
                while (rows.next()) n++;
                check("fetch size", n == JOBS, n);
            }
            c.commit();
        });
        part("failed transaction", () -> {
            try (Statement s = c.createStatement()) {
                s.executeQuery("SELECT nosuch FROM asyncoperation");
                check("error", false, null);
            } catch (SQLException error) {
                check("error", "42703".equals(error.getSQLState()), error);
            }
            try (Statement s = c.createStatement()) {
                s.executeQuery("SELECT 1");
                check("failed transaction", false, null);
            } catch (SQLException error) {
                check("failed transaction", "25P02".equals(error.getSQLState()), error);
            }
            c.rollback();
            c.setAutoCommit(true);
        });
        part("query timeout", () -> {
            try (Statement s = c.createStatement()) {
                s.setQueryTimeout(1);
                s.executeQuery("SELECT count(*) FROM asyncoperation a CROSS JOIN asyncoperation b "
                    + "CROSS JOIN asyncoperation c WHERE a.name > b.name AND b.name > c.name");
                check("cancel", false, null);
            } catch (SQLException error) {
                check("cancel", "57014".equals(error.getSQLState()), error);
            }
            try (Statement s = c.createStatement(); ResultSet row = s.executeQuery("SELECT 1")) {
                check("goes on", row.next() && row.getInt(1) == 1, null);
            }
        });
        c.close();
        System.out.println(passed + " passed, " + failed + " failed");
        System.exit(failed > 0 ? 1 : 0);
    }
}
