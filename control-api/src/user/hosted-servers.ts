import type { OperatorError } from "#protocol/error.ts";
import { hostedTemplate } from "#protocol/hosted-server.ts";
import { isMachineName, slugOf } from "#protocol/slug.ts";
import { type Bearer, tagOf } from "../http/caller.ts";
import type { ServerBundle, Wrapper } from "../machines/hosted-form.ts";
import type { MachineRecord } from "../machines/machine-record.ts";
import {
  deleteSecret,
  type ProvisioningBindings,
  putSecret,
  secretNames,
  uploadFault,
  uploadHosted,
  wrapper,
  wrapperCode,
} from "../machines/provisioning.ts";
import type { EarlierTemplate } from "../machines/provisioning.ts";
import type { Candidate } from "./rollout/canaries.ts";
import { type ServerRecord, ServerStore } from "./server-store.ts";

/** Servers of one user. Each keeps up to five versions of up to 8 MB in the user's database, which may have 10 GB. */
const MAX_SERVERS = 100;

/** Identities of servers begin with this. */
const SERVER = "hosted:";

/** Whether no machine may have this identity. A server's can be guessed, and its tokens would lead to the machine that claims to have it. */
export function isServerIdentity(identity: string): boolean {
  return identity.startsWith(SERVER);
}

/** Sees to it that no upload is left that is not recorded here (`MachineChanges`). */
export type NewScripts = {
  creating<Result>(script: { slug: string; name: string }, create: () => Promise<Result>): Promise<Result>;
  /** The upload is recorded, or there was none. */
  settled(slug: string): void;
  /** Undoes the upload under this name, which was not recorded because its caller has lost access. Answers the error for them. */
  withdrawn(name: string): Promise<OperatorError>;
  /** Whether a change may be written now. */
  isAllowed(by: Bearer | null): boolean;
};

/**
 * A user's hosted servers: MCP servers that are scripts in the dispatch namespace themselves, with no machine behind them.
 *
 * The caller runs the methods that change a server in that name's turn, so that two deployments of one server cannot interleave.
 */
export class HostedServers {
  readonly #env: ProvisioningBindings;
  readonly #store: ServerStore;
  readonly #owner: () => string;
  /** Names of new servers whose first version is being uploaded. They count, or any number of them could be uploaded at once. */
  readonly #beginning = new Set<string>();

  constructor(env: ProvisioningBindings, storage: DurableObjectStorage, owner: () => string) {
    this.#env = env;
    this.#store = new ServerStore(storage);
    this.#owner = owner;
  }

  list(): ServerRecord[] {
    return this.#store.list();
  }

  get(name: string): ServerRecord | null {
    return this.#store.get(name);
  }

  /** The servers as the list of machines shows them. */
  asMachines(): MachineRecord[] {
    return this.#store.list().map(asMachine);
  }

  nameOf(identity: string): string | null {
    // The name is in the identity, so the servers need not be looked through.
    const name = /^hosted:(.+):\d+$/.exec(identity)?.[1];
    return name !== undefined && this.asMachine(name)?.identity === identity ? name : null;
  }

  asMachine(name: string): MachineRecord | null {
    const server = this.#store.get(name);
    return server === null ? null : asMachine(server);
  }

