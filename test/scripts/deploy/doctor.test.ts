import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { WebSocketServer } from "ws";
import { lookAtDeployment } from "../../../scripts/deploy/doctor.ts";
import { namesOfThisComputer } from "../../end-to-end/support/localhost.ts";

const HOST = "operator.example.com";
const MACHINE = `doctor.${HOST}`;
const VERSION = "0a1b2c3d";
const trustedBefore = getCACertificates("default");
let certificate: { key: string; cert: string };
let server: Server;

beforeAll(() => {
  const folder = mkdtempSync(join(tmpdir(), "operator-doctor-"));
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const kind = ["-days", "30", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
  const names = ["-subj", `/CN=${HOST}`, "-addext", `subjectAltName=DNS:${HOST},DNS:*.${HOST}`];
  execFileSync("openssl", ["req", "-x509", "-keyout", key, "-out", cert, ...kind, ...names], { stdio: "ignore" });
  certificate = { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") };
  rmSync(folder, { recursive: true });
  setDefaultCACertificates([...trustedBefore, certificate.cert]);
});
afterAll(() => setDefaultCACertificates(trustedBefore));
afterEach(() => {
  namesOfThisComputer.clear();
  server.closeAllConnections();
  server.close();
});

type Edge = {
  /** The names that DNS knows. */
  names?: readonly string[];
  /** The hosts whose requests reach Operator; others get another Worker's page. */
  routes?: readonly string[];
  passesWebSockets?: boolean;
  version?: string;
};

/** An edge as a zone may be set up, with what Operator answers behind it. */
async function edge({
  names = [HOST, MACHINE],
  routes = names,
  passesWebSockets = true,
  version = VERSION,
}: Edge = {}) {
  for (const name of names) namesOfThisComputer.add(name);
  server = createServer(certificate, ({ url = "/", headers: { host = "" } }, response) => {
    const json = (status: number, body: object): void => {
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    };
    if (!routes.includes(host.split(":")[0] ?? "")) return void response.writeHead(522).end("another page");
    if (url === "/api/health") return json(200, { ok: true, version });
    if (url.startsWith("/.well-known/")) return json(200, { resource: `https://${host}/mcp` });
    return json(401, { error: {} });
  });
  if (passesWebSockets) {
    const sockets = new WebSocketServer({ server });
    sockets.on("connection", (socket) => {
      socket.send("operator");
      socket.close(1000);
    });
  }
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `https://${HOST}:${(server.address() as AddressInfo).port}`;
}

/** What the doctor says of it that is not well. */
async function problems(origin: string): Promise<string[]> {
  const findings = await lookAtDeployment(origin, VERSION);
  return findings.filter(({ level }) => level !== "ok").map(({ level, says }) => `${level}: ${says}`);
}

test("a deployment in order is: DNS, certificate, clients' answers, WebSocket, the machines' hosts and the version", async () => {
  const origin = await edge();
  const findings = await lookAtDeployment(origin, VERSION);
  expect(findings.filter(({ level }) => level !== "ok")).toEqual([]);
  const said = findings.map(({ says }) => says).join("\n");
  for (const what of [
    `${HOST} is 127.0.0.1`,
    `${MACHINE} is 127.0.0.1`,
    "WebSockets come through",
    `the route *.${HOST}/*`,
    VERSION,
  ])
    expect(said).toContain(what);
});

test.each<[string, Edge, RegExp]>([
  ["drops WebSockets", { passesWebSockets: false }, /^problem: WebSockets do not come through .*200/],
  ["has no DNS record for machines", { names: [HOST] }, /^problem: doctor\.operator\.example\.com has no address$/],
  [
    "sends machines' hosts elsewhere",
    { routes: [HOST] },
    /^problem: doctor\.\S+ answered 522, .*route \*\.operator\.example\.com/,
  ],
  [
    "has another version",
    { version: "ffffffff" },
    /^warning: the deployed machine template is ffffffff, and this folder has 0a1b2c3d$/,
  ],
])("a deployment that %s is reported with just that", async (_, how, what) => {
  expect(await problems(await edge(how))).toEqual([expect.stringMatching(what)]);
});
