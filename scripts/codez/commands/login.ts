import { Command } from "commander";
import { hubOf } from "../find-operator.ts";
import { localOwnerToken } from "../sign-in/local-owner.ts";
import { enterToStay, leave } from "../sign-in/sign-in.ts";
import { type Context, outputOf, withHub } from "./context.ts";

type Options = { hub?: string; json?: boolean; admin?: boolean };

/**
 * `codez login`: signs in once and keeps the sign-in on this computer. By default it may only look (`operator:read`): a program
 * that reads the file can then neither act on your machines nor change your account.
 */
export function loginCommand({ folder }: Context): Command {
  return withHub(new Command("login").description("sign in once, so that codez machines asks nobody any more"))
    .option("--admin", "keep the right to add and remove machines and tokens as well")
    .action(async (options: Options) => {
      const output = outputOf(options);
      const hub = hubOf(options.hub, folder);
      if ((await localOwnerToken(hub)) !== null)
        return output.result({ hub, keeps: null }, `Nobody signs in here: ${hub} runs on this computer, as you.`);
      const scope = await enterToStay(hub, options.admin === true);
      const may = options.admin === true ? "look at and manage your machines" : "look at your machines";
      const text = `Signed in at ${hub}. codez on this computer may now ${may} without asking. End it with: codez logout`;
      return output.result({ hub, keeps: scope }, text);
    });
}

/** `codez logout`: revokes the sign-in that `codez login` kept, and removes it from this computer. */
export function logoutCommand({ folder }: Context): Command {
  return withHub(new Command("logout").description("revoke the sign-in that codez login kept")).action(
    async (options: Options) => {
      const hub = hubOf(options.hub, folder);
      const had = await leave(hub);
      outputOf(options).result({ hub, ended: had }, had ? `Signed out at ${hub}.` : `No sign-in is kept for ${hub}.`);
    },
  );
}
