import { OperatorFailure } from "#protocol/error.ts";
import { inspected } from "#protocol/body-reader.ts";
import { utf8 } from "#protocol/bytes.ts";
import { ANSWERS_PERMISSION } from "../audit/asked.ts";
import type { Env } from "../env.ts";
import { isBatch } from "../sign-in/batch.ts";
import type { MachineRecord } from "./machine-record.ts";

/**
 * A permission request is the one thing that a person has to decide: what a session on a machine may do. A token cannot show that
 * there is a person, because the model that asked for the work may hold it. So no token may answer such a request, whatever its
 * scopes, unless its person allowed that for the machine on its page, after a fresh sign-in. The machine's own policy
 * (`respondPermission` of `codez serve`) has to allow it as well.
 *
 * Throws `OperatorFailure` approval_not_allowed.
 */
export async function checkApproval(env: Env, user: string, machine: string): Promise<void> {
  const record: MachineRecord | null = await env.USER.getByName(user).machine(machine);
  // An unknown machine is reported by the call itself.
  if (record === null || record.remoteApproval) return;
  throw new OperatorFailure({
    code: "approval_not_allowed",
    machine,
    page: `${env.ORIGIN}/machines/${machine}#approval`,
  });
}

const NAME = utf8(ANSWERS_PERMISSION);
const [QUOTE, BACKSLASH, U] = utf8('"\\u');
const HEX_DIGITS = 4;
/** What a JSON object or array begins with (RFC 8259). */
const OPENING: ReadonlySet<number> = new Set(utf8("{["));
/** What may be in front of that in UTF-8, UTF-16 or UTF-32: white space, the bytes of byte order marks, and zeros. */
const BEFORE_JSON: ReadonlySet<number> = new Set([...utf8(" \t\n\r"), 0xef, 0xbb, 0xbf, 0xfe, 0xff, 0]);

/**
 * Finds the tool's name in a JSON text that arrives in pieces: as a whole string, wherever it is, with or without escapes. The text
 * is not parsed, for two reasons. Requests to a machine's own endpoint may be too large to hold. And parsers differ (in repeated
 * keys, for example), so another parser could see a call where ours sees none; none can see one without this string. A different
 * request that contains exactly this string is taken for an answer, too, which hardly ever happens.
 *
 * A JSON object or array with a zero byte counts as an answer, whatever it says. In UTF-8 there is none, since JSON escapes that
 * character. In UTF-16 and UTF-32 there are some in every JSON text, and parsers recognise these by themselves (Python's `json.loads`).
 * A body that begins with anything else is no request in any of these encodings, and may contain every byte. Encodings that a request
 * names are refused before (text-encoding.ts).
 */
export class ApprovalScan {
  #isInString = false;
  /** Characters of the name that the current string matches so far; -1 if it is another string. */
  #matched = 0;
  /** `null` outside of an escape, 0 after its backslash, then the number of hex digits seen of `\uXXXX`, counted from 1. */
  #escape: number | null = null;
  #codeUnit = 0;
  /** Whether the text begins as a JSON object or array does; `null` before its first byte that says so. */
  #isJson: boolean | null = null;
  #hasZero = false;

  /** Whether the text up to and including this piece contains the name. */
  found(piece: Uint8Array): boolean {
    this.#hasZero ||= piece.includes(0);
    this.#isJson ??= beginsAsJson(piece);
    if (this.#hasZero && this.#isJson === true) return true;
    for (let at = 0; at < piece.length; at += 1) {
      at = this.#skip(piece, at);
      const byte = piece[at];
      if (byte === undefined) return false;
      if (!this.#isInString) this.#begin();
      else if (this.#escape !== null) this.#escaped(byte);
      else if (byte === BACKSLASH) this.#escape = 0;
      else if (byte === QUOTE) {
        if (this.#matched === NAME.length) return true;
        this.#isInString = false;
      } else this.#character(byte);
    }
    return false;
  }

  /** The next byte that matters: outside of strings a quotation mark, in a string that is another one its end or an escape. */
  #skip(piece: Uint8Array, from: number): number {
    let at = from;
    if (!this.#isInString) while (at < piece.length && piece[at] !== QUOTE) at += 1;
    else if (this.#escape === null && this.#matched === -1)
      while (at < piece.length && piece[at] !== QUOTE && piece[at] !== BACKSLASH) at += 1;
    return at;
  }

  #begin(): void {
    this.#isInString = true;
    this.#matched = 0;
  }

  #escaped(byte: number): void {
    if (this.#escape === 0 && byte === U) {
      this.#escape = 1;
      this.#codeUnit = 0;
    } else if (this.#escape === 0) {
      this.#escape = null;
      this.#character(-1); // \n, \" and the like: no such character is in the name
    } else {
      this.#codeUnit = this.#codeUnit * 16 + Number.parseInt(String.fromCharCode(byte), 16);
      const digits = this.#escape ?? 0;
      this.#escape = digits === HEX_DIGITS ? null : digits + 1;
      if (this.#escape === null) this.#character(this.#codeUnit);
    }
  }

  #character(code: number): void {
    this.#matched = this.#matched >= 0 && NAME[this.#matched] === code ? this.#matched + 1 : -1;
  }
}

/** Whether a text that begins with this piece may be a JSON object or array; `null` if that is not known yet. */
function beginsAsJson(piece: Uint8Array): boolean | null {
  const first = piece.find((byte) => !BEFORE_JSON.has(byte));
  return first === undefined ? null : OPENING.has(first);
}

/** Whether a body that was read as a whole may answer a permission request. */
export function mayAnswerPermission(body: Uint8Array): boolean {
  return new ApprovalScan().found(body);
}

/**
 * The request with a body that breaks off as soon as it may answer a permission request and `check` throws. The machine's server
 * then never gets the whole request. `refusal` is what `check` threw. A batch is refused as well: how many requests it would count as is not
 * known before its end (sign-in/batch.ts).
 */
export function watched(request: Request, check: () => Promise<void>): { request: Request; refusal: () => unknown } {
  if (request.body === null) return { request, refusal: () => null };
  const scan = new ApprovalScan();
  let refusal: unknown = null;
  const refuse = (reason: unknown): never => {
    refusal = reason;
    throw reason;
  };
  let isFound = false;
  let batch: boolean | null = null;
  const body = inspected(request.body, async (piece) => {
    batch ??= isBatch(piece);
    if (batch === true) {
      const reason = "A batch must have a Content-Length of at most 256 KB. Send its messages one by one.";
      refuse(new OperatorFailure({ code: "invalid_request", reason }));
    }
    if (isFound || !scan.found(piece)) return;
    isFound = true;
    await check().catch(refuse);
  });
  const { method, headers, signal, url } = request;
  const length = headers.get("content-length");
  // Otherwise the body would be forwarded as one of unknown length.
  const sized = length === null ? body : body.pipeThrough(new FixedLengthStream(Number(length)));
  // "manual", as a client's own request has it: a machine's redirect must not be followed.
  const init = { method, headers, signal, body: sized, redirect: "manual" as const };
  return { request: new Request(url, init), refusal: () => refusal };
}
