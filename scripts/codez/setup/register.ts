import type { Registration } from "#protocol/rest-api.ts";
import type { OperatorClient } from "../operator-client.ts";
import type { Profile, TargetSpec } from "../profile/profile.ts";
import type { Plan } from "./plan.ts";

export type Registered = { readonly profile: Profile; readonly isNew: boolean; readonly isNewToken: boolean };

/**
 * Makes sure that the machine is registered at Operator and that this computer has its token. A token that exists here is kept.
 * Throws `CodezFailure` (name taken, not signed in, not reachable).
 */
export async function register(
  operator: OperatorClient,
  plan: Plan,
  { identity, linkKey }: { readonly identity: string; readonly linkKey: string },
  target: TargetSpec,
  replace: boolean,
  events: Profile["events"],
): Promise<Registered> {
  const known = plan.profile?.token ?? null;
  const registration = await operator.register({
    name: plan.name,
    identity,
    linkKey,
    ...(known === null ? { rotate: true } : {}),
    ...(replace ? { replace: true } : {}),
  });
  // A machine that was taken over from another identity, or registered again after it was removed, has a new token.
  const token = registration.token ?? known ?? (await tokenOf(operator, plan.name, linkKey));
  const { name, slug, linkUrl, mcpUrl } = registration;
  const profile: Profile = { hub: operator.origin, name, slug, linkUrl, mcpUrl, token, identity, target, events };
  return { profile, isNew: plan.profile === null, isNewToken: token !== known };
}

/** The profile with a new token, after the saved one was rejected. */
export async function renewToken(operator: OperatorClient, profile: Profile, linkKey: string): Promise<Profile> {
  return { ...profile, token: await tokenOf(operator, profile.name, linkKey) };
}

async function tokenOf(operator: OperatorClient, name: string, linkKey: string): Promise<string> {
  const { token }: Registration = await operator.rotate(name, linkKey);
  if (token === null) throw new Error("Operator rotated the token but did not return the new one");
  return token;
}
