// Continue-as-new: events that nobody has waited for are carried over.
import { client, ended, parsed, report, startWorker } from "./scheduler.mjs";

async function* summing(context, total) {
  total += yield context.waitForExternalEvent("add");
  if (total < 15) return context.continueAsNew(total, true);
  return total;
}

const id = await client.scheduleNewOrchestration(summing, 0);
for (const number of [1, 2, 3, 4, 5]) await client.raiseOrchestrationEvent(id, "add", number);
await startWorker({ orchestrators: [summing] });
const end = await ended(id);
const { serializedInput } = await client.getOrchestrationState(id);
const history = await client.getOrchestrationHistory(id);
report({ ...end, input: parsed(serializedInput), events: history.map(({ type }) => type) });
