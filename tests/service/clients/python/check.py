"""What users of Microsoft's Dataverse SDK for Python do, against a running sysjob.

Usage: REQUESTS_CA_BUNDLE=cert.pem python check.py https://127.0.0.1:8443
"""

import sys
import time
import traceback

from azure.core.credentials import AccessToken
from PowerPlatform.Dataverse.client import DataverseClient


class AnyToken:
    """A credential: the service lets any token in on loopback."""

    def get_token(self, *scopes, **kwargs):
        return AccessToken("any token", int(time.time()) + 3600)


client = DataverseClient(sys.argv[1], AnyToken())
JOB = "asyncoperation"
checks = []


def check(run):
    checks.append(run)
    return run


def workflows_count():
    rows = client.query.sql(f"SELECT COUNT(*) AS n FROM {JOB} WHERE operationtype = 10")
    return rows[0]["n"]


@check
def records_are_listed_page_by_page():
    seen = []
    for page in client.records.list_pages(
        JOB, filter="operationtype eq 10", select=["name", "statecode"], page_size=100
    ):
        seen.extend(row["asyncoperationid"] for row in page)
    assert len(seen) == len(set(seen)) == workflows_count(), len(seen)


@check
def records_are_listed_with_order_top_expand_and_annotations():
    rows = list(
        client.records.list(
            JOB,
            filter="statecode eq 3",
            select=["name", "statecode", "createdon"],
            orderby=["createdon desc"],
            top=7,
            expand=["owninguser"],
            include_annotations="*",
        )
    )
    assert len(rows) == 7
    times = [row["createdon"] for row in rows]
    assert times == sorted(times, reverse=True)
    label = rows[0]["statecode@OData.Community.Display.V1.FormattedValue"]
    assert label == "Completed", label
    assert rows[0]["owninguser"]["systemuserid"]


@check
def the_query_builder_works():
    from PowerPlatform.Dataverse import col

    rows = list(
        client.query.builder(JOB)
        .select("name", "operationtype")
        .where(col("operationtype").in_([10, 1]))
        .top(5)
        .execute()
    )
    assert len(rows) == 5
    assert all(row["operationtype"] in (1, 10) for row in rows)


@check
def one_record_is_retrieved():
    first = list(client.records.list(JOB, select=["name"], top=1))[0]
    row = client.records.retrieve(JOB, first["asyncoperationid"], select=["name"])
    assert row["name"] == first["name"]
    missing = "00000000-0000-0000-0000-0000000000ff"
    assert client.records.retrieve(JOB, missing) is None


@check
def sql_is_answered():
    rows = client.query.sql(
        "SELECT a.name, a.statecode, u.fullname FROM asyncoperation a "
        "INNER JOIN systemuser u ON a.owninguser = u.systemuserid "
        "WHERE a.operationtype = 10 AND a.name LIKE '%' ORDER BY a.createdon DESC"
    )
    assert len(rows) == workflows_count()
    groups = client.query.sql(
        "SELECT statecode, statuscode, COUNT(*) AS jobs FROM asyncoperation "
        "GROUP BY statecode, statuscode ORDER BY statecode"
    )
    assert len(groups) > 1 and all(row["jobs"] > 0 for row in groups)
    assert len(client.query.sql("SELECT TOP 3 name FROM asyncoperation")) == 3
    frame = client.dataframe.sql("SELECT TOP 3 name, createdon FROM asyncoperation")
    assert list(frame.columns)[:2] == ["name", "createdon"] and len(frame) == 3


@check
def fetchxml_is_paged_by_cookie():
    xml = """<fetch count="60"><entity name="asyncoperation">
      <attribute name="name"/><order attribute="createdon" descending="true"/>
      <filter><condition attribute="operationtype" operator="eq" value="10"/></filter>
    </entity></fetch>"""
    ids = []
    for page in client.query.fetchxml(xml).execute_pages():
        ids.extend(row["asyncoperationid"] for row in page)
    assert len(ids) == len(set(ids)) == workflows_count(), len(ids)


