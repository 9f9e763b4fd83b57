import type { Caller } from "../http/caller.ts";
import type { Decider } from "./inbox-item.ts";

/** A program that decides, or passes on what somebody decided in it. Its decision is withdrawn with what it was let in with. */
export function programAs(via: "client" | "form", name: string, { credential: bearer }: Caller): Decider {
  return { via, name, ...(bearer === undefined ? {} : { bearer }) };
}
