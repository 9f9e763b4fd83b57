import { randomBytes } from "node:crypto";
import { readdress } from "#protocol/address.ts";
import { isMachineName, isSlug, namesIn, slugOf } from "#protocol/slug.ts";
import * as z from "zod";
import { plainLoopback } from "../../system/plain-loopback.ts";

/** Where CodeZ and `codez serve` listen. */
export const DEFAULT_TARGET_URL = "http://127.0.0.1:4097/mcp";

/** The MCP server of this machine: one at an address, or a command that is started for each session. */
export const TargetSpec = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("url"), url: z.url({ protocol: /^https?$/ }) }),
  z.object({ kind: z.literal("command"), command: z.string().min(1), args: z.array(z.string()), cwd: z.string() }),
]);
export type TargetSpec = z.infer<typeof TargetSpec>;

/** One machine that this computer is set up as. It contains the link token, so only the owner can read the file. */
export const Profile = z.object({
  hub: z.url({ protocol: /^https?$/ }).transform(plainLoopback),
  name: z.string().refine(isMachineName, "not a machine's name"),
  slug: z.string().refine(isSlug, "not a slug"),
  linkUrl: z.url({ protocol: /^wss?$/ }),
  mcpUrl: z.url({ protocol: /^https?$/ }),
  token: z.string().min(1),
  /** The token that this one replaced when it was renewed, for an Operator that is restored from a backup of before. */
  formerToken: z.string().min(1).optional(),
  /** A random id by which Operator recognises the machine when it is set up again under the same name. */
  identity: z.string().min(16).max(128),
  target: TargetSpec,
  /**
   * Whether the target's events are fetched and forwarded; `"drain"`: also from a server that gives each event to one reader
   * only.
   */
  events: z.union([z.boolean(), z.literal("drain")]).default(true),
});
export type Profile = z.infer<typeof Profile>;

/**
 * What a computer registers as, stored before it is asked for: the answer may be lost, or `setup` end, after Operator has registered the machine
 * and before there is a profile. Without this, the next `setup` would be another computer's that wants a name which is taken.
 */
export const BegunSetup = Profile.pick({ hub: true, name: true, identity: true });
export type BegunSetup = z.infer<typeof BegunSetup>;

export function newIdentity(): string {
  return randomBytes(24).toString("base64url");
}

/** The profile after its machine was renamed: the same link at the new name's address. */
export function renamed(profile: Profile, name: string): Profile {
  const slug = slugOf(name, namesIn(profile.slug).tag);
  return {
    ...profile,
    name,
    slug,
    linkUrl: readdress(profile.linkUrl, profile.slug, slug),
    mcpUrl: readdress(profile.mcpUrl, profile.slug, slug),
  };
}
