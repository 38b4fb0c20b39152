// Purging by ID and by filter, with the children.
import { OrchestrationStatus, PurgeInstanceCriteria } from "@microsoft/durabletask-js";

import { client, ended, report, startWorker, statusOf } from "./scheduler.mjs";

async function child() {}

async function* parent(context) {
  yield context.callSubOrchestrator(child, null, { instanceId: `${context.instanceId}-child` });
}

async function runFamily() {
  const id = await client.scheduleNewOrchestration(parent);
  await ended(id);
  return id;
}

// Return how many instances a purge has counted, and the statuses of parent and child after it.
const outcome = async ({ deletedInstanceCount }, id) => [
  deletedInstanceCount,
  await statusOf(id),
  await statusOf(`${id}-child`),
];

await startWorker({ orchestrators: [parent, child] });

const alone = await runFamily();
const purgedAlone = await client.purgeOrchestration(alone, { recursive: false });

const together = await runFamily();
const purgedTogether = await client.purgeOrchestration(together, { recursive: true });

const criteria = new PurgeInstanceCriteria();
criteria.setCreatedTimeFrom(new Date());
criteria.setRuntimeStatusList([OrchestrationStatus.COMPLETED]);
const filtered = await runFamily();
const purgedFiltered = await client.purgeOrchestration(criteria, { recursive: true });

report({
  alone: await outcome(purgedAlone, alone),
  together: await outcome(purgedTogether, together),
  filtered: await outcome(purgedFiltered, filtered),
});
