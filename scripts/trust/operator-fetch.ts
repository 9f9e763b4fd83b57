import { boundedFetch } from "../system/bounded-fetch.ts";
import { whyNotTrust } from "./operator-proof.ts";

/** `boundedFetch` from an Operator. Nothing is sent to what is not the Operator that this user knows at that address. */
export async function operatorFetch(url: string | URL, init: RequestInit = {}, maxBytes?: number): Promise<Response> {
  const whyNot = await whyNotTrust(new URL(url).origin);
  if (whyNot !== null) throw new Error(whyNot);
  return boundedFetch(url, init, maxBytes);
}
