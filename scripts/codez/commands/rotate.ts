import { Command } from "commander";
import { ExitCode } from "../exit-code.ts";
import { CodezFailure } from "../failure.ts";
import { findOperator } from "../find-operator.ts";
import { type Context, outputOf, withHub } from "./context.ts";

/**
 * `codez rotate`: gives this machine a new link token. The old one is revoked at once; a running connector switches to the new
 * one.
 */
export function rotateCommand({ folder }: Context): Command {
  return withHub(new Command("rotate").description("replace this machine's link token"))
    .argument("[name]", "the machine (needed when this computer is set up as several)")
    .action(async (name: string | undefined, options: { hub?: string; json?: boolean }) => {
      const { key, profile } = folder.choose(name);
      const operator = await findOperator(options.hub ?? profile.hub, folder);
      const { token, linkUrl, mcpUrl, slug } = await operator.rotate(profile.name, folder.linkKey(key).publicKey);
      if (token === null)
        throw new CodezFailure(ExitCode.REFUSED, "Operator returned no new token.", `codez setup ${profile.name}`);
      folder.write(key, { ...profile, token, formerToken: undefined, linkUrl, mcpUrl, slug });
      outputOf(options).result({ rotated: profile.name }, `"${profile.name}" has a new link token.`);
    });
}
