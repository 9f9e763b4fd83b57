import { parseJson } from "#protocol/json.ts";
import { sessionHandle } from "./session-handle.ts";

/**
 * Replaces the session ids in a coding machine's answers with handles, in parsed values and in JSON text. JSON text is scanned
 * without parsing it, because parsing and writing it again would change large numbers, spacing and the order of keys.
 *
 * An id is recognised by its position, since the id of a turn or a request can look the same:
 * - under one of `ID_KEYS`, at any depth;
 * - under `id` in a session: in the object under `session`, or in those in the list under `sessions`, unless that object
 *   already has its id under one of `ID_KEYS`.
 * Everything under `OPAQUE_KEYS` stays unchanged, because a person, an agent or a client wrote it.
 */
const ID_KEYS: ReadonlySet<string> = new Set(["session_id", "sessionId", "session", "forked_from", "forkedFrom"]);

/** Tool inputs, arguments, and the documents that clients keep on a machine. */
const OPAQUE_KEYS: ReadonlySet<string> = new Set(["input", "arguments", "patch", "state"]);

/** Answers nest their ids at most five levels deep. The limit stops a hostile machine from overflowing the stack. */
const MAX_DEPTH = 32;

/** Every key that can hold an id matches this. A text without a match is not scanned, which saves most of the work. */
const MAY_HAVE_ID = /"(?:session|forked)/;

/** What the position of a value says about it: whether it is a session, or a list of sessions. */
type Place = "session" | "sessions" | null;

function placeUnder(key: string): Place {
  return key === "session" || key === "sessions" ? key : null;
}

/** Replaces the session ids in a value with handles; returns the same value if it has none. Adds the ids to `found`. */
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

/** An object or array that encloses the scan's current position. */
type Frame = {
  readonly isObject: boolean;
  readonly place: Place;
  readonly isOpaque: boolean;
  key: string;
  isKeyNext: boolean;
  hasIdKey: boolean;
  /** Position of the value of `id`. Kept until the object ends, since a later key may turn out to hold the session's id instead. */
  idAt: number | null;
};

/** Replaces the session ids in a JSON text with handles; returns the same text if it has none or is not JSON. */
export function handlesInJson(text: string, machine: string, isSession = false): string {
  if (!isSession && !MAY_HAVE_ID.test(text)) return text;
  const ids = idPositions(text, isSession);
  // Parts of a prose text may look like JSON; only a text that is JSON as a whole is changed.
  if (ids.length === 0 || parseJson(text) === undefined) return text;
  let handled = "";
  let from = 0;
  for (const at of ids.toSorted((one, other) => one - other)) {
    handled += `${text.slice(from, at)}${machine}/`; // a machine's name needs no escape in JSON
    from = at;
  }
  return handled + text.slice(from);
}

/** The positions at which session ids begin in a JSON text. The result is meaningless if the text is not JSON. */
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

/** The position of the closing quote of the string that opens at `start`, or the end of the text. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(end - 1 - backslashes) === 0x5c) backslashes++;
    if (backslashes % 2 === 0) return end;
  }
  return text.length;
}

/** Words long enough to stand out from ordinary ones: a UUID matches, "3f2a" or "main" does not. What follows a slash is a handle's id already. */
const DISTINCT_ID = /(?<![\w/-])[\w-]{8,128}(?![\w-])/g;

/**
 * Replaces such ids in prose (an error message) with handles, where they are separate words. It reads the text once, whatever the number of ids:
 * a machine chooses both, and looking for each of them in all of the text would take minutes.
 */
export function handlesInProse(text: string, machine: string, ids: ReadonlySet<string>): string {
  if (ids.size === 0) return text;
  return text.replaceAll(DISTINCT_ID, (word) => (ids.has(word) ? sessionHandle(machine, word) : word));
}
