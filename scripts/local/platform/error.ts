/** Errors of the platform's API. `describe` gives each the error code of Cloudflare's API, so that callers handle both alike. */
export type PlatformError =
  | { code: "unauthorized" }
  | { code: "rate_limited" }
  | { code: "route_unknown"; path: string }
  | { code: "namespace_unknown"; namespace: string }
  | { code: "namespace_exists"; namespace: string }
  | { code: "namespace_in_use"; namespace: string; scripts: number }
  | { code: "script_unknown"; script: string }
  | { code: "secret_unknown"; secret: string }
  | { code: "name_invalid"; what: string; name: string }
  | { code: "upload_invalid"; message: string }
  | { code: "upload_too_large"; limitBytes: number }
  | { code: "class_unknown"; className: string }
  | { code: "migration_mismatch"; current: string | undefined }
  | { code: "migration_invalid"; message: string }
  | { code: "script_broken"; message: string }
  | { code: "script_damaged"; message: string }
  | { code: "unsupported"; what: string };

/** Thrown by request handlers; the API's error handler turns it into an envelope. */
export class PlatformFailure extends Error {
  override name = "PlatformFailure";
  readonly error: PlatformError;

  constructor(error: PlatformError) {
    super(describe(error).message);
    this.error = error;
  }
}

export interface Described {
  readonly status: 400 | 401 | 404 | 409 | 413 | 429 | 500;
  readonly code: number;
  readonly message: string;
}

/** What the caller sees. A new error does not compile until it has a status, a code and a message here. */
export function describe(error: PlatformError): Described {
  switch (error.code) {
    case "unauthorized":
      return { status: 401, code: 10000, message: "Authentication error" };
    case "rate_limited":
      return { status: 429, code: 971, message: "Please wait and consider throttling your request speed" };
    case "route_unknown":
      return {
        status: 404,
        code: 7003,
        message: `Could not route to ${error.path}, perhaps your object identifier is invalid?`,
      };
    case "namespace_unknown":
      return { status: 404, code: 100119, message: `dispatch namespace "${error.namespace}" not found` };
    case "namespace_exists":
      return { status: 409, code: 100120, message: `dispatch namespace "${error.namespace}" already exists` };
    case "namespace_in_use":
      return {
        status: 409,
        code: 100121,
        message: `dispatch namespace "${error.namespace}" still has ${error.scripts} scripts`,
      };
    case "script_unknown":
      return { status: 404, code: 10007, message: `This Worker does not exist on your account: "${error.script}"` };
    case "secret_unknown":
      return { status: 404, code: 10056, message: `Binding "${error.secret}" not found` };
    case "name_invalid":
      return {
        status: 400,
        code: 10016,
        message: `invalid ${error.what} name "${error.name}": lowercase letters, digits, "-" and "_" only, 63 at most`,
      };
    case "upload_invalid":
      return { status: 400, code: 10021, message: error.message };
    case "upload_too_large":
      return { status: 413, code: 10027, message: `the upload is larger than ${error.limitBytes} bytes` };
    case "class_unknown":
      return {
        status: 400,
        code: 10061,
        message: `Cannot create binding for class '${error.className}' because it is not currently configured to implement Durable Objects. Ensure a --new-class migration has been applied to it.`,
      };
    case "migration_mismatch":
      return {
        status: 400,
        code: 10079,
        message: `Migration tag precondition failed; current tag is ${error.current ?? "empty"}`,
      };
    case "migration_invalid":
      return { status: 400, code: 10074, message: error.message };
    case "script_broken":
      return { status: 400, code: 10021, message: error.message };
    case "script_damaged":
      return { status: 500, code: 10013, message: error.message };
    case "unsupported":
      return { status: 400, code: 10023, message: `the local platform has no ${error.what}` };
  }
}

export function fail(error: PlatformError): never {
  throw new PlatformFailure(error);
}
