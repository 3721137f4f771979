// What users of dynamics-web-api do, against a running sysjob.
// Usage: node check.mjs http://127.0.0.1:8080
import assert from "node:assert/strict";
import { DynamicsWebApi } from "dynamics-web-api";

const server = process.argv[2];
const api = new DynamicsWebApi({
  serverUrl: `${server}/`,
  dataApi: { version: "9.2" },
  onTokenRefresh: async () => "any token",
});

const checks = [];
const check = (name, run) => checks.push([name, run]);
const jobs = "asyncoperations";

check("retrieveMultiple: select, filter, order, top", async () => {
  const answer = await api.retrieveMultiple({
    collection: jobs,
    select: ["name", "statecode", "_ownerid_value"],
    filter: "statecode eq 3 and contains(name,'job')",
    orderBy: ["createdon desc", "name asc"],
    top: 5,
  });
  assert.equal(answer.value.length, 5);
  assert.ok(answer.value.every((row) => row.statecode === 3 && row.asyncoperationid));
});

check("annotations", async () => {
  const answer = await api.retrieveMultiple({
    collection: jobs,
    select: ["statecode", "_ownerid_value", "createdon"],
    top: 1,
    includeAnnotations: "*",
  });
  const row = answer.value[0];
  assert.equal(typeof row.statecode_Formatted, "string");
  assert.equal(row._ownerid_value_LogicalName, "systemuser");
  assert.ok(row._ownerid_value_NavigationProperty);
  assert.match(row.createdon instanceof Date ? "date" : String(row.createdon), /date|T/);
});

check("retrieveMultiple: following the next link visits every row once", async () => {
  const request = { collection: jobs, select: ["name"], filter: "operationtype eq 10", maxPageSize: 50 };
  const total = await api.count({ collection: jobs, filter: request.filter });
  const seen = new Set();
  let page = await api.retrieveMultiple(request);
  for (;;) {
    page.value.forEach((row) => seen.add(row.asyncoperationid));
    if (!page.oDataNextLink) break;
    assert.equal(page.value.length, 50);
    page = await api.retrieveMultiple(request, page.oDataNextLink);
  }
  assert.ok(total > 100, `only ${total} rows`);
  assert.equal(seen.size, total);
});

check("retrieveAll and countAll agree", async () => {
  const all = await api.retrieveAll({ collection: jobs, select: ["name"], filter: "statecode ne 3" });
  const count = await api.countAll({ collection: jobs, filter: "statecode ne 3", select: ["name"] });
  assert.equal(all.value.length, count);
});

check("retrieveMultiple: count beside the rows", async () => {
  const answer = await api.retrieveMultiple({ collection: jobs, select: ["name"], count: true, top: 3 });
  assert.ok(answer.oDataCount > 1000);
});

check("retrieveMultiple: apply", async () => {
  const answer = await api.retrieveMultiple({
    collection: jobs,
    apply: "groupby((statecode,statuscode),aggregate($count as jobs))",
  });
  assert.ok(answer.value.length > 1);
  assert.ok(answer.value.every((row) => row.jobs > 0));
});

check("retrieve: one row, one column, an expanded lookup", async () => {
  const { value } = await api.retrieveMultiple({ collection: jobs, select: ["name"], top: 1 });
  const key = value[0].asyncoperationid;
  const row = await api.retrieve({
    collection: jobs,
    key,
    select: ["name", "statecode"],
    expand: [{ property: "owninguser", select: ["fullname"] }],
  });
  assert.equal(row.name, value[0].name);
  assert.ok(row.owninguser.fullname);
  const column = await api.retrieve({ collection: jobs, key: key.toUpperCase(), select: ["/name"] });
  assert.equal(column.value, row.name);
  await assert.rejects(
    api.retrieve({ collection: jobs, key: "00000000-0000-0000-0000-0000000000ff" }),
    (error) => error.status === 404 && error.code === "0x80040217",
  );
});

const fetchXml = (attributes) => `<fetch count="40" ${attributes}>
  <entity name="asyncoperation">
    <attribute name="name"/><attribute name="createdon"/>
    <order attribute="createdon"/>
    <filter><condition attribute="operationtype" operator="eq" value="10"/></filter>
    <link-entity name="systemuser" from="systemuserid" to="owninguser" alias="u" link-type="outer">
      <attribute name="fullname"/>
    </link-entity>
  </entity>
</fetch>`;

check("fetch: pages by cookie", async () => {
  const first = await api.fetch({ collection: jobs, fetchXml: fetchXml("") });
  assert.equal(first.value.length, 40);
  assert.ok(first.value[0]["u.fullname"] ?? first.value[0].u?.fullname);
  assert.match(first.PagingInfo.cookie, /^&lt;cookie page=&quot;1&quot;&gt;.*&lt;\/cookie&gt;$/);
  const second = await api.fetch({
    collection: jobs,
    fetchXml: fetchXml(""),
    pageNumber: first.PagingInfo.nextPage,
    pagingCookie: first.PagingInfo.cookie,
  });
  const ids = (page) => page.value.map((row) => row.asyncoperationid);
  assert.equal(new Set([...ids(first), ...ids(second)]).size, 80);
});

