import { Hono } from "hono";
import type * as z from "zod/mini";
import { machineUrls } from "#protocol/address.ts";
import { errorResponse, type OperatorError } from "#protocol/error.ts";
import { RegisterRequest, type Registration, RenameRequest, RotateRequest } from "#protocol/rest-api.ts";
import { parseJson } from "#protocol/json.ts";
import type { AppContext } from "../http/app-context.ts";
import { administering, reading } from "../http/needs.ts";
import type { AuditEntry } from "../audit/entry.ts";
import { note } from "../audit/note.ts";
import { notify } from "../audit/notice.ts";
import { type Caller, sees } from "../http/caller.ts";
import type { Env } from "../env.ts";
import { detailOf } from "../machines/machine-detail.ts";
import { summaryOf } from "../machines/machine-summary.ts";
import type { NamedMachines } from "../machines/machine-query.ts";
import type { MachineRecord } from "../machines/machine-record.ts";
import { type Registered, registryOf } from "../user/user-rpc.ts";
import { deleteServer } from "./servers.ts";

/** `/api/machines`: the registry, for `codez` and the dashboard. */
export const machines = new Hono<AppContext>();

/**
 * Machines in one answer. What a machine tells of itself takes up to 8 KB, so this is 8 MB at most, and 300 KB as a rule. Callers that know
 * no pages, such as `codez` before 0.4, thereby see all machines of nearly everybody.
 */
const PAGE_MACHINES = 1_000;

/** `?limit=` and `?cursor=`: a page, by name. `cursor` in the answer begins the next page, and is missing in the last. */
machines.get("/", reading, async (c) => {
  const { limit = String(PAGE_MACHINES), cursor = "" } = c.req.query();
  const count = /^\d{1,4}$/.test(limit) ? Number(limit) : 0;
  if (count < 1 || count > PAGE_MACHINES) return invalid(`limit must be a whole number from 1 to ${PAGE_MACHINES}.`);
  const asked = { visible: c.var.caller.computers, after: cursor, limit: count };
  const page: NamedMachines = await registryOf(c.env, c.var.caller.user).machinesByName(asked);
  const last = page.machines.at(-1)?.name;
  return c.json({
    machines: page.machines.map((record) => summaryOf(record, c.env)),
    ...(page.hasMore && last !== undefined ? { cursor: last } : {}),
  });
});

machines.post("/", administering, async (c) => {
  const request = await bodyOf(c.req.raw, RegisterRequest);
  if (request === null) return invalid("Send { name, identity }: see machine-template/protocol/rest-api.ts.");
  const registered: Registered | OperatorError = await registryOf(c.env, c.var.caller.user).register(
    request,
    c.var.caller.credential ?? null,
  );
  if ("code" in registered) return errorResponse(registered);
  log(c.var.caller, c.env, registered.created ? "machine_added" : "machine_changed", request.name);
  const by = c.var.caller.client;
  if (registered.created) notify(c.env, c.var.caller.user, { type: "notice.machine_added", what: request.name, by });
  else if (request.replace === true && registered.token !== null)
    notify(c.env, c.var.caller.user, { type: "notice.machine_replaced", what: request.name, by });
  return registrationOf(registered, c.env);
});

machines.get("/:name", reading, async (c) => {
  const name = c.req.param("name");
  const record: MachineRecord | null = await registryOf(c.env, c.var.caller.user).machine(name);
  if (record === null || !sees(c.var.caller, record)) return errorResponse({ code: "machine_unknown", machine: name });
  return c.json(await detailOf(record, c.env, c.var.caller.user));
});

machines.patch("/:name", administering, async (c) => {
  const request = await bodyOf(c.req.raw, RenameRequest);
  if (request === null) return invalid("Send { name }: the machine's new name.");
  const renamed: MachineRecord | OperatorError = await registryOf(c.env, c.var.caller.user).rename(
    c.req.param("name"),
    request.name,
    c.var.caller.credential ?? null,
  );
  if ("code" in renamed) return errorResponse(renamed);
  log(c.var.caller, c.env, "machine_changed", c.req.param("name"), `renamed to ${request.name}`);
  return c.json(summaryOf(renamed, c.env));
});

machines.delete("/:name", administering, async (c) => {
  const name = c.req.param("name");
  const registry = registryOf(c.env, c.var.caller.user);
  // A hosted server is deleted with its data, by whichever route (servers.ts). A machine can be added again.
  if ((await registry.server(name)) !== null) return deleteServer(c.var.caller, c.env, name);
  const error: OperatorError | null = await registry.remove(name, c.var.caller.credential ?? null);
  if (error !== null) return errorResponse(error);
  log(c.var.caller, c.env, "machine_removed", name);
  return c.body(null, 204);
});

machines.post("/:name/token", administering, async (c) => {
  // Connectors before 0.3 send no body.
  const text = await c.req.text();
  const request = RotateRequest.safeParse(text === "" ? {} : parseJson(text));
  if (!request.success) return invalid("Send { linkKey }: the machine's public key.");
  const registry = registryOf(c.env, c.var.caller.user);
  const rotated: Registered | OperatorError = await registry.rotate(
    c.req.param("name"),
    request.data.linkKey ?? null,
    c.var.caller.credential ?? null,
  );
  if ("code" in rotated) return errorResponse(rotated);
  log(c.var.caller, c.env, "machine_changed", c.req.param("name"), "token rotated");
  return registrationOf(rotated, c.env);
});

machines.post("/:name/restore", administering, async (c) => {
  const name = c.req.param("name");
  const restored: MachineRecord | OperatorError = await registryOf(c.env, c.var.caller.user).restore(
    name,
    c.var.caller.credential ?? null,
  );
  if ("code" in restored) return errorResponse(restored);
  log(c.var.caller, c.env, "machine_changed", name, "given back to the computer that had it before");
  return c.json(summaryOf(restored, c.env));
});

machines.post("/:name/upgrade", administering, async (c) => {
  const upgraded: boolean | OperatorError = await registryOf(c.env, c.var.caller.user).upgrade(
    c.req.param("name"),
    c.var.caller.credential ?? null,
  );
  return typeof upgraded === "boolean" ? c.json({ upgraded }) : errorResponse(upgraded);
});

function log(caller: Caller, env: Env, kind: AuditEntry["kind"], machine: string, subject: string | null = null): void {
  note(env, caller.user, { kind, client: caller.client, machine, subject });
}

function registrationOf({ machine, created, token }: Registered, env: Env): Response {
  const { name, slug } = machine;
  const registration: Registration = { name, slug, ...machineUrls(slug, env.ORIGIN, env.DOMAIN), token };
  return Response.json(registration, { status: created ? 201 : 200 });
}

function invalid(reason: string): Response {
  return errorResponse({ code: "invalid_request", reason });
}

async function bodyOf<Schema extends z.ZodMiniType>(request: Request, schema: Schema): Promise<z.infer<Schema> | null> {
  const parsed = schema.safeParse(await request.json().catch(() => null));
  return parsed.success ? parsed.data : null;
}
