import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bodyOf } from "../scripts/connector/support/http-server.ts";
import { CancelServer } from "./support/cancel-server.ts";
import { client } from "./support/clients.ts";
import { until, within } from "./support/eventually.ts";
import { arrivalOf, headOf, open } from "./support/http.ts";
import { Machine } from "./support/machine.ts";
import { TestOperator } from "./support/operator.ts";
import { startPublicOperator } from "./support/public-operator.ts";
import { ScriptedServer } from "./support/scripted-server.ts";

/**
 * Past this a machine was not told that its client is gone, which usually takes some 20 ms. Nothing else would end its call so soon: a
 * connection is first found to be dead 15 s later.
 */
const CANCELLED_MS = 10_000;

const JSON_TYPE = { "content-type": "application/json", accept: "application/json, text/event-stream" };
const ERAS = ["2025-11-25", "2026-07-28"] as const;

let operator: TestOperator;
let server: ScriptedServer;
let attic: Machine;
/** What every client of the tests shows. */
let headers: Record<string, string> = {};

type Arrived = { readonly request: IncomingMessage; readonly gone: Promise<unknown> };

/** The next request at attic's server, which `answer` answers in part; and when its connection has ended. */
function arrival(answer: (response: ServerResponse) => void): Promise<Arrived> {
  return new Promise((resolve) =>
    server.answer(async (request, response) => {
      const gone = once(response, "close");
      if (request.method !== "GET") await bodyOf(request);
      answer(response);
      resolve({ request, gone });
    }),
  );
}

describe.each([
  ["a local Operator", () => TestOperator.start()],
  ["the front of a public Operator", startPublicOperator],
])("through %s,", (_, start) => {
  beforeAll(async () => {
    operator = await start();
    headers = { authorization: `Bearer ${await operator.token()}` };
    server = await ScriptedServer.start((__, response) => void response.end());
    operator.own(server);
    attic = await Machine.add(operator, "attic", server.url);
  });

  afterAll(() => operator[Symbol.asyncDispose]());

  describe.each(["POST", "GET"])("a %s at a machine's URL whose client disconnects", (method) => {
    test("ends at the machine's server before anything was answered", async () => {
      const arrived = arrival(() => undefined);
      const call = open(attic.url, { method, headers: JSON_TYPE });
      call.on("error", () => undefined);
      call.end(method === "POST" ? "{}" : undefined);
      const { gone } = await arrivalOf(arrived, call);
      call.destroy();
      await within(CANCELLED_MS, "the end of the call at the machine", gone);
    });

    test("ends at the machine's server in the middle of a quiet event stream", async () => {
      const arrived = arrival((response) => {
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.write(": hello\n\n");
      });
      const call = open(attic.url, { method, headers: JSON_TYPE });
      call.on("error", () => undefined);
      call.end(method === "POST" ? "{}" : undefined);
      const answer = await headOf(call);
      answer.on("error", () => undefined);
      await once(answer, "data");
      const { gone } = await arrived;
      call.destroy();
      await within(CANCELLED_MS, "the end of the stream at the machine", gone);
    });
  });

  describe.each(ERAS)("a call of %s that its client cancels", (era) => {
    let cancellable: CancelServer;
    let machine: Machine;

    beforeAll(async () => {
      cancellable = await CancelServer.start(era);
      operator.own(cancellable);
      machine = await Machine.add(operator, `cancel-${era.slice(0, 4)}`, cancellable.url);
    });

    test("stops at the machine when it was made at the machine's own URL", async () => {
      await using caller = await client(machine.url, era, headers);
      await cancelled(cancellable, (signal) => caller.callTool({ name: "hold", arguments: {} }, { signal }));
    });

    test("stops at the machine when it was made at /mcp", async () => {
      await using caller = await client(operator.mcpUrl, era, headers);
      const call = { name: "call_tool", arguments: { machineId: machine.name, name: "hold", arguments: {} } };
      await cancelled(cancellable, (signal) => caller.callTool(call, { signal }));
    });

    test("stops at the machine when its client at /mcp disconnects without cancelling", async () => {
      const caller = await client(operator.mcpUrl, era, headers);
      const call = { name: "call_tool", arguments: { machineId: machine.name, name: "hold", arguments: {} } };
      await cancelled(cancellable, (signal) => {
        signal.addEventListener("abort", () => void caller.close());
        return caller.callTool(call);
      });
    });
  });
});

/** Makes a call, cancels it once its tool is at work, and waits for the tool to hear of it. */
async function cancelled(at: CancelServer, call: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
  const before = at.cancelled;
  const cancel = new AbortController();
  const begun = at.begins();
  const failed = call(cancel.signal).then(
    () => false,
    () => true,
  );
  const early = failed.then(() => {
    throw new Error("the call ended before its tool was at work");
  });
  await Promise.race([begun, early]);
  cancel.abort();
  await within(
    CANCELLED_MS,
    "the end of the tool",
    until("the tool is cancelled", () => at.cancelled > before),
  );
  expect(await failed).toBe(true);
}
