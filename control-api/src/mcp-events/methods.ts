import { ProtocolError, type Server } from "@modelcontextprotocol/server";
import * as z from "zod/mini";
import { note } from "../audit/note.ts";
import type { Env } from "../env.ts";
import { cursorAbout, machineIn } from "../events/cursor.ts";
import { type Caller, sees } from "../http/caller.ts";
import type { RequestLease } from "../http/request-lease.ts";
import { type Identified, isMeant, whyUnknown } from "../http/shown-machine.ts";
import { type EventFeed, feedOf } from "./event-feed.ts";
import { descriptorOf, EVENT_TYPE_BY_NAME, EVENT_TYPES, type EventType } from "./event-type.ts";
import { type EventsError, EventsFailure, wireErrorOf } from "./events-error.ts";
import { readEvents, type Wanted } from "./read-events.ts";
import { stream } from "./stream.ts";
import type { SubscribeRequest, Subscribed, UnsubscribeRequest } from "./subscribe-request.ts";
import { canonicalArguments, filterOf, type SubscriptionFilter } from "./subscription-arguments.ts";

/**
 * How the extension is advertised. SEP-3415 has it among the extensions; ChatGPT and the AI SDK look for `events` beside `tools`.
 * The types change only with a deployment, so there is no `listChanged`.
 */
export const EVENTS_CAPABILITIES = { events: {}, extensions: { "io.modelcontextprotocol/events": {} } };

/** Events in one answer to `events/poll`. A model reads them; a client that wants more asks again. */
const DEFAULT_MAX_EVENTS = 50;
const MAX_EVENTS = 200;

/** When a client should poll again. A poll asks one object and no machine, so this is for the client's sake. Milliseconds. */
const NEXT_POLL_MS = 10_000;

/** `null` and nothing mean the same everywhere (SEP-3415, "Cursor Lifecycle"). */
const Cursor = z.optional(z.nullable(z.string()));
const MaxAge = z.optional(z.nullable(z.int().check(z.nonnegative())));

const Listed = z.looseObject({ cursor: Cursor });
const Polled = z.looseObject({
  name: z.string(),
  arguments: z.optional(z.nullable(z.unknown())),
  cursor: Cursor,
  maxAgeMs: MaxAge,
  maxEvents: z.optional(z.nullable(z.int().check(z.positive()))),
});
const Streamed = z.looseObject({
  name: z.string(),
  arguments: z.optional(z.nullable(z.unknown())),
  cursor: Cursor,
  maxAgeMs: MaxAge,
});

const Delivery = z.looseObject({ mode: z.optional(z.string()), url: z.string(), secret: z.optional(z.string()) });
const Subscribing = z.looseObject({
  name: z.string(),
  arguments: z.optional(z.nullable(z.unknown())),
  delivery: Delivery,
  cursor: Cursor,
  maxAgeMs: MaxAge,
  ttlMs: z.optional(z.nullable(z.int().check(z.positive()))),
});
const Unsubscribing = z.looseObject({
  name: z.string(),
  arguments: z.optional(z.nullable(z.unknown())),
  delivery: z.looseObject({ url: z.string() }),
});

/** Who asks, and what ends the request with the caller's authorisation. */
type Subscriber = { readonly caller: Caller; readonly lease: RequestLease };

/** Why a stream ends whose caller was let in when it began. */
const REVOKED = { code: "forbidden", reason: "Access was revoked." } as const satisfies EventsError;

