// Critical sections: two orchestrations that read, wait and write do not come between one another.
import { EntityInstanceId, TaskEntity } from "@microsoft/durabletask-js";

import { client, ended, report, startWorker, unique, until } from "./scheduler.mjs";

class Counter extends TaskEntity {
  initializeState() {
    return 0;
  }
  get() {
    return this.state;
  }
  set(value) {
    this.state = value;
  }
}

const counter = new EntityInstanceId("Counter", unique("shared"));
const other = new EntityInstanceId("Counter", unique("other"));

async function* increment(context) {
  const lock = yield context.entities.lockEntities(counter, other);
  const value = yield context.entities.callEntity(counter, "get");
  yield context.waitForExternalEvent("go");
  yield context.entities.callEntity(counter, "set", value + 1);
  lock.release();
}

const holder = async () => (await client.getEntity(counter))?.lockedBy;

await startWorker({ orchestrators: [increment], entities: [Counter] });
const first = await client.scheduleNewOrchestration(increment);
const lockedBy = await until(holder, "the lock is taken");
const second = await client.scheduleNewOrchestration(increment);
for (const id of [second, first]) await client.raiseOrchestrationEvent(id, "go");
const statuses = [(await ended(first)).status, (await ended(second)).status];
await until(async () => !(await holder()), "the lock is released");
const { state } = await client.getEntity(counter);
report({ heldByFirst: lockedBy === first, statuses, state });
