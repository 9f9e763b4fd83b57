import { execFile, execFileSync } from "node:child_process";
import { createHash, createHmac, createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { localProofText } from "#protocol/operator-key.ts";
import { hubToken } from "../../../scripts/codez/credentials.ts";
import { hubOf } from "../../../scripts/codez/find-operator.ts";
import { fetchBuild } from "../../../scripts/codez/install/fetch-build.ts";
import { presenceOf } from "../../../scripts/codez/link-status.ts";
import { OperatorClient } from "../../../scripts/codez/operator-client.ts";
import { whyNotDial } from "../../../scripts/codez/own-operator.ts";
import { Profile } from "../../../scripts/codez/profile/profile.ts";
import { ProfileFolder } from "../../../scripts/codez/profile/profile-folder.ts";
import { findServer } from "../../../scripts/codez/sign-in/authorization-server.ts";
import { localOwnerToken } from "../../../scripts/codez/sign-in/local-owner.ts";
import { postForm } from "../../../scripts/codez/sign-in/oauth-request.ts";
import { Connector, emptySpool, machineFacts } from "../../../scripts/connector/index.ts";
import { apiAt, OperatorApi } from "../../../scripts/operator/operator-api.ts";
import { knowsOwnerToken, whyNotTrust } from "../../../scripts/trust/operator-proof.ts";
import { operatorFile, readOperatorKey, writeKnown } from "../../../scripts/system/operators-folder.ts";
import { temporaryFolder } from "../../scripts/connector/support/temporary-folder.ts";
import { type Asked, listener, type Says } from "./support/listener.ts";

/**
 * While an Operator on this computer does not run, any user of the computer can listen on its port. One that runs as another user than a machine's
 * leaves no token that the machine's user could have it prove, so whatever listened there got link tokens, sign-ins and enrolment keys, and became
 * the machine's Operator.
 */

const newKey = (): KeyObject => generateKeyPairSync("ed25519").privateKey;
const publicOf = (key: KeyObject): string => createPublicKey(key).export({ format: "jwk" }).x ?? "";
const nonceOf = ({ url = "" }: IncomingMessage): string => new URL(url, "http://x").searchParams.get("nonce") ?? "";

/** What an Operator with this key says of itself at `origin` (control-api/src/sign-in/routes/local-proof.ts). */
function said(key: KeyObject, origin: string, nonce: string): { proof: string; key: string; signature: string } {
  const signature = sign(null, localProofText(origin, nonce), key).toString("base64url");
  return { proof: "A".repeat(43), key: publicOf(key), signature };
}

/** How an Operator proves a token that it left at this computer (control-api/src/sign-in/routes/local-proof.ts). */
function proofOf(token: string, origin: string, nonce: string): string {
  const key = createHash("sha256").update(token).digest("hex");
  return createHmac("sha256", key).update(`operator ${origin} ${nonce}`).digest("base64url");
}

/** Options of setpriv: root as well is then refused what a file's mode forbids. */
const REFUSED = ["--bounding-set=-dac_override,-dac_read_search"];

function canBeRefused(): boolean {
  try {
    execFileSync("setpriv", [...REFUSED, "true"], { stdio: "ignore" });
    return true;
  } catch {
    return false; // not root, or no setpriv
  }
}

const json = (response: ServerResponse, value: unknown): unknown =>
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));

const operator =
  (key: KeyObject): Says =>
  (request, response, origin) =>
    json(response, said(key, origin, nonceOf(request)));

/** The Operator that this user has met at the port, and somebody else's key. */
const [OWN, OTHER] = [newKey(), newKey()];

/** A point of order 4, for which a signature of zeros fits one text in four. */
const SMALL_ORDER = "A".repeat(43);

