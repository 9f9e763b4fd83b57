/**
 * The subset of workerd's configuration that Operator uses, and the code that writes it as Cap'n Proto text.
 * Field names are those of the schema, node_modules/workerd/workerd.capnp, which documents each of them.
 */
export interface Config {
  readonly services: readonly Service[];
  readonly sockets: readonly Socket[];
  readonly extensions?: readonly Extension[];
  readonly v8Flags?: readonly string[];
  readonly structuredLogging?: boolean;
}

/** `127.0.0.1:8787`, or `unix:/path/of/a/socket`. */
export type Address = string;

export interface Socket {
  readonly name: string;
  readonly address: Address;
  readonly http: object;
  readonly service: ServiceDesignator;
}

interface ServiceDesignator {
  readonly name: string;
  readonly entrypoint?: string;
  readonly props?: { readonly json: string };
}

export interface Service {
  readonly name: string;
  readonly worker?: Worker;
  readonly network?: {
    readonly allow: readonly string[];
    /** Counts more than `allow`. */
    readonly deny?: readonly string[];
    readonly tlsOptions?: object;
  };
  readonly external?: { readonly address: Address; readonly http: object };
  readonly disk?: { readonly path: string; readonly writable?: boolean };
}

interface Worker {
  /** The first one is the main module. */
  readonly modules: readonly Module[];
  readonly compatibilityDate: string;
  readonly compatibilityFlags?: readonly string[];
  readonly bindings?: readonly Binding[];
  readonly globalOutbound?: ServiceDesignator;
  readonly durableObjectNamespaces?: readonly {
    readonly className: string;
    readonly uniqueKey: string;
    readonly enableSql?: boolean;
  }[];
  readonly durableObjectStorage?: { readonly localDisk: string } | { readonly inMemory: Void };
}

type Content = string | Embed;
export type Module = { readonly name: string } & (
  | { readonly esModule: Content }
  | { readonly commonJsModule: Content }
  | { readonly text: Content }
  | { readonly json: Content }
  | { readonly data: Embed }
  | { readonly wasm: Embed }
);

export type Binding = { readonly name: string } & (
  | { readonly text: string }
  | { readonly json: string }
  | { readonly service: ServiceDesignator }
  | { readonly kvNamespace: ServiceDesignator }
  | { readonly durableObjectNamespace: { readonly className: string; readonly serviceName?: string } }
  | { readonly wrapped: { readonly moduleName: string; readonly innerBindings: readonly Binding[] } }
);

export interface Extension {
  readonly modules: readonly ExtensionModule[];
}

export interface ExtensionModule {
  readonly name: string;
  readonly internal?: boolean;
  readonly esModule: Content;
}

/** A file whose content is the value. workerd reads the file itself, so a bundle of megabytes is not copied into the text. */
export class Embed {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }
}

/** Cap'n Proto's `void`: the value of a union member that carries no data. */
export const VOID = Symbol("void");
type Void = typeof VOID;

/** Name of the configuration constant in the file. `workerd serve` takes it as an argument. */
export const CONSTANT = "config";

/** The configuration as text for workerd. Paths in it must be absolute, and workerd must be started with `--import-path=/`. */
export function writeConfig(config: Config): string {
  return `using Workerd = import "/workerd/workerd.capnp";\nconst ${CONSTANT} :Workerd.Config = ${write(config)};\n`;
}

function write(value: unknown): string {
  if (value === VOID) return "void";
  if (value instanceof Embed) return `embed ${quote(value.path)}`;
  if (typeof value === "string") return quote(value);
  if (typeof value === "boolean" || typeof value === "number") return String(value);
  if (Array.isArray(value)) return `[${value.map(write).join(",\n")}]`;
  if (typeof value !== "object" || value === null) throw new TypeError(`${typeof value} cannot be configured`);
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  return `(${fields.map(([name, field]) => `${name} = ${write(field)}`).join(", ")})`;
}

/** Cap'n Proto uses C's escapes. Its `\x` takes exactly two digits, so a digit after an escape is not read as part of it. */
function quote(text: string): string {
  // All control characters, NUL included: a binding may contain any text that its uploader sent.
  // oxlint-disable-next-line no-control-regex
  const escaped = text.replaceAll(/["\\\u0000-\u001f\u007f]/g, (sign) =>
    sign === '"' || sign === "\\" ? `\\${sign}` : `\\x${sign.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
  return `"${escaped}"`;
}
