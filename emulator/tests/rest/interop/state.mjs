// What a client sees of an instance, in each of the ways to ask for it.
import { client, parsed, report, startWorker } from "./scheduler.mjs";

async function* worked(context, input) {
  context.setCustomStatus({ percent: 100 });
  return { version: context.version, input };
}

function seen(state) {
  return {
    name: state.name,
    tags: state.tags,
    customStatus: parsed(state.serializedCustomStatus),
    input: parsed(state.serializedInput),
    output: parsed(state.serializedOutput),
  };
}

await startWorker({ orchestrators: [worked] });
const options = { tags: { team: "one", "cost center": "7" }, version: "1.2.0" };
const id = await client.scheduleNewOrchestration(worked, "in", options);
const waited = seen(await client.waitForOrchestrationCompletion(id));
const got = seen(await client.getOrchestrationState(id));
const query = client.getAllInstances({ instanceIdPrefix: id, fetchInputsAndOutputs: true });
const queried = [];
for await (const state of query) queried.push(seen(state));
report({ waited, got, queried });