check("fetchAll visits every row once", async () => {
  const all = await api.fetchAll({ collection: jobs, fetchXml: fetchXml("") });
  const count = await api.count({ collection: jobs, filter: "operationtype eq 10" });
  assert.equal(new Set(all.value.map((row) => row.asyncoperationid)).size, count);
  assert.equal(all.value.length, count);
});

check("fetch: aggregates", async () => {
  const answer = await api.fetch({
    collection: jobs,
    fetchXml: `<fetch aggregate="true"><entity name="asyncoperation">
      <attribute name="statecode" groupby="true" alias="state"/>
      <attribute name="asyncoperationid" aggregate="count" alias="jobs"/>
      <order alias="jobs" descending="true"/></entity></fetch>`,
    includeAnnotations: "*",
  });
  assert.ok(answer.value[0].jobs >= answer.value[1].jobs);
  assert.ok(answer.value[0].state_Formatted);
});

check("create, update, upsert, retrieve, delete", async () => {
  const id = await api.create({ collection: "accounts", data: { name: "Ådventure & 'Works'" } });
  assert.match(id, /^[0-9a-f-]{36}$/i);
  await api.update({ collection: "accounts", key: id, data: { telephone1: "1" } });
  await api.updateSingleProperty({ collection: "accounts", key: id, fieldValuePair: { telephone1: "2" } });
  const row = await api.retrieve({ collection: "accounts", key: id, select: ["name", "telephone1"] });
  assert.deepEqual([row.name, row.telephone1], ["Ådventure & 'Works'", "2"]);
  const made = await api.create({ collection: "accounts", data: { name: "shown" }, returnRepresentation: true, select: ["name"] });
  assert.equal(made.name, "shown");
  await api.upsert({ collection: "accounts", key: made.accountid, data: { name: "again" } });
  const stale = await api.retrieve({ collection: "accounts", key: made.accountid, select: ["name"] });
  assert.equal(stale.name, "again");
  const changed = await api.update({
    collection: "accounts", key: made.accountid, data: { name: "x" }, ifmatch: 'W/"1"',
  });
  assert.equal(changed, false, "the row has another version");
  for (const key of [id, made.accountid]) await api.deleteRecord({ collection: "accounts", key });
  const missing = await api.update({ collection: "accounts", key: id, data: { name: "gone" } })
    .then(() => "made", (error) => error.status);
  assert.equal(missing, 404, "an update makes no row");
});

check("a job is cancelled by PATCH", async () => {
  const { value } = await api.retrieveMultiple({
    collection: jobs, select: ["statecode"], filter: "statecode eq 1 and operationtype eq 10", top: 1,
  });
  const key = value[0].asyncoperationid;
  await api.update({ collection: jobs, key, data: { statecode: 3, statuscode: 32 } });
  const row = await api.retrieve({ collection: jobs, key, select: ["statecode", "statuscode", "completedon"] });
  assert.deepEqual([row.statecode, row.statuscode], [3, 32]);
  assert.ok(row.completedon);
  await assert.rejects(
    api.update({ collection: jobs, key, data: { name: "x" } }),
    (error) => error.status === 400 && error.message.includes("name"),
  );
});

check("batch: reads", async () => {
  api.startBatch();
  api.retrieveMultiple({ collection: jobs, select: ["name"], orderBy: ["createdon desc"], top: 2 });
  api.count({ collection: jobs });
  api.fetch({ collection: jobs, fetchXml: fetchXml("") });
  const [rows, count, fetched] = await api.executeBatch();
  assert.equal(rows.value.length, 2);
  assert.ok(Number(count) > 1000);
  assert.equal(fetched.value.length, 40);
});

check("batch: a change set with references is done whole", async () => {
  api.startBatch();
  api.create({ collection: "contacts", data: { firstname: "Ada", lastname: "Lovelace" }, contentId: "1" });
  api.create({
    collection: "accounts",
    data: { name: "batched", "primarycontactid@odata.bind": "$1" },
    contentId: "2",
  });
  const [contact, account] = await api.executeBatch();
  const row = await api.retrieve({
    collection: "accounts", key: account, select: ["name"],
    expand: [{ property: "primarycontactid", select: ["fullname"] }],
  });
  assert.equal(row.primarycontactid.contactid, contact);
});

check("batch: a failing change set changes nothing", async () => {
  api.startBatch();
  api.create({ collection: "accounts", data: { name: "never there" } });
  api.create({ collection: "accounts", data: { nam: "wrong" } });
  const [error] = await api.executeBatch();
  assert.equal(error.status, 400);
  assert.match(error.error.message, /nam/);
  assert.equal(await api.count({ collection: "accounts", filter: "name eq 'never there'" }), 0);
});