@check
def records_are_created_updated_and_deleted():
    account = client.records.create("account", {"name": "Contoso"})
    client.records.update("account", account, {"telephone1": "555"})
    row = client.records.retrieve("account", account, select=["name", "telephone1"])
    assert (row["name"], row["telephone1"]) == ("Contoso", "555")
    client.records.delete("account", account)
    assert client.records.retrieve("account", account) is None


@check
def many_records_are_created_updated_and_deleted():
    ids = client.records.create("contact", [{"lastname": f"many {n}"} for n in range(20)])
    assert len(ids) == 20
    client.records.update("contact", ids, {"firstname": "one"})
    rows = list(client.records.list("contact", filter="startswith(lastname,'many ')", select=["firstname"]))
    assert len(rows) == 20 and all(row["firstname"] == "one" for row in rows)
    job = client.records.delete("contact", ids)
    assert job, "a bulk delete job"
    until = time.time() + 60
    while True:
        assert time.time() < until, "the bulk delete does not end"
        row = client.records.retrieve(JOB, job, select=["statecode", "statuscode"])
        if row["statecode"] == 3:
            assert row["statuscode"] == 30
            break
    rows = list(client.records.list("contact", filter="startswith(lastname,'many ')", select=["lastname"]))
    assert rows == []


@check
def a_job_is_cancelled():
    waiting = list(
        client.records.list(JOB, filter="statecode eq 1 and operationtype eq 10", select=["name"], top=1)
    )[0]["asyncoperationid"]
    client.records.update(JOB, waiting, {"statecode": 3, "statuscode": 32})
    row = client.records.retrieve(JOB, waiting, select=["statecode", "statuscode"])
    assert (row["statecode"], row["statuscode"]) == (3, 32)


@check
def a_batch_runs_reads_sql_and_a_change_set():
    batch = client.batch.new()
    batch.records.list(JOB, select=["name"], top=2)
    batch.query.sql("SELECT TOP 1 name FROM asyncoperation")
    with batch.changeset() as changes:
        contact = changes.records.create("contact", {"lastname": "changed"})
        changes.records.create("account", {"name": "set", "primarycontactid@odata.bind": contact})
    result = batch.execute()
    assert not result.has_errors, [r.error_message for r in result.failed]
    assert len(result.responses) == 4
    assert len(result.entity_ids) == 2


@check
def a_failing_change_set_changes_nothing():
    batch = client.batch.new()
    with batch.changeset() as changes:
        changes.records.create("account", {"name": "never there"})
        changes.records.update("account", "00000000-0000-0000-0000-0000000000ff", {"name": "x"})
    result = batch.execute()
    assert result.has_errors
    assert list(client.records.list("account", filter="name eq 'never there'", select=["name"])) == []


@check
def metadata_is_read():
    info = client.tables.get(JOB)
    assert info["entity_set_name"] == "asyncoperations"
    tables = client.tables.list(select=["LogicalName", "SchemaName"])
    assert any(table["LogicalName"] == JOB for table in tables)
    columns = client.tables.list_columns(JOB, select=["LogicalName", "AttributeType"])
    assert any(column["LogicalName"] == "statecode" for column in columns)
    names = client.query.sql_columns(JOB)
    assert any(column["name"] == "statecode" for column in names)
    expands = client.query.odata_expands(JOB)
    assert any(e["nav_property"] == "owninguser" for e in expands)


@check
def errors_name_the_code():
    from PowerPlatform.Dataverse.core.errors import HttpError

    try:
        list(client.records.list(JOB, filter="nam eq 'x'"))
    except HttpError as error:
        assert error.status_code == 400 and "nam" in str(error), error
    else:
        raise AssertionError("an unknown column is an error")


failed = 0
for run in checks:
    name = run.__name__.replace("_", " ")
    try:
        run()
        print("ok", name)
    except Exception:
        failed += 1
        print("FAILED", name)
        traceback.print_exc(file=sys.stdout)
print(f"{len(checks) - failed} passed, {failed} failed")
sys.exit(1 if failed else 0)
