// A worker that takes one version only; its activity is scheduled without any.
import { client, ended, report, startWorker, statusOf } from "./scheduler.mjs";

const greet = (_, name) => `Hello, ${name}!`;

async function* greeting(context, name) {
  return yield context.callActivity("greet", name);
}

const versions = ["3.0.0"];
const workItemFilters = {
  orchestrations: [{ name: "greeting", versions }],
  activities: [{ name: "greet", versions }],
};
await startWorker({ orchestrators: [greeting], activities: [greet] }, { workItemFilters });
const old = await client.scheduleNewOrchestration(greeting, "old", { version: "2.0.0" });
const current = await client.scheduleNewOrchestration(greeting, "current", { version: "3.0.0" });
report({ current: await ended(current), old: await statusOf(old) });
