import { freeSpaceOf } from "../system/free-space.ts";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { pssOf } from "../system/proc.ts";
import { askGate, type Gate } from "./ask-gate.ts";

/** One process of an Operator. */
type MeasuredProcess = { readonly kind: "front" | "gate" | "script"; readonly pid: number };

export interface Measured {
  readonly gate: Gate;
  readonly stateDir: string;
  /** Number of machine scripts, running or not. */
  scripts(): number;
  processes(): readonly MeasuredProcess[];
  /** When the current certificate expires, in milliseconds since 1970; `null` without a certificate. */
  certificateEndsMs(): number | null;
}

/** The HTTP server for monitoring programs. Its figures are not secret, but not meant for the public either, so it listens on loopback only. */
export type Monitor = AsyncDisposable & { readonly port: number };

/**
 * Serves `/healthz` (200 while the gate answers, else 503) and `/metrics` (Prometheus text format 0.0.4) on a separate
 * loopback port. @throws Node's Error when it cannot listen there
 */
export async function startMonitor(port: number, measured: Measured): Promise<Monitor> {
  const server = createServer((request, response) => {
    const { host = "", origin } = request.headers;
    // A page in a browser on this computer could read the answer by a host name of its own that leads here (DNS rebinding).
    if (origin !== undefined || !LOOPBACK.test(host)) return void response.writeHead(403).end();
    if (request.method !== "GET" && request.method !== "HEAD") return void response.writeHead(405).end();
    const answer =
      request.url === "/healthz" ? health(measured) : request.url === "/metrics" ? metrics(measured) : null;
    if (answer === null) return void response.writeHead(404).end();
    answer.then(
      ({ status, text }) => response.writeHead(status, { "content-type": "text/plain; version=0.0.4" }).end(text),
      (reason: unknown) => response.writeHead(500).end(String(reason)),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: "127.0.0.1", port }, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The hosts by which programs on this computer, and an SSH tunnel to it, name it. */
const LOOPBACK = /^(?:localhost|127\.0\.0\.1|\[::1\])(?::\d+)?$/i;

type Answer = { readonly status: number; readonly text: string };

async function health({ gate }: Measured): Promise<Answer> {
  const isUp = await answers(gate);
  return isUp ? { status: 200, text: "ok\n" } : { status: 503, text: "the gate does not answer\n" };
}

/** Whether the gate answers with any status below 500. */
async function answers(gate: Gate): Promise<boolean> {
  return askGate(gate, "/api/claim").then(
    ({ status }) => status < 500,
    () => false,
  );
}

async function metrics(measured: Measured): Promise<Answer> {
  const processes = measured.processes();
  const { bytes: freeBytes } = await freeSpaceOf(measured.stateDir);
  const certificateMs = measured.certificateEndsMs();
  const families: readonly [
    name: string,
    help: string,
    samples: readonly (readonly [labels: string, value: number])[],
  ][] = [
    ["operator_up", "1 while the gate answers.", [["", (await answers(measured.gate)) ? 1 : 0]]],
    ["operator_start_time_seconds", "When this Operator was started.", [["", startedMs / 1000]]],
    ["operator_scripts", "Machine scripts, one for each machine.", [["", measured.scripts()]]],
    [
      "operator_scripts_running",
      "Machine scripts that have a process.",
      [["", processes.filter(({ kind }) => kind === "script").length]],
    ],
    [
      "operator_memory_bytes",
      "Memory of the processes of a kind, shared pages divided among those that share them (PSS).",
      memoryByKind(processes),
    ],
    ["operator_disk_free_bytes", "Free space on the disk of the state folder.", [["", freeBytes]]],
    [
      "operator_certificate_end_seconds",
      "When the certificate in use ends.",
      certificateMs === null ? [] : [["", certificateMs / 1000]],
    ],
  ];
  const text = families
    .filter(([, , samples]) => samples.length > 0)
    .map(([name, help, samples]) =>
      [
        `# HELP ${name} ${help}`,
        `# TYPE ${name} gauge`,
        ...samples.map(([labels, value]) => `${name}${labels} ${value}`),
      ].join("\n"),
    )
    .join("\n");
  return { status: 200, text: `${text}\n` };
}

const startedMs = Date.now();

/**
 * The PSS metric by kind of process. Empty where there is no /proc, as on macOS. Scripts are not told apart: every user of this computer
 * may ask this port, and the names of machines are their owners' alone.
 */
function memoryByKind(processes: readonly MeasuredProcess[]): [labels: string, value: number][] {
  return [...Map.groupBy(processes, ({ kind }) => kind)].flatMap(([kind, ofKind]) => {
    const known = ofKind.map(({ pid }) => pssOf(pid)).filter((bytes) => bytes !== null);
    return known.length === 0 ? [] : [[`{process="${kind}"}`, known.reduce((sum, bytes) => sum + bytes, 0)]];
  });
}
