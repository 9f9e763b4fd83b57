import { runInDurableObject } from "cloudflare:test";

/** Restarts an object, as the platform may at any moment: whatever it is doing ends. */
export async function restart(object: Pick<DurableObjectStub, "id">): Promise<void> {
  // It ends this call, too.
  await runInDurableObject(object as DurableObjectStub, (_, context) => context.abort("restarted")).catch(
    () => undefined,
  );
}