const TAKERS: Record<string, Says> = {
  "an Operator before there were keys": (_, response) => void response.writeHead(404).end("{}"),
  "one that answers as such an Operator does": (_, response) => json(response, { proof: "A".repeat(43) }),
  "an Operator of its own": operator(OTHER),
  "the known key, with a signature of another": (request, response, origin) =>
    json(response, { ...said(OTHER, origin, nonceOf(request)), key: publicOf(OWN) }),
  "what the Operator signs at another address": (request, response) =>
    json(response, said(OWN, "http://127.0.0.1:1", nonceOf(request))),
  "what the Operator signed before": (_, response, origin) => json(response, said(OWN, origin, "n".repeat(32))),
  "a key with which anybody can sign": (_, response) =>
    json(response, { proof: "", key: SMALL_ORDER, signature: "A".repeat(86) }),
  "a key that is none": (request, response, origin) =>
    json(response, { ...said(OTHER, origin, nonceOf(request)), key: `${publicOf(OWN)}\n` }),
  "a list of keys": (request, response, origin) =>
    json(response, { ...said(OTHER, origin, nonceOf(request)), key: [publicOf(OWN)] }),
  "another address": (_, response) => void response.writeHead(302, { location: elsewhere.origin }).end(),
  "without end": (_, response) => {
    response.writeHead(200, { "content-type": "application/json" });
    const flood = (): void => {
      while (!response.destroyed && response.write(" ".repeat(64 * 1024)));
    };
    response.on("drain", flood);
    flood();
  },
  nothing: () => undefined,
};

/** An answer to any address that would do, so that following a redirect shows. */
let elsewhere: Asked;
let home: string;

beforeEach(() => {
  const folder = temporaryFolder();
  home = folder.path;
  vi.stubEnv("CODEZ_HOME", home);
  vi.stubEnv("HOME", home);
  const limit = AbortSignal.timeout.bind(AbortSignal);
  const timeout = vi.spyOn(AbortSignal, "timeout").mockImplementation((ms) => limit(ms === 5_000 ? 200 : ms));
  onTestFinished(() => {
    timeout.mockRestore();
    vi.unstubAllEnvs();
    folder[Symbol.dispose]();
  });
});

const heard = (): ReturnType<typeof vi.spyOn> => {
  const spy = vi.spyOn(console, "error").mockReturnValue(undefined);
  onTestFinished(() => spy.mockRestore());
  return spy;
};

function profileAt(origin: string): Profile {
  return {
    hub: origin,
    name: "attic",
    slug: "attic",
    linkUrl: `${origin.replace("http", "ws")}/m/attic/link`,
    mcpUrl: `${origin}/m/attic/mcp`,
    token: "opl_secret",
    identity: "identity-of-attic",
    target: { kind: "url", url: "http://127.0.0.1:4097/mcp" },
    events: true,
  };
}

/** Why a connector that is told to dial there does not get online. */
async function dial(origin: string): Promise<string> {
  const why = Promise.withResolvers<string>();
  const connector = new Connector({
    credentials: () => Promise.resolve({ linkUrl: profileAt(origin).linkUrl, token: "opl_secret" }),
    renamed: () => Promise.resolve(),
    whyNotDial,
    facts: () => machineFacts("1"),
    target: { serve: () => undefined, close: () => Promise.resolve() },
    spool: emptySpool("one"),
    listener: { offline: why.resolve },
  });
  const ended = connector.run();
  const reason = await why.promise;
  connector.stop("enough");
  await ended;
  return reason;
}

const NOT_ITS = "this computer's Operator does not answer at";

describe("nothing is sent, no code is taken and no machine is linked, when the port of an Operator that was met before answers with", () => {
  it.each(Object.keys(TAKERS))("%s", async (name) => {
    elsewhere = await listener((request, response) => json(response, said(OWN, origin, nonceOf(request))));
    const { origin, paths } = await listener(TAKERS[name] ?? (() => undefined));
    writeKnown(origin, "key", publicOf(OWN));
    const client = new OperatorClient(origin, "opt_token");
    vi.stubEnv("OPERATOR_TOKEN", "given");
    const ways: Record<string, () => Promise<unknown>> = {
      request: () => client.ask("GET", "/api/machines"),
      stream: () => client.stream("/api/events", null),
      mcp: () => client.toolsAtMcp("attic"),
      status: () => presenceOf(profileAt(origin)),
      upgrade: () => fetchBuild(origin),
      "sign-in": () => findServer(origin),
      "which token": async () => Promise.reject(new Error(String(await hubToken(origin, "admin")))),
      refresh: () => postForm(`${origin}/token`, { refresh_token: "secret" }),
      "operator command": () => apiAt(origin),
      "its requests": () => new OperatorApi(origin, "given").ask("GET", "/api/servers"),
      dial: async () => Promise.reject(new Error(await dial(origin))),
    };
    // At once: what never answers would otherwise have its time from each.
    const ends = await Promise.allSettled(Object.values(ways).map((way) => way()));
    expect(Object.fromEntries(ends.map(({ status }, index) => [Object.keys(ways)[index], status]))).toEqual(
      Object.fromEntries(Object.keys(ways).map((way) => [way, "rejected"])),
    );
    expect(await whyNotTrust(origin)).toContain(NOT_ITS);
    expect(new Set(paths)).toEqual(new Set(["/api/local"]));
    expect(elsewhere.paths).toEqual([]);
    expect(readOperatorKey(origin)).toBe(publicOf(OWN));
  });
});