check("associate and disassociate", async () => {
  const account = await api.create({ collection: "accounts", data: { name: "parent" } });
  const child = await api.create({ collection: "accounts", data: { name: "child" } });
  const relationship = "account_parent_account";
  await api.associate({
    collection: "accounts", primaryKey: account, relationshipName: relationship,
    relatedCollection: "accounts", relatedKey: child,
  });
  const lookup = async () =>
    (await api.retrieve({ collection: "accounts", key: child, select: ["_parentaccountid_value"] }))
      ._parentaccountid_value;
  assert.equal(await lookup(), account);
  await api.disassociate({
    collection: "accounts", primaryKey: account, relationshipName: relationship, relatedKey: child,
  });
  assert.equal(await lookup(), null);
});

check("functions", async () => {
  const me = await api.callFunction("WhoAmI");
  assert.match(me.UserId, /^[0-9a-f-]{36}$/);
  const total = await api.callFunction({
    name: "RetrieveTotalRecordCount", parameters: { EntityNames: ["asyncoperation"] },
  });
  assert.deepEqual(total.EntityRecordCountCollection.Keys, ["asyncoperation"]);
});

check("BulkDelete deletes what the query finds", async () => {
  const names = ["bulk one", "bulk two"];
  for (const name of names) await api.create({ collection: "contacts", data: { lastname: name } });
  const answer = await api.callAction({
    actionName: "BulkDelete",
    action: {
      QuerySet: [{
        "@odata.type": "Microsoft.Dynamics.CRM.QueryExpression",
        EntityName: "contact",
        ColumnSet: { AllColumns: true, Columns: [] },
        Criteria: {
          FilterOperator: "And",
          Conditions: [{
            AttributeName: "lastname",
            Operator: "In",
            Values: names.map((Value) => ({ Value, Type: "System.String" })),
          }],
        },
      }],
      JobName: "check",
      SendEmailNotification: false,
      ToRecipients: [],
      CCRecipients: [],
      RecurrencePattern: "",
      StartDateTime: new Date(Date.now() - 1000).toISOString(),
    },
  });
  const key = answer.JobId;
  const until = Date.now() + 60_000;
  for (;;) {
    assert.ok(Date.now() < until, "the bulk delete does not end");
    const job = await api.retrieve({ collection: jobs, key, select: ["statecode", "statuscode", "operationtype"] });
    assert.equal(job.operationtype, 13);
    if (job.statecode === 3) {
      assert.equal(job.statuscode, 30);
      break;
    }
  }
  assert.equal(await api.count({ collection: "contacts", filter: "startswith(lastname,'bulk ')" }), 0);
});

check("metadata", async () => {
  const named = new DynamicsWebApi({
    serverUrl: `${server}/`, dataApi: { version: "9.2" }, useEntityNames: true,
    onTokenRefresh: async () => "any token",
  });
  const one = await named.retrieveMultiple({ collection: "asyncoperation", select: ["name"], top: 1 });
  assert.equal(one.value.length, 1);
  const entity = await api.retrieveEntity({
    key: "LogicalName='asyncoperation'", select: ["LogicalName", "EntitySetName", "PrimaryIdAttribute"],
  });
  assert.equal(entity.EntitySetName, jobs);
  const states = await api.retrieveAttributes({
    entityKey: "LogicalName='asyncoperation'",
    castType: "Microsoft.Dynamics.CRM.StateAttributeMetadata",
    expand: [{ property: "OptionSet" }],
  });
  const options = states.value[0].OptionSet.Options;
  assert.deepEqual(
    options.map((option) => option.Label.UserLocalizedLabel.Label),
    ["Ready", "Suspended", "Locked", "Completed"],
  );
  assert.ok((await api.retrieveRelationships()).value.length > 0);
  await api.retrieveGlobalOptionSets();
  assert.match(await api.retrieveCsdlMetadata(), /EntityType Name="asyncoperation"/);
});

check("a long query is sent as a batch", async () => {
  const filter = Array.from({ length: 200 }, (_, n) => `operationtype ne ${1000 + n}`).join(" and ");
  const answer = await api.retrieveMultiple({ collection: jobs, select: ["name"], filter, top: 1 });
  assert.equal(answer.value.length, 1);
});

check("errors carry code and message", async () => {
  await assert.rejects(
    api.retrieveMultiple({ collection: jobs, select: ["nam"] }),
    (error) => error.status === 400 && error.code === "0x80060888" && /nam/.test(error.message),
  );
});

let failed = 0;
for (const [name, run] of checks) {
  try {
    await run();
    console.log(`ok ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED ${name}: ${error.stack ?? error}`);
  }
}
console.log(`${checks.length - failed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
