import * as z from "zod";
import { Binding, Metadata } from "../../../../scripts/local/platform/metadata.ts";
import { type DurableClasses, migrate } from "../../../../scripts/local/platform/migrations.ts";
import { type ScriptModule, uploadIn } from "../../../../scripts/local/platform/upload.ts";

/** A refusal in the words of Cloudflare's API. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: number;

  constructor(status: number, code: number, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** The bindings of a Worker of an account: those of a user script, and the namespace that only such a Worker can have. */
export const AccountBinding = z.discriminatedUnion("type", [
  ...Binding.options,
  z.strictObject({ type: z.literal("dispatch_namespace"), name: z.string(), namespace: z.string() }),
]);
export type AccountBinding = z.infer<typeof AccountBinding>;

/** As the local platform's, and as strict. A test compares its fields with Cloudflare's schema. */
export const AccountMetadata = Metadata.extend({
  bindings: z.array(AccountBinding).default([]),
  keep_bindings: z.array(z.enum(["secret_text", "secret_key"])).default([]),
});

/** A Worker as the account has it. */
export type AccountWorker = {
  bindings: readonly AccountBinding[];
  modules: readonly ScriptModule[];
  migrationTag: string | undefined;
  classes: DurableClasses;
  /** Reachable on workers.dev, and its older versions with it. A Worker that was just made is. */
  isOnWorkersDev: boolean;
  hasPreviews: boolean;
  observability: unknown;
};

type Asked = {
  readonly form: FormData | null;
  readonly json: unknown;
  readonly subdomain: string | null;
  readonly namespaces: ReadonlyMap<string, unknown>;
};

/** The Workers of an account, with the paths by which wrangler reads and changes them. Uploads are validated as the API does. */
export class AccountWorkers {
  readonly #workers = new Map<string, AccountWorker>();
  /** Versions that were uploaded and not deployed yet. */
  readonly #versions = new Map<string, AccountWorker>();

  keys(): string[] {
    return [...this.#workers.keys()];
  }

  get(name: string): AccountWorker | undefined {
    return this.#workers.get(name);
  }

  /** A Worker with these bindings that somebody made. */
  set(name: string, bindings: readonly AccountBinding[]): void {
    this.#workers.set(name, { ...NEW, bindings });
  }

  delete(name: string): void {
    this.#workers.delete(name);
  }

  /** The text of a Worker's binding, secret or not. */
  textOf(name: string, binding: string): string | undefined {
    const found = this.get(name)?.bindings.find((one) => one.name === binding);
    return found !== undefined && "text" in found ? found.text : undefined;
  }

  /** The answer to a request, or `undefined` if there is nothing at its path. */
  async answer(method: string, path: string, asked: Asked): Promise<unknown> {
    const [, root, name = "", rest = ""] = /^\/(scripts|services)\/([^/]+)(\/.*)?$/.exec(path) ?? [];
    const worker = this.#workers.get(name);
    if (root === "scripts" && method === "PUT" && rest === "") {
      this.#workers.set(name, await this.#uploaded(name, asked, true));
      return { id: name, deployment_id: "d1", startup_time_ms: 1, etag: "e", available_on_subdomain: false };
    }
    if (worker === undefined && root === "services")
      throw new ApiError(404, 10_090, "workers.api.error.service_not_found");
    if (worker === undefined) return undefined;
    const script = {
      id: name,
      tag: name,
      tags: null,
      last_deployed_from: "wrangler",
      migration_tag: worker.migrationTag,
    };
    switch (`${method} ${root}${rest}`) {
      case "GET services":
        return { id: name, default_environment: { environment: "production", script } };
      case "GET scripts/settings":
        return { bindings: worker.bindings.map(withoutSecret), migration_tag: worker.migrationTag };
      case "GET scripts/secrets":
        return worker.bindings.filter(({ type }) => type === "secret_text").map(withoutSecret);
      case "GET scripts/deployments":
        return { deployments: [{ id: "d1", source: "wrangler", versions: [{ version_id: "v0", percentage: 100 }] }] };
      case "GET scripts/subdomain":
        return { enabled: worker.isOnWorkersDev, previews_enabled: worker.hasPreviews };
      case "POST scripts/subdomain": {
        const { enabled, previews_enabled: previews } = Reach.parse(asked.json);
        worker.isOnWorkersDev = enabled;
        worker.hasPreviews = previews;
        return { enabled, previews_enabled: previews };
      }
      case "POST scripts/versions":
        this.#versions.set("v1", await this.#uploaded(name, asked, false));
        return { id: "v1", startup_time_ms: 1, resources: { script: { etag: "e" } }, metadata: { has_preview: false } };
      case "POST scripts/deployments": {
        const { versions } = Deployment.parse(asked.json);
        const version = this.#versions.get(versions[0]?.version_id ?? "");
        if (version === undefined) throw new ApiError(404, 10_007, "no such version");
        this.#workers.set(name, version);
        return { id: "d2" };
      }
      case "PATCH scripts/script-settings":
        worker.observability = ScriptSettings.parse(asked.json).observability;
        return {};
      case "DELETE scripts":
        this.delete(name);
        return {};
      default:
        return undefined;
    }
  }

  /** @param isScript the upload takes effect at once, and may have migrations; a version's may not */
  async #uploaded(name: string, { form, subdomain, namespaces }: Asked, isScript: boolean): Promise<AccountWorker> {
    if (form === null) throw new ApiError(400, 10_021, "the body is not a form");
    const before = this.#workers.get(name) ?? NEW;
    const { metadata, modules } = await uploadIn(form, AccountMetadata);
    if (metadata.migrations !== undefined && !isScript)
      throw new ApiError(400, 10_211, "a version cannot have migrations");
    const { classes, tag } = migrate(before.classes, before.migrationTag, metadata.migrations);
    const given = metadata.bindings.map((binding) => inherited(binding, before));
    for (const binding of given) this.#check(name, binding, classes, namespaces);
    if (subdomain === null && Object.keys(classes).length > 0)
      throw new ApiError(400, 10_063, "You need a workers.dev subdomain in order to proceed.");
    const kept = before.bindings.filter(
      ({ type, name: one }) =>
        metadata.keep_bindings.some((kind) => kind === type) && !given.some((binding) => binding.name === one),
    );
    return {
      ...before,
      bindings: [...given, ...kept],
      modules,
      classes,
      migrationTag: tag,
      observability: metadata.observability,
    };
  }

