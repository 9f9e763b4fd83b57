import { HttpTarget, Connector, emptySpool, machineFacts } from "../../connector/index.ts";
import type { FleetOrder, FleetWord } from "./fleet.ts";

/**
 * A process with the connectors of several machines. They are the connectors that `codez connect` runs; only the process, the
 * lock and the event spool of each machine are left out, so that hundreds of them fit on one computer.
 */
process.on("message", ({ server, machines }: FleetOrder) => {
  for (const { name, linkUrl, token } of machines) {
    const connector = new Connector({
      target: new HttpTarget(new URL(server), name, "The test server ended."),
      spool: emptySpool(`fleet-${name}`),
      facts: () => machineFacts("fleet"),
      credentials: () => Promise.resolve({ linkUrl, token }),
      renamed: () => Promise.resolve(),
      listener: {
        online: () => say({ name, online: true, atMs: Date.now(), detail: "" }),
        offline: (reason) => say({ name, online: false, atMs: Date.now(), detail: reason }),
      },
    });
    void sayEnd(name, connector);
  }
});

async function sayEnd(name: string, connector: Connector): Promise<void> {
  const { reason } = await connector.run();
  say({ name, online: false, atMs: Date.now(), detail: `stopped permanently: ${reason}` });
}

process.on("disconnect", () => process.exit(0));

function say(word: FleetWord): void {
  process.send?.(word);
}
