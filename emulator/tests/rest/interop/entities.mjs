// Entities: signalled by a client, called by an orchestration, queried, and deleted.
import { EntityInstanceId, TaskEntity } from "@microsoft/durabletask-js";

import { client, report, run, startWorker, unique, until } from "./scheduler.mjs";

class Account extends TaskEntity {
  initializeState() {
    return 0;
  }
  deposit(amount) {
    return (this.state += amount);
  }
  withdraw(amount) {
    if (amount > this.state) throw new Error(`only ${this.state} left`);
    return (this.state -= amount);
  }
}

async function* shopping(context, key) {
  const account = new EntityInstanceId("Account", key);
  context.entities.signalEntity(account, "deposit", 50);
  const afterFirst = yield context.entities.callEntity(account, "withdraw", 120);
  let refusal = null;
  try {
    yield context.entities.callEntity(account, "withdraw", 120);
  } catch (error) {
    refusal = error.message;
  }
  return { afterFirst, refusal };
}

const key = unique("alice");
const account = new EntityInstanceId("Account", key);
const before = (await client.getEntity(account)) ?? null;
await client.signalEntity(account, "deposit", 100);
const signalled = (await client.getEntity(account)) ?? null;
await startWorker({ orchestrators: [shopping], entities: [Account] });
await until(() => client.getEntity(account), "the deposit is made");
const { output } = await run(shopping, key);

const queried = [];
for await (const { state } of client.getEntities({ instanceIdStartsWith: `@Account@${key}` })) {
  queried.push(state);
}

await client.signalEntity(account, "delete");
await until(async () => !(await client.getEntity(account)), "the deleted entity is gone");
const cleaned = await client.cleanEntityStorage();
report({ before, signalled, output, queried, cleaned: cleaned.emptyEntitiesRemoved });