describe("an Operator that left its token at this computer", () => {
  const TOKEN = "opr_owner";

  it("is believed when it proves that token, with an answer that fits no other question", async () => {
    const nonces: string[] = [];
    const { origin } = await listener((request, response, own) => {
      nonces.push(nonceOf(request));
      json(response, { proof: proofOf(TOKEN, own, nonceOf(request)) });
    });
    writeKnown(origin, "token", TOKEN);
    expect([await whyNotTrust(origin), await whyNotTrust(origin)]).toEqual([null, null]);
    expect(new Set(nonces).size).toBe(2);
  });

  it.each<[string, (origin: string, nonce: string) => string]>([
    ["nothing", () => ""],
    ["the beginning of the proof", (origin, nonce) => proofOf(TOKEN, origin, nonce).slice(0, 20)],
    ["a proof of another token", (origin, nonce) => proofOf("opr_other", origin, nonce)],
    ["a proof for another address", (_, nonce) => proofOf(TOKEN, "http://127.0.0.1:1", nonce)],
    ["a proof from before", (origin) => proofOf(TOKEN, origin, "n".repeat(32))],
  ])("is not what answers with %s", async (_, proof) => {
    const { origin } = await listener((request, response, own) =>
      json(response, { proof: proof(own, nonceOf(request)) }),
    );
    writeKnown(origin, "token", TOKEN);
    expect(await whyNotTrust(origin)).toContain(NOT_ITS);
  });
});