  /**
   * The servers as a rollout sees them. What it replaces is Operator's wrapper, so a server counts as having the current template
   * if it has the current wrapper. It has no link, and is always there.
   *
   * @param template the current template of machines
   */
  candidates(template: string): Candidate[] {
    return this.#store
      .list()
      .map(({ name }) => ({ name, online: true, facts: null, template: this.#templateOf(name, template) }));
  }

  /** The wrapper that a server's script has now. @throws when it cannot be read */
  async codeOf(name: string): Promise<string> {
    return wrapperCode(this.#env, slugOf(name, await tagOf(this.#owner())));
  }

  /** Uploads the current version again, with this Operator's wrapper or an earlier one. Answers whether there is such a server. @throws as `uploadScript` */
  async rewrap(name: string, earlier: EarlierTemplate | null): Promise<boolean> {
    const server = this.#store.get(name);
    const bundle = server === null ? null : this.#store.bundle(name, server.version);
    if (server === null || bundle === null) return false;
    const around = earlier === null ? wrapper() : { version: earlier.template, code: earlier.code };
    await this.#put(name, server.slug, server.version, bundle, around);
    return true;
  }

  #templateOf(name: string, template: string): string {
    const known = this.#store.wrapperOf(name);
    if (known === wrapper().version) return template;
    // Nobody knows whether two unknown wrappers are the same, so each has a name of its own.
    return known ?? `wrapper-of-${name}`;
  }

  /** Uploads a new version, and stores it when the API has taken it. */
  async deploy(
    name: string,
    bundle: ServerBundle,
    scripts: NewScripts,
    by: Bearer | null,
  ): Promise<ServerRecord | OperatorError> {
    if (!isMachineName(name))
      return invalid(`"${name}" cannot be a server's name: use 1 to 32 of a-z, 0-9 and single hyphens inside.`);
    if (this.#store.get(name) === null) {
      if (this.#store.list().length + this.#beginning.size >= MAX_SERVERS)
        return invalid(`You have ${MAX_SERVERS} hosted servers, the most that one person may have. Delete one first.`);
      this.#beginning.add(name);
    }
    try {
      const slug = slugOf(name, await tagOf(this.#owner()));
      const version = this.#store.nextVersion(name);
      return await scripts.creating({ name, slug }, async () => {
        const refused = await this.#upload(name, slug, version, bundle);
        if (refused === null && !scripts.isAllowed(by)) return scripts.withdrawn(name);
        if (refused === null) this.#store.add({ name, slug, version }, bundle, Date.now());
        scripts.settled(slug);
        return refused ?? this.#store.get(name) ?? unknown(name);
      });
    } finally {
      this.#beginning.delete(name);
    }
  }

  /** Uploads a kept version again: the given one, or the one before the current one. Secrets stay as they are. */
  async rollback(
    name: string,
    wanted: number | null,
    scripts: NewScripts,
    by: Bearer | null,
  ): Promise<ServerRecord | OperatorError> {
    const server = this.#store.get(name);
    if (server === null) return unknown(name);
    const kept = server.versions.map(({ version }) => version);
    const version = wanted ?? kept.find((one) => one < server.version);
    const bundle = version === undefined ? null : this.#store.bundle(name, version);
    if (version === undefined || bundle === null)
      return invalid(
        `"${name}" has no ${wanted === null ? "earlier version" : `version ${wanted}`}. It has ${kept.join(", ")}.`,
      );
    return scripts.creating(server, async () => {
      const refused = await this.#upload(name, server.slug, version, bundle);
      if (refused === null && !scripts.isAllowed(by)) return scripts.withdrawn(name);
      if (refused === null) this.#store.select(name, version);
      scripts.settled(server.slug);
      return refused ?? this.#store.get(name) ?? unknown(name);
    });
  }

  /** Uploads the recorded version, after an upload of another one of which nobody knows whether it was carried out. */
  async uploadAgain(name: string): Promise<void> {
    try {
      await this.rewrap(name, null);
    } catch (reason) {
      // The platform has a version that it will not take again. There is nothing better to do than to leave what is there.
      const fault = uploadFault(reason);
      if (fault === null) throw reason;
      console.error("the recorded version of a hosted server could not be uploaded again", { name, fault });
    }
  }

  /** Forgets a server whose script is deleted, with all its versions. */
  delete(name: string): void {
    this.#store.delete(name);
  }

  async secrets(name: string): Promise<string[] | OperatorError> {
    const server = this.#store.get(name);
    return server === null ? unknown(name) : secretNames(this.#env, server.slug);
  }

  /**
   * Sets a secret, or deletes it (`null`). Its text goes to the API and is stored nowhere else. So one whose caller has lost access meanwhile
   * is deleted: what it was before is not known.
   */
  async setSecret(
    name: string,
    secret: string,
    text: string | null,
    scripts: NewScripts,
    by: Bearer | null,
  ): Promise<OperatorError | null> {
    const server = this.#store.get(name);
    if (server === null) return unknown(name);
    try {
      if (text === null) await deleteSecret(this.#env, server.slug, secret);
      else await putSecret(this.#env, server.slug, secret, text);
      if (scripts.isAllowed(by)) return null;
      if (text !== null) await deleteSecret(this.#env, server.slug, secret);
      return { code: "unauthorized" };
    } catch (reason) {
      const fault = uploadFault(reason);
      if (fault === null) throw reason;
      return invalid(`the secret was not changed: ${fault}`);
    }
  }

  /** An error if the API finds fault with the upload. Throws if the API itself failed. */
  async #upload(name: string, slug: string, version: number, bundle: ServerBundle): Promise<OperatorError | null> {
    try {
      await this.#put(name, slug, version, bundle, wrapper());
      return null;
    } catch (reason) {
      const fault = uploadFault(reason);
      if (fault === null) throw reason;
      return invalid(`the server was not deployed; what was there before is unchanged: ${fault}`);
    }
  }

  async #put(name: string, slug: string, version: number, bundle: ServerBundle, around: Wrapper): Promise<void> {
    const script = { owner: this.#owner(), name, slug, template: hostedTemplate(version), bundle };
    await uploadHosted(this.#env, script, around);
    this.#store.setWrapper(name, around.version);
  }
}

/** A hosted server has no link: it is there as long as its script is. */
function asMachine({ name, slug, version, createdMs }: ServerRecord): MachineRecord {
  return {
    name,
    slug,
    // Tells it from a later server of the same name.
    identity: `${SERVER}${name}:${createdMs}`,
    linkTokenHash: null,
    linkIssuedMs: 0,
    linkKey: null,
    link: null,
    createdMs,
    online: true,
    epoch: 1,
    lastSeenMs: null,
    position: null,
    facts: null,
    template: hostedTemplate(version),
    remoteApproval: false,
    elicitation: false,
    pageApproval: "nothing",
    kind: "hosted",
  };
}

function unknown(name: string): OperatorError {
  return { code: "machine_unknown", machine: name };
}

function invalid(reason: string): OperatorError {
  return { code: "invalid_request", reason };
}
