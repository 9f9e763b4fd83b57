import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WebSocket } from "ws";
import { listeningPorts } from "./processes.ts";

/** Sampling interval in microseconds: short compared to a call, long compared to taking a sample. */
const INTERVAL_US = 200;

/** Functions shown of each process; the files have all of them. */
const SHOWN = 25;

/** A port that belongs to no inspector may never answer, so the request to it needs a time limit. */
const ANSWER_TIMEOUT_MS = 2_000;

/** What is read of a V8 CPU profile (Chrome DevTools Protocol, `Profiler.Profile`). */
type Profile = {
  nodes: { id: number; callFrame: { functionName: string; url: string; lineNumber: number } }[];
  samples: number[];
  timeDeltas: number[];
};

/** Where the CPU goes: V8 profiles of workerd's isolates and of Node processes, taken over their inspectors. */
export type Profiler = {
  /** Makes Operator start each workerd with an inspector. */
  readonly environment: Record<string, string>;
  readonly nodeArguments: readonly string[];
  /** Profiles `processes` while `work` runs; writes one `.cpuprofile` per isolate and prints where its time went. */
  during(name: string, processes: Record<string, readonly number[]>, work: () => Promise<unknown>): Promise<void>;
};

export function openProfiler(folder: string): Profiler {
  mkdirSync(folder, { recursive: true });
  const wrapper = join(mkdtempSync(join(tmpdir(), "bench-workerd-")), "workerd");
  const workerd = createRequire(import.meta.url)("workerd") as { default: string };
  writeFileSync(
    wrapper,
    `#!/bin/sh\ncommand=$1\nshift\nexec ${JSON.stringify(workerd.default)} "$command" --inspector-addr=127.0.0.1:0 "$@"\n`,
  );
  chmodSync(wrapper, 0o700);
  return {
    environment: { OPERATOR_WORKERD: wrapper },
    nodeArguments: ["--inspect=127.0.0.1:0"],
    async during(name, processes, work) {
      const sessions = await sessionsOf(processes);
      for (const { ask } of sessions) {
        await ask("Profiler.enable");
        await ask("Profiler.setSamplingInterval", { interval: INTERVAL_US });
        await ask("Profiler.start");
      }
      await work();
      for (const { title, ask, close } of sessions) {
        const { profile } = (await ask("Profiler.stop")) as { profile: Profile };
        close();
        const file = join(folder, `${name} ${title}.cpuprofile`.replaceAll(/[^\w.-]+/g, "-"));
        writeFileSync(file, JSON.stringify(profile));
        console.log(`\n${name}: ${title} (${file})`);
        for (const [where, ms] of busiest(profile)) console.log(`${ms.toFixed(0).padStart(8)} ms  ${where}`);
      }
    },
  };
}

type Session = { title: string; ask: (method: string, params?: object) => Promise<unknown>; close: () => void };

async function sessionsOf(processes: Record<string, readonly number[]>): Promise<Session[]> {
  const sessions: Session[] = [];
  for (const [name, pids] of Object.entries(processes))
    for (const port of pids.flatMap(listeningPorts))
      for (const target of await targetsAt(port)) {
        // An isolate's id is the Worker's name; Node's is a UUID, which says nothing.
        const title = target.id.includes("-") ? name : `${name} ${target.id}`;
        sessions.push({ title, ...(await open(target.webSocketDebuggerUrl)) });
      }
  return sessions;
}

async function targetsAt(port: number): Promise<{ id: string; webSocketDebuggerUrl: string }[]> {
  try {
    const signal = AbortSignal.timeout(ANSWER_TIMEOUT_MS);
    const targets: unknown = await (await fetch(`http://127.0.0.1:${port}/json/list`, { signal })).json();
    return Array.isArray(targets) ? targets : [];
  } catch {
    return []; // this port is no inspector's
  }
}

async function open(url: string): Promise<Omit<Session, "title">> {
  const socket = new WebSocket(url);
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  const waiting = new Map<number, { resolve: (result: unknown) => void; reject: (reason: Error) => void }>();
  let next = 1;
  socket.on("message", (data) => {
    const { id, result, error } = JSON.parse(String(data)) as {
      id?: number;
      result?: unknown;
      error?: { message: string };
    };
    const asked = waiting.get(id ?? 0);
    if (error === undefined) asked?.resolve(result);
    else asked?.reject(new Error(error.message));
  });
  return {
    ask(method, params = {}) {
      const id = next++;
      socket.send(JSON.stringify({ id, method, params }));
      return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
    },
    close: () => socket.close(),
  };
}

/** Functions and the time spent in each itself, the most first. */
function busiest({ nodes, samples, timeDeltas }: Profile): [string, number][] {
  const names = new Map(
    nodes.map(({ id, callFrame: { functionName, url, lineNumber } }) => [
      id,
      `${functionName || "(anonymous)"} ${url.split("/").at(-1)}${url === "" ? "" : `:${lineNumber + 1}`}`,
    ]),
  );
  const times = new Map<string, number>();
  for (const [index, sample] of samples.entries()) {
    const name = names.get(sample) ?? "?";
    times.set(name, (times.get(name) ?? 0) + (timeDeltas[index] ?? 0) / 1000);
  }
  return [...times].toSorted(([, one], [, other]) => other - one).slice(0, SHOWN);
}
