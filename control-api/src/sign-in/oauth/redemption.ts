import type { Audience } from "./resource.ts";

/** One token request with a code or refresh token, as it is sent to its user's Durable Object. `body` is the encoded form. */
export type Redemption = { grant: string; audience: Audience; authorization: string | null; body: string };

export type RedemptionAnswer = { status: number; headers: Record<string, string>; body: string };
