import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { eventually } from "./eventually.ts";
import { Ledger } from "./ledger.ts";
import { MachineProcess } from "./machine-process.ts";
import { OperatorProcess } from "./operator-process.ts";

const run = promisify(execFile);

/** Large enough for an Operator's state and all connectors' files, small enough to fill quickly. */
const DISK_MB = 256;

const ONLINE_LIMIT_MS = 30_000;
const PROBE_LIMIT_MS = 5_000;

export type WorldOptions = { readonly machines: number; readonly say: (line: string) => void };

/** One Operator and its machines, on a small separate disk if this process may mount one. */
export class World implements AsyncDisposable {
  readonly folder: string;
  readonly ledger = new Ledger();
  readonly operator: OperatorProcess;
  readonly machines: MachineProcess[] = [];
  /** Whether the folder is a separate file system, which can be filled without harm. */
  readonly hasOwnDisk: boolean;

  static async build({ machines, say }: WorldOptions): Promise<World> {
    const folder = await mkdtemp(join(tmpdir(), "operator-chaos-"));
    const world = new World(folder, await mount(folder), say);
    await world.operator.start();
    for (let number = 1; number <= machines; number += 1) {
      const name = `m${number}`;
      const home = join(folder, "machines");
      await mkdir(home, { recursive: true });
      const machine = new MachineProcess({ name, folder: home, operator: world.operator, ledger: world.ledger, say });
      world.machines.push(machine);
      await machine.setUp();
      machine.connect();
    }
    for (const { name } of world.machines)
      if ((await world.timeUntilServed(name)) === null) throw new Error(`${name} did not come online before any fault`);
    return world;
  }

  private constructor(folder: string, hasOwnDisk: boolean, say: (line: string) => void) {
    this.folder = folder;
    this.hasOwnDisk = hasOwnDisk;
    this.operator = new OperatorProcess({ folder, say });
  }

  /** Seconds until a machine is listed as online and answers a call; `null` if that takes too long. */
  timeUntilServed(name: string, limitMs = ONLINE_LIMIT_MS): Promise<number | null> {
    return eventually(limitMs, async () => (await this.isListedOnline(name)) && (await this.#answers(name)));
  }

  async isListedOnline(name: string): Promise<boolean> {
    const response = await fetch(`${this.operator.url}/api/machines`, {
      headers: this.operator.headers,
      signal: AbortSignal.timeout(PROBE_LIMIT_MS),
    });
    const { machines } = (await response.json()) as { machines: { name: string; status: string }[] };
    return machines.some((machine) => machine.name === name && machine.status === "online");
  }

  async #answers(name: string): Promise<boolean> {
    const response = await fetch(`${this.operator.url}/m/${name}/mcp`, {
      method: "POST",
      headers: this.operator.mcpHeaders,
      body: JSON.stringify({ jsonrpc: "2.0", id: "probe", method: "ping" }),
      signal: AbortSignal.timeout(PROBE_LIMIT_MS),
    });
    return response.ok && "result" in ((await response.json()) as object);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const machine of this.machines) machine.stop();
    await this.operator.stop();
    if (this.hasOwnDisk) await run("umount", [this.folder]);
    await rm(this.folder, { recursive: true, force: true });
  }
}

async function mount(folder: string): Promise<boolean> {
  try {
    await run("mount", ["-t", "tmpfs", "-o", `size=${DISK_MB}m`, "tmpfs", folder]);
    return true;
  } catch {
    return false; // not root, or not Linux: the fault that fills the disk is left out
  }
}
