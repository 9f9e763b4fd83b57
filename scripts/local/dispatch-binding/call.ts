/**
 * Carries, from the DISPATCH binding to a user script's guard, the script's own key, an id of the call and the URL the
 * caller asked for, with a space between them: the address that is dialled says none of it. Without a URL it means that
 * the caller of the call with that id has gone. An answer that bears it is the guard's and not the script's.
 */
export const CALL_HEADER = "operator-local-call";
/** The guard's answer to a call without a URL: the script has been told, or had answered already. */
export const CANCELLED = "cancelled";
/** The guard's answer to a wrong key: another script lives here now, or somebody else is calling. */
export const REFUSED = "refused";
/** The guard's answer when the script threw; the message is in the body. */
export const THREW = "threw";

/** The platform's 404 to the DISPATCH binding: when that script was removed, in milliseconds since 1970. */
export const REMOVED_HEADER = "operator-local-removed";
