// Sub-orchestrations with the IDs that the SDK makes up for them, before and after continue-as-new.
import { report, run, startWorker } from "./scheduler.mjs";

async function child(context, number) {
  const { parent } = context;
  return { id: context.instanceId, number, parent: parent.instanceId, task: parent.taskScheduledId };
}

async function* parent(context, children) {
  const round = children.length;
  children.push(yield context.callSubOrchestrator(child, round));
  if (children.length < 3) return context.continueAsNew(children);
  return { id: context.instanceId, children };
}

await startWorker({ orchestrators: [parent, child] });
report(await run(parent, []));