describe("an Operator of another user", () => {
  it("is believed the first time, which is said once, and has to be that one from then on", async () => {
    let key = OWN;
    const { origin, paths } = await listener((request, response, own) => operator(key)(request, response, own));
    const told = heard();
    const file = operatorFile(origin, "key") ?? "";
    expect(await dial(origin)).toContain("HTTP 200 instead of a WebSocket");
    expect(await dial(origin)).toContain("HTTP 200 instead of a WebSocket");
    expect(told.mock.calls).toEqual([[`${origin} is known by its key from now on, in ${file}`]]);
    expect(statSync(file).mode & 0o777).toBe(0o600);

    key = OTHER;
    paths.length = 0;
    expect(await dial(origin)).toBe(
      `${NOT_ITS} ${origin}, but another one. If you know that it was set up anew, remove ${file}`,
    );
    expect(paths).toEqual(["/api/local"]);
    rmSync(file);
    expect(await dial(origin)).toContain("HTTP 200 instead of a WebSocket");
    expect(readOperatorKey(origin)).toBe(publicOf(OTHER));
  });

  it("is not called another one when it was taken back to a release without a key", async () => {
    const { origin } = await listener(TAKERS["one that answers as such an Operator does"] ?? (() => undefined));
    const file = writeKnown(origin, "key", publicOf(OWN));
    const expected = `${NOT_ITS} ${origin}: what answers there proves nothing. It may be a release before 0.5, which had no key, or another program. The key that is expected is in ${file}`;
    expect(await whyNotTrust(origin)).toBe(expected);
    const token = writeKnown(origin, "token", "opr_owner_former");
    expect(await whyNotTrust(origin)).toContain(`another one. If you know that it was set up anew, remove ${token}`);
  });

  it.each<[string, Says]>([
    ["has no key", TAKERS["one that answers as such an Operator does"] ?? (() => undefined)],
    ["is no Operator", (_, response) => void response.writeHead(404).end()],
    ["shows a key that is not its own", TAKERS["the known key, with a signature of another"] ?? (() => undefined)],
  ])("is met as before when it %s, and nothing is kept of it", async (_, says) => {
    const { origin } = await listener(says);
    expect(await whyNotTrust(origin)).toBeNull();
    expect(existsSync(operatorFile(origin, "key") ?? "")).toBe(false);
  });

  it("is believed by its key where another one left a token once, and does not get that token", async () => {
    const { origin } = await listener(operator(OWN));
    const token = writeKnown(origin, "token", "opr_owner_former");
    const toldToRemove = `${NOT_ITS} ${origin}, but another one. If you know that it was set up anew, remove`;
    expect(await whyNotTrust(origin)).toBe(`${toldToRemove} ${token}`);
    const key = writeKnown(origin, "key", publicOf(OTHER));
    expect(await whyNotTrust(origin)).toBe(`${toldToRemove} ${token} and ${key}`);
    writeKnown(origin, "key", publicOf(OWN));
    expect(await whyNotTrust(origin)).toBeNull();
    expect(await knowsOwnerToken(origin, "opr_owner_former")).toBe(false);
    expect(await localOwnerToken(origin)).toBeNull();
    vi.stubEnv("OPERATOR_TOKEN", "");
    await expect(apiAt(origin)).rejects.toThrow("OPERATOR_TOKEN");
  });

  it("is not asked when others can write the file with its key", async () => {
    const { origin, paths } = await listener(operator(OTHER));
    const file = writeKnown(origin, "key", publicOf(OTHER));
    chmodSync(file, 0o666);
    expect(await whyNotTrust(origin)).toContain(`${file} can be read or written by others`);
    expect(paths).toEqual([]);
  });

  it.each<[string, (file: string) => void, string]>([
    ["was cut off", (file) => writeFileSync(file, publicOf(OWN).slice(0, 20), { mode: 0o600 }), NOT_ITS],
    ["is empty", (file) => writeFileSync(file, "", { mode: 0o600 }), NOT_ITS],
    ["is a folder", (file) => mkdirSync(file, { mode: 0o700 }), "is not a file"],
    ["is a link", (file) => symlinkSync("elsewhere", file), "is not a file"],
    ["is a pipe", (file) => execFileSync("mkfifo", ["-m", "600", file]), "is not a file"],
  ])("is not met anew when the file with its key %s", async (_, spoil, why) => {
    const { origin } = await listener(operator(OTHER));
    const file = writeKnown(origin, "key", publicOf(OWN));
    rmSync(file);
    spoil(file);
    expect(await whyNotTrust(origin)).toContain(why);
    expect(await dial(origin)).toContain(why);
  });

  it.skipIf(!canBeRefused())("is not met anew when this user may not read the file with its key", async () => {
    const { origin, paths } = await listener(operator(OTHER));
    chmodSync(writeKnown(origin, "key", publicOf(OWN)), 0);
    const proof = fileURLToPath(new URL("../../../scripts/trust/operator-proof.ts", import.meta.url));
    const code = `const { whyNotTrust } = await import(${JSON.stringify(proof)}); console.log(await whyNotTrust("${origin}"));`;
    const { stdout } = await promisify(execFile)("setpriv", [...REFUSED, process.execPath, "-e", code]);
    expect(stdout).toContain("EACCES");
    expect(paths).toEqual([]);
  });

  it("is looked for at 127.0.0.1, and not where localhost leads", () => {
    const folder = new ProfileFolder(home);
    expect(hubOf("http://localhost:8787", folder)).toBe("http://127.0.0.1:8787");
    expect(Profile.parse(profileAt("http://localhost:8787")).hub).toBe("http://127.0.0.1:8787");
    expect(hubOf("https://localhost:8787", folder)).toBe("https://localhost:8787");
    for (const other of ["http://localhost:8787", "http://[::1]:8787", "https://127.0.0.1:8787"])
      expect(operatorFile(other, "token"), other).toBeNull();
  });
});
