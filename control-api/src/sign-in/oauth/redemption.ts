import type { Audience } from "./resource.ts";

/** One use of a code or a refresh token at the token endpoint, as it is handed to the one object that answers for its user. */
export type Redemption = { grant: string; audience: Audience; authorization: string | null; body: string };

export type RedemptionAnswer = { status: number; headers: Record<string, string>; body: string };
