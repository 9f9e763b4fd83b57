import { parseJson } from "#protocol/json.ts";
import { sessionHandle } from "./session-handle.ts";

/**
 * Finds the session ids in what a coding machine answers and makes handles of them: in values, and in JSON text without
 * parsing it, so that numbers, spacing and the order of keys stay as the machine wrote them.
 *
 * An id is known by where it stands, since a turn or a request may have an id that looks the same:
 * - under one of `ID_KEYS`, at any depth;
 * - under `id` in a session: in the object under `session`, or in those in the list under `sessions`, unless that object
 *   has its id under one of `ID_KEYS` already.
 * What a person, an agent or a client wrote is theirs and stays: everything under `OPAQUE_KEYS`.
 */
const ID_KEYS: ReadonlySet<string> = new Set(["session_id", "sessionId", "session", "forked_from", "forkedFrom"]);

/** Tool inputs, arguments, and the documents that clients keep on a machine. */
const OPAQUE_KEYS: ReadonlySet<string> = new Set(["input", "arguments", "patch", "state"]);

/** Answers nest their ids five deep at most. A machine could send something deeper only to exhaust the stack. */
const MAX_DEPTH = 32;

/** A text without this has no key that could hold an id, and is not looked into. */
const MAY_HAVE_ID = /"(?:session|forked)/;

/** What is known of the value being looked at: whether it is a session, or a list of sessions. */
type Place = "session" | "sessions" | null;

function placeUnder(key: string): Place {
  return key === "session" || key === "sessions" ? key : null;
}

/** The value with handles for the session ids in it; the same value if it has none. `found` receives the ids. */
export function handlesInValue(value: unknown, machine: string, found: Set<string>, isSession = false): unknown {
  return inValue(value, machine, found, isSession ? "session" : null, 0);
}

function inValue(value: unknown, machine: string, found: Set<string>, place: Place, depth: number): unknown {
  if (typeof value !== "object" || value === null || depth > MAX_DEPTH) return value;
  if (Array.isArray(value)) {
    const items: unknown[] = value;
    const next = items.map((item) => inValue(item, machine, found, place === "sessions" ? "session" : null, depth + 1));
    return next.some((item, index) => item !== items[index]) ? next : value;
  }
  const entries = Object.entries(value);
  const hasIdKey = entries.some(([key, one]) => isId(one) && ID_KEYS.has(key));
  let isChanged = false;
  const next = entries.map(([key, one]) => {
    const handled = OPAQUE_KEYS.has(key)
      ? one
      : isId(one) && (ID_KEYS.has(key) || (key === "id" && place === "session" && !hasIdKey))
        ? handleOf(one, machine, found)
        : inValue(one, machine, found, placeUnder(key), depth + 1);
    isChanged ||= handled !== one;
    return [key, handled] as const;
  });
  return isChanged ? Object.fromEntries(next) : value;
}

function isId(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

function handleOf(id: string, machine: string, found: Set<string>): string {
  found.add(id);
  return sessionHandle(machine, id);
}

/** An object or array that the scan is inside. */
type Frame = {
  readonly isObject: boolean;
  readonly place: Place;
  readonly isOpaque: boolean;
  key: string;
  isKeyNext: boolean;
  hasIdKey: boolean;
  /** Where the value of `id` begins, until it is known whether the object has its session's id elsewhere. */
  idAt: number | null;
};

/** The text with handles for the session ids in it, if it is JSON; the same text if it has none or is not JSON. */
export function handlesInJson(text: string, machine: string, isSession = false): string {
  if (!isSession && !MAY_HAVE_ID.test(text)) return text;
  const ids = idPositions(text, isSession);
  // Prose may look like JSON here and there. It is left alone.
  if (ids.length === 0 || parseJson(text) === undefined) return text;
  let handled = "";
  let from = 0;
  for (const at of ids.toSorted((one, other) => one - other)) {
    handled += `${text.slice(from, at)}${machine}/`; // a machine's name needs no escape in JSON
    from = at;
  }
  return handled + text.slice(from);
}

/** Where in a JSON text the session ids begin. Anything may come out for a text that is not JSON. */
function idPositions(text: string, isSession: boolean): number[] {
  const found: number[] = [];
  const stack: Frame[] = [];
  let frame: Frame | undefined;
  const open = (isObject: boolean): void => {
    const place = frame === undefined ? (isSession ? "session" : null) : placeIn(frame);
    const isOpaque = frame !== undefined && (frame.isOpaque || (frame.isObject && OPAQUE_KEYS.has(frame.key)));
    frame = { isObject, place, isOpaque, key: "", isKeyNext: isObject, hasIdKey: false, idAt: null };
    stack.push(frame);
  };
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case 0x22: {
        const end = endOfString(text, at);
        if (frame?.isKeyNext === true) frame.key = text.slice(at + 1, end);
        else if (frame?.isObject === true && !frame.isOpaque && end > at + 1) {
          if (ID_KEYS.has(frame.key)) {
            frame.hasIdKey = true;
            found.push(at + 1);
          } else if (frame.key === "id" && frame.place === "session") frame.idAt = at + 1;
        }
        at = end;
        break;
      }
      case 0x7b: // {
        open(true);
        break;
      case 0x5b: // [
        open(false);
        break;
      case 0x7d: // }
      case 0x5d: // ]
        if (frame !== undefined && frame.idAt !== null && !frame.hasIdKey) found.push(frame.idAt);
        stack.pop();
        frame = stack.at(-1);
        break;
      case 0x3a: // :
        if (frame !== undefined) frame.isKeyNext = false;
        break;
      case 0x2c: // ,
        if (frame !== undefined) frame.isKeyNext = frame.isObject;
        break;
    }
  }
  return found;
}

function placeIn({ isObject, key, place }: Frame): Place {
  if (isObject) return placeUnder(key);
  return place === "sessions" ? "session" : null;
}

/** The closing quote of the string that opens at `start`, or the text's end. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(end - 1 - backslashes) === 0x5c) backslashes++;
    if (backslashes % 2 === 0) return end;
  }
  return text.length;
}

/** Ids that are told from ordinary words: a UUID is, "3f2a" or "main" is not. */
const DISTINCT_ID = /^[\w-]{8,128}$/;

/** Prose (an error's message) with handles for those ids, where they stand as words of their own. */
export function handlesInProse(text: string, machine: string, ids: Iterable<string>): string {
  let handled = text;
  for (const id of ids) {
    if (!DISTINCT_ID.test(id) || !handled.includes(id)) continue;
    handled = handled.replaceAll(new RegExp(`(?<![\\w/-])${id}(?![\\w-])`, "g"), sessionHandle(machine, id));
  }
  return handled;
}