  /** What a binding names must be there. */
  #check(
    own: string,
    binding: AccountBinding,
    classes: DurableClasses,
    namespaces: ReadonlyMap<string, unknown>,
  ): void {
    if (binding.type === "dispatch_namespace" && !namespaces.has(binding.namespace))
      throw new ApiError(400, 10_121, `dispatch namespace ${binding.namespace} not found`);
    if (binding.type === "service" && binding.service !== own && !this.#workers.has(binding.service))
      throw new ApiError(
        400,
        10_144,
        `could not resolve service binding ${binding.name}: ${binding.service} not found`,
      );
    if (binding.type === "durable_object_namespace" && !Object.hasOwn(classes, binding.class_name))
      throw new ApiError(
        400,
        10_061,
        `Cannot create binding for class '${binding.class_name}' that is not a Durable Object`,
      );
  }
}

const NEW: AccountWorker = {
  bindings: [],
  modules: [],
  migrationTag: undefined,
  classes: {},
  isOnWorkersDev: true,
  hasPreviews: true,
  observability: undefined,
};

const Reach = z.strictObject({ enabled: z.boolean(), previews_enabled: z.boolean() });
const Deployment = z.looseObject({
  versions: z.array(z.object({ version_id: z.string(), percentage: z.literal(100) })),
});
const ScriptSettings = z.looseObject({ observability: z.unknown() });

/** The binding that `inherit` stands for. Wrangler asks for `bindings_inherit=strict`, so there must be one. */
function inherited(binding: AccountBinding, { bindings }: AccountWorker): AccountBinding {
  if (binding.type !== "inherit") return binding;
  const found = bindings.find(({ name }) => name === binding.name);
  if (found === undefined) throw new ApiError(400, 10_057, `there is no binding ${binding.name} to inherit`);
  return found;
}

/** The API never shows a secret's text. */
function withoutSecret(binding: AccountBinding): object {
  return binding.type === "secret_text" ? { type: binding.type, name: binding.name } : binding;
}
