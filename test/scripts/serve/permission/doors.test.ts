import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ConfigFile } from "../../../../scripts/serve/config-file.ts";
import { EventLog } from "../../../../scripts/serve/event-log.ts";
import { asksRoute } from "../../../../scripts/serve/permission/ask-route.ts";
import { PermissionBook } from "../../../../scripts/serve/permission/book.ts";
import { permissionsRoute } from "../../../../scripts/serve/permission/local-route.ts";
import { Policy } from "../../../../scripts/serve/policy.ts";
import { permissionTools } from "../../../../scripts/serve/tools/permission-tools.ts";

const SESSION = "00000000-0000-4000-8000-000000000000";
const OTHER_SESSION = "00000000-0000-4000-8000-000000000001";
const DAY_MS = 86_400_000;

let folder: string;
let book: PermissionBook;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "codez-doors-"));
  for (const name of ["mine", "other"]) mkdirSync(join(folder, name));
  book = new PermissionBook(join(folder, "permissions.json"), new EventLog(), () => DAY_MS);
});
afterEach(async () => {
  await book.stop();
  rmSync(folder, { recursive: true });
});

/** The parts of a machine that the doors use, with this serve.json. */
function machine(settings: Record<string, unknown>) {
  const path = join(folder, "serve.json");
  writeFileSync(path, JSON.stringify(settings));
  const config = new ConfigFile(path);
  const policy = new Policy(
    () => config.current,
    async () => [],
  );
  return { config, policy, permissions: book };
}

function ask(id: string, name = "mine"): void {
  const asker = { session: SESSION, cwd: join(folder, name), respond: () => undefined };
  book.ask(asker, { id, tool: "Bash", toolUse: "t", input: { command: "ls" }, why: null });
}

describe("respond_permission, by which a client answers", () => {
  const caller = { client: "c", signal: new AbortController().signal, progress: async () => undefined };

  /** What the tool answers, or the code of its refusal. */
  async function respond(settings: Record<string, unknown>, id: string, session = SESSION): Promise<unknown> {
    const [tool] = permissionTools(machine(settings));
    return tool?.call({ session_id: session, request_id: id, behavior: "allow" }, caller).then(
      ({ already_settled: isLate }) => ({ isLate }),
      (reason: { error: { code: string } }) => reason.error.code,
    );
  }

  it("is refused unless the owner has enabled it for the folder of that request", async () => {
    ask("mine");
    ask("other", "other");
    const some = { respondPermission: [join(folder, "mine")] };
    expect(await respond({}, "mine")).toBe("approval_is_local");
    expect(await respond(some, "other")).toBe("approval_is_local");
    expect(await respond({ respondPermission: [] }, "mine")).toBe("approval_is_local");
    expect(await respond({ respondPermission: true, readOnly: true }, "mine")).toBe("approval_is_local");
    expect(book.pending()).toHaveLength(2);
    expect(await respond(some, "mine")).toEqual({ isLate: false });
    expect(book.get("mine").settled?.by).toBe("client");
  });

  it("does not know a request of another session", async () => {
    ask("mine");
    expect(await respond({ respondPermission: true }, "mine", OTHER_SESSION)).toBe("request_unknown");
    expect(book.pending()).toHaveLength(1);
  });
});

describe("the door of the connector, through which pages answer, and of codez permissions", () => {
  async function respond(settings: Record<string, unknown>, id: string, by?: string): Promise<readonly unknown[]> {
    const route = permissionsRoute(machine(settings), "token");
    const body = { request: id, behavior: "allow", by };
    const response = await route.handle(new Request("http://127.0.0.1/", { method: "POST" }), JSON.stringify(body));
    const answer = (await response.json()) as { code?: string };
    return [response.status, answer.code];
  }

  it("does not let a page decide where the owner has forbidden that, or a machine is read-only, and lets the owner", async () => {
    for (const settings of [{ answerOnPages: false }, { readOnly: true }]) {
      const id = JSON.stringify(settings);
      ask(id);
      expect(await respond(settings, id, "ada")).toEqual([403, "pages_not_allowed"]);
      expect(book.pending()).toHaveLength(1);
      expect(await respond(settings, id)).toEqual([200, undefined]);
      expect(book.get(id).settled).toMatchObject({ by: "machine", who: null });
      expect(await respond(settings, id, "ada")).toEqual([200, undefined]); // it changes nothing any more
    }
  });

  it("notes who decided on a page", async () => {
    ask("r");
    expect(await respond({}, "r", "ada")).toEqual([200, undefined]);
    expect(book.get("r").settled).toMatchObject({ by: "operator", who: "ada" });
  });
});

describe("the door of sessions in terminals", () => {
  const good = { session: SESSION, cwd: "/", tool: "Bash", toolUse: "t", input: { command: "ls" } };

  it("takes only so many requests at once, and another one when one of them is answered", async () => {
    const route = asksRoute(book, "token");
    const send = async (): Promise<Response> =>
      route.handle(new Request("http://127.0.0.1/", { method: "POST" }), JSON.stringify(good));
    const waiting = await Promise.all(Array.from({ length: 50 }, send));
    expect(waiting.map(({ status }) => status)).toEqual(Array.from({ length: 50 }, () => 200));
    expect((await send()).status).toBe(429);
    const [first] = book.pending();
    book.respond(first?.id ?? "", { behavior: "allow" }, "machine");
    expect(await waiting[0]?.json()).toEqual({ behavior: "allow", reason: null, answers: null });
    expect((await send()).status).toBe(200);
  });

  it.each([
    ["a session that is no id", { session: "../../x" }],
    ["a name of a tool that is longer than a page can show", { tool: "x".repeat(48 * 1024 + 1) }],
    [
      "input that is nested too deep",
      { input: { deep: JSON.parse(`${"[".repeat(1_000)}${"]".repeat(1_000)}`) as unknown } },
    ],
  ])("refuses %s", async (_, wrong) => {
    const body = JSON.stringify({ ...good, ...wrong });
    const response = await asksRoute(book, "token").handle(new Request("http://127.0.0.1/", { method: "POST" }), body);
    expect(response.status).toBe(400);
    expect(book.pending()).toEqual([]);
  });
});