/** Makes a server answer the requests of the events extension for one caller. */
export function serveEvents(server: Server, env: Env, { caller, lease }: Subscriber): void {
  const feed = (signal: AbortSignal, { filter }: Wanted): EventFeed =>
    feedOf(env, caller.user, caller.computers, signal, filter.machine);

  server.setRequestHandler("events/list", { params: z.optional(Listed) }, async (params) => {
    // The catalogue is one page, so there is no cursor that could be ours.
    if (params?.cursor) throw wired(new EventsFailure({ code: "invalid_params", reason: "There is no further page." }));
    return { events: EVENT_TYPES.map(descriptorOf) };
  });

  server.setRequestHandler("events/poll", { params: Polled }, (params, { mcpReq }) =>
    answered(async () => {
      const wanted = await wantedIn(env, caller, params);
      const source = feed(AbortSignal.any([mcpReq.signal, lease.signal]), wanted);
      const nothing = { events: [], truncated: false, hasMore: false, nextPollMs: NEXT_POLL_MS };
      if (params.cursor === null || params.cursor === undefined) return { ...nothing, cursor: await source.now() };
      const maxEvents = Math.min(params.maxEvents ?? DEFAULT_MAX_EVENTS, MAX_EVENTS);
      const found = await readEvents(source, wanted, { cursor: params.cursor, maxEvents, waitMs: 0 });
      const { events, ...rest } = found;
      return { events: events.map(({ occurrence }) => occurrence), ...rest, nextPollMs: NEXT_POLL_MS };
    }),
  );

  server.setRequestHandler("events/stream", { params: Streamed }, (params, { mcpReq }) =>
    answered(async () => {
      const signal = AbortSignal.any([mcpReq.signal, lease.signal]);
      const wanted = await wantedIn(env, caller, params);
      let refused: EventsError = REVOKED;
      lease.expectLastMessage();
      lease.require(async () => {
        const why = await whyGone(env, caller, wanted.filter);
        refused = why ?? REVOKED;
        return why === null;
      });
      return stream({
        feed: feed(signal, wanted),
        wanted,
        cursor: params.cursor ?? null,
        subscription: mcpReq.id,
        notify: (method, about) => mcpReq.notify({ method, params: about }),
        signal,
        // A client that has left is told nothing: it ended the subscription itself.
        whyEnded: () => (lease.signal.aborted && !mcpReq.signal.aborted ? wireErrorOf(refused) : null),
      });
    }),
  );

  server.setRequestHandler("events/subscribe", { params: Subscribing }, (params) =>
    answered(async () => {
      const { mode = "webhook", secret = "" } = params.delivery;
      if (mode !== "webhook") throw new EventsFailure({ code: "unsupported", feature: "deliveryMode", value: mode });
      const { filter } = await wantedIn(env, caller, params);
      const request: SubscribeRequest = {
        ...keyOf(caller, params),
        client: caller.client,
        isTracked: !env.AUTHKIT_URL || caller.isLocal === true,
        filter,
        secret,
        cursor: params.cursor ?? null,
        maxAgeMs: params.maxAgeMs ?? null,
        ...(params.ttlMs === undefined ? {} : { ttlMs: params.ttlMs }),
      };
      const answer: Subscribed | { error: EventsError } = await env.WEBHOOKS.getByName(caller.user).subscribe(request);
      if ("error" in answer) throw new EventsFailure(answer.error);
      // Refreshes are left out: there is one an hour or so.
      if (answer.isNew) note(env, caller.user, { kind: "webhook_added", client: caller.client, subject: params.name });
      return { ...answer.result, cursor: cursorAbout(answer.result.cursor, filter.machine) };
    }),
  );

  server.setRequestHandler("events/unsubscribe", { params: Unsubscribing }, (params) =>
    answered(async () => {
      filterOf(eventTypeNamed(params.name), params.arguments);
      const error: EventsError | null = await env.WEBHOOKS.getByName(caller.user).unsubscribe(keyOf(caller, params));
      if (error !== null) throw new EventsFailure(error);
      note(env, caller.user, { kind: "webhook_removed", client: caller.client, subject: params.name });
      return {};
    }),
  );
}

/** What identifies a subscription. Throws if the arguments are not valid, which the caller has checked. */
function keyOf(
  caller: Caller,
  params: { name: string; arguments?: unknown; delivery: { url: string } },
): UnsubscribeRequest {
  return {
    user: caller.user,
    credential: caller.credential ?? null,
    name: params.name,
    arguments: canonicalArguments(params.arguments),
    url: params.delivery.url,
  };
}

/** What a request asks for. Throws `EventsFailure`: not_found, invalid_params, forbidden. */
async function wantedIn(
  env: Env,
  caller: Caller,
  params: {
    name: string;
    arguments?: unknown;
    cursor?: string | null | undefined;
    maxAgeMs?: number | null | undefined;
  },
): Promise<Wanted> {
  const type = eventTypeNamed(params.name);
  const { machine: name, session } = filterOf(type, params.arguments);
  const machine = name === null ? null : { name, identity: await identityOf(env, caller, name) };
  const before = machineIn(params.cursor ?? null);
  // A client that comes back with its cursor asks for the machine that it has heard of.
  if (machine !== null && before?.name === name && !isMeant(before, machine))
    throw new EventsFailure(replaced(machine));
  return { type, filter: { machine, session }, maxAgeMs: params.maxAgeMs ?? null };
}

function eventTypeNamed(name: string): EventType {
  const type = EVENT_TYPE_BY_NAME.get(name);
  if (type === undefined) throw new EventsFailure({ code: "not_found", kind: "event" });
  return type;
}

/** Which computer has a name. Throws for a machine that the caller does not have, or may not see. Both get the same answer. */
async function identityOf(env: Env, caller: Caller, machine: string): Promise<string> {
  const known = await env.USER.getByName(caller.user).machine(machine);
  if (known === null || !sees(caller, known)) {
    const reason = `There is no machine "${machine}". Call list_machines for the names.`;
    throw new EventsFailure({ code: "forbidden", reason });
  }
  if (known.identity === "") throw new EventsFailure({ code: "forbidden", reason: whyUnknown(machine) });
  return known.identity;
}

function replaced({ name }: Identified): EventsError {
  return { code: "forbidden", reason: `"${name}" is another machine now.` };
}

/** Why a stream about one machine must end: the machine was removed or renamed, or another one has its name. `null` as long as nobody can say so. */
async function whyGone(env: Env, caller: Caller, { machine }: SubscriptionFilter): Promise<EventsError | null> {
  if (machine === null) return null;
  try {
    const isSame = (await identityOf(env, caller, machine.name)) === machine.identity;
    return isSame ? null : replaced(machine);
  } catch (reason) {
    if (reason instanceof EventsFailure) return reason.error;
    // The person's object did not answer, for example because it is restarted. The stream goes on, and the next check asks again.
    console.warn("could not check the machine of an events stream", { machine: machine.name, reason: String(reason) });
    return null;
  }
}

async function answered<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (reason) {
    throw reason instanceof EventsFailure ? wired(reason) : reason;
  }
}

function wired({ error }: EventsFailure): ProtocolError {
  const { code, message, data } = wireErrorOf(error);
  return new ProtocolError(code, message, data);
}
