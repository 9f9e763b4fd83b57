import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { eventually } from "../eventually.ts";
import type { OperatorProcess } from "../operator-process.ts";

const CONNECTORS = fileURLToPath(new URL("./connectors.ts", import.meta.url));

/** Machines whose connectors share one process. */
const MACHINES_PER_PROCESS = 50;

/** Registrations under way at once. Each uploads a script, which starts a process. */
const REGISTRATIONS = 4;

export type FleetMachine = { readonly name: string; readonly linkUrl: string; readonly token: string };
export type FleetOrder = { readonly server: string; readonly machines: readonly FleetMachine[] };

/** A message of a process of connectors about one machine. `atMs` is in milliseconds since 1970. */
export type FleetWord = {
  readonly name: string;
  readonly online: boolean;
  readonly atMs: number;
  readonly detail: string;
};

/** Many machines with a real link each. */
export class Fleet implements Disposable {
  readonly machines: readonly FleetMachine[];
  /** When each machine came online last, in milliseconds since 1970; machines that are offline are missing. */
  readonly onlineSinceMs = new Map<string, number>();
  /** The last reason for which each machine was offline. */
  readonly reasons = new Map<string, string>();
  readonly #children: ChildProcess[] = [];

  /** Registers the machines and starts their connectors. Resolves before they are online. */
  static async build(operator: OperatorProcess, server: string, count: number): Promise<Fleet> {
    const names = Array.from({ length: count }, (_, index) => `f${index + 1}`);
    const machines: FleetMachine[] = [];
    await Promise.all(
      Array.from({ length: REGISTRATIONS }, async () => {
        for (let name = names.shift(); name !== undefined; name = names.shift())
          machines.push(await register(operator, name));
      }),
    );
    return new Fleet(machines, server);
  }

  private constructor(machines: readonly FleetMachine[], server: string) {
    this.machines = machines;
    for (let from = 0; from < machines.length; from += MACHINES_PER_PROCESS) {
      const child = fork(CONNECTORS, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
      child.on("message", (word: FleetWord) => this.#hear(word));
      child.send({ server, machines: machines.slice(from, from + MACHINES_PER_PROCESS) } satisfies FleetOrder);
      this.#children.push(child);
    }
  }

  /** Resolves once all machines are online; `false` if that takes longer than the limit. */
  async allOnline(limitMs: number): Promise<boolean> {
    return (await eventually(limitMs, () => this.onlineSinceMs.size === this.machines.length)) !== null;
  }

  [Symbol.dispose](): void {
    for (const child of this.#children) child.kill();
  }

  #hear({ name, online, atMs, detail }: FleetWord): void {
    if (online) return void this.onlineSinceMs.set(name, atMs);
    this.onlineSinceMs.delete(name);
    this.reasons.set(name, detail);
  }
}

async function register(operator: OperatorProcess, name: string): Promise<FleetMachine> {
  const response = await fetch(`${operator.url}/api/machines`, {
    method: "POST",
    headers: { ...operator.headers, "content-type": "application/json" },
    body: JSON.stringify({ name, identity: `identity-of-${name}`.padEnd(16, "-") }),
    signal: AbortSignal.timeout(60_000),
  });
  const { linkUrl, token } = (await response.json()) as { linkUrl: string; token: string };
  if (!response.ok) throw new Error(`${name} could not be registered: HTTP ${response.status}`);
  return { name, linkUrl, token };
}
