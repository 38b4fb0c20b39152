// Queries and lists of IDs, in pages.
import { OrchestrationStatus } from "@microsoft/durabletask-js";

import { client, report, run, startWorker, unique } from "./scheduler.mjs";

const prefix = unique("queried");
const quickOnes = [1, 2, 3, 4, 5].map((number) => `${prefix}-${number}`);
const slowOne = `${prefix}-slow`;

async function quick() {}

async function* slow(context) {
  yield context.waitForExternalEvent("never");
}

// Return the IDs that a query finds among those of this program, without what they share.
async function found(query) {
  const ids = [];
  const all = client.getAllInstances({ instanceIdPrefix: prefix, ...query });
  for await (const { instanceId } of all) ids.push(instanceId);
  return shortened(ids);
}

const shortened = (ids) => ids.map((id) => id.slice(prefix.length + 1)).sort();

await startWorker({ orchestrators: [quick, slow] });
const start = new Date();
for (const instanceId of quickOnes) await run(quick, null, { instanceId });
await client.scheduleNewOrchestration(slow, null, { instanceId: slowOne });
await client.waitForOrchestrationStart(slowOne);

const pages = [];
for await (const { values } of client.getAllInstances({ instanceIdPrefix: prefix, pageSize: 4 }).asPages()) {
  pages.push(values.length);
}

const lists = [];
let lastInstanceKey;
do {
  const list = await client.listInstanceIds({
    runtimeStatus: [OrchestrationStatus.COMPLETED],
    completedTimeFrom: start,
    pageSize: 2,
    lastInstanceKey,
  });
  lists.push(list.values);
  lastInstanceKey = list.continuationToken;
} while (lastInstanceKey);

report({
  running: await found({ statuses: [OrchestrationStatus.RUNNING] }),
  completed: await found({ statuses: [OrchestrationStatus.COMPLETED] }),
  later: await found({ createdFrom: new Date(Date.now() + 60_000) }),
  pages,
  listed: shortened(lists.flat()),
  longestList: Math.max(...lists.map(({ length }) => length)),
});
