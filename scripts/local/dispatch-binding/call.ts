/**
 * Request header from the DISPATCH binding to a user script's guard: the script's key, the call's id and the URL that the
 * caller requested, separated by spaces. The connection itself goes to 127.0.0.1 and carries none of them. Without a URL
 * the request means that the caller of the call with that id has disconnected. On a response, the header marks an answer
 * of the guard, as opposed to one of the script.
 */
export const CALL_HEADER = "operator-local-call";
/** The guard's answer to a request without a URL: the script's signal was aborted, or the call had already been answered. */
export const CANCELLED = "cancelled";
/**
 * In place of a call's id: the platform asks whether the script has no call open, since it wants to restart it. If so, the guard
 * refuses all calls from then on, so that none begins before the process ends. Only an unkind platform asks (hostility/restarts.ts).
 */
export const CLOSING = "closing?";
/** The guard's answer to a wrong key: the caller has the key of another script, or none. */
export const REFUSED = "refused";
/** The guard's answer when the script threw an exception; the exception's message is the body. */
export const THREW = "threw";

/** Header of the platform's 404 to the DISPATCH binding: when the script was removed, in milliseconds since 1970. */
export const REMOVED_HEADER = "operator-local-removed";
