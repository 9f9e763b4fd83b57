import { CodezFailure } from "../failure.ts";

type Offer = {
  /** What an option says; `undefined` asks the person. */
  readonly given: boolean | undefined;
  /** Asks the person, if there is one. */
  readonly wants: () => Promise<boolean>;
  /** Installs the service, and returns what it did. */
  readonly install: () => Promise<string[]>;
  readonly say: (line: string) => void;
};

/**
 * Installs the service if an option or the person says so, and returns whether it connects the machine from now on. Some computers
 * have no place for one, such as a container or a session without systemd. A person who only said yes to the question is then
 * connected in this terminal. Throws `CodezFailure` when an option asked for the service.
 */
export async function offerService({ given, wants, install, say }: Offer): Promise<boolean> {
  if (!(given ?? (await wants()))) return false;
  try {
    for (const line of await install()) say(line);
    return true;
  } catch (reason) {
    if (given === true || !(reason instanceof CodezFailure)) throw reason;
    say(`warning: ${reason.message}`);
    say("connecting in this terminal instead");
    return false;
  }
}
