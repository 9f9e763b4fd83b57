import type { ReceivedMessage, ReceiverPlan } from "../../support/stand-in/receivers.ts";

/** The secret that a test's client signs with. */
export const SECRET = `whsec_${btoa("0123456789abcdef0123456789abcdef")}`;

/** A receiver of webhooks of its own for one test. */
export class Receiver {
  readonly #name = `r-${crypto.randomUUID()}`;

  get url(): string {
    return `https://${this.#name}.hooks.example/in?key=1`;
  }

  async plan(plan: ReceiverPlan): Promise<void> {
    await fetch(`http://hooks.example/${this.#name}`, { method: "PUT", body: JSON.stringify(plan) });
  }

  /** All that has reached it, as soon as there are at least so many. */
  async received(atLeast: number): Promise<ReceivedMessage[]> {
    return (await fetch(`http://hooks.example/${this.#name}?from=${atLeast - 1}`)).json();
  }

  /** The bodies of what reached it, without challenges. */
  async events(atLeast: number, challenges = 1): Promise<Record<string, unknown>[]> {
    const all = await this.received(atLeast + challenges);
    return all.map(({ body }) => JSON.parse(body) as Record<string, unknown>).filter(({ type }) => type !== "verification"); // prettier-ignore
  }
}

/** Whether a message is signed with this secret, computed as a receiver does (Standard Webhooks, "Verifying signatures"). */
export async function isSigned({ headers, body }: ReceivedMessage, secret: string): Promise<boolean> {
  const bytes = Uint8Array.from(atob(secret.slice("whsec_".length)), (character) => character.codePointAt(0) ?? 0);
  const key = await crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
  const signed = new TextEncoder().encode(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`);
  for (const one of (headers["webhook-signature"] ?? "").split(" ")) {
    const signature = Uint8Array.from(atob(one.replace("v1,", "")), (character) => character.codePointAt(0) ?? 0);
    if (await crypto.subtle.verify("HMAC", key, signature, signed)) return true;
  }
  return false;
}
