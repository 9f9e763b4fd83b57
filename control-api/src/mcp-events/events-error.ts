/**
 * Why a request of the events extension fails (SEP-3415, "Error Handling"). The names are the SEP's. `callback_failed` is its
 * CallbackEndpointError: the client's own endpoint could not be verified.
 */
export type EventsError =
  | { readonly code: "invalid_params"; readonly reason: string }
  | { readonly code: "not_found"; readonly kind: "event" | "subscription" }
  | { readonly code: "forbidden"; readonly reason: string }
  | { readonly code: "resource_exhausted"; readonly limit: string; readonly max: number }
  | { readonly code: "unsupported"; readonly feature: string; readonly value: string }
  | { readonly code: "callback_failed"; readonly reason: DeliveryFault };

/**
 * Why an endpoint did not take a message. These categories are all that the outside learns about an endpoint's answer. With more
 * detail, a subscription could be used to look into networks that only the server can reach.
 */
export type DeliveryFault =
  | "connection_refused"
  | "timeout"
  | "tls_error"
  | "http_4xx"
  | "http_5xx"
  | "challenge_failed";

/** An `EventsError` that is thrown. */
export class EventsFailure extends Error {
  override readonly name = "EventsFailure";
  readonly error: EventsError;

  constructor(error: EventsError) {
    super(wireErrorOf(error).message);
    this.error = error;
  }
}

/** The error as JSON-RPC has it: the SEP's code, a message that says what to do, and the SEP's `data`. */
export function wireErrorOf(error: EventsError): { code: number; message: string; data?: Record<string, unknown> } {
  switch (error.code) {
    case "invalid_params":
      return { code: -32_602, message: error.reason };
    case "not_found":
      return {
        code: -32_023,
        message:
          error.kind === "event"
            ? "There is no event of this name. events/list has them all."
            : "There is no such subscription. It may have expired; events/subscribe creates it again.",
        data: { kind: error.kind },
      };
    case "forbidden":
      return { code: -32_024, message: error.reason, data: { reason: error.reason } };
    case "resource_exhausted":
      return {
        code: -32_025,
        message: `The limit of ${error.max} ${error.limit} is reached. Unsubscribe what is not needed, or try again later.`,
        data: { limit: error.limit, max: error.max },
      };
    case "unsupported":
      return {
        code: -32_026,
        message: `${error.feature} "${error.value}" is not supported.`,
        data: { feature: error.feature, value: error.value },
      };
    case "callback_failed":
      return {
        code: -32_027,
        message: `The callback endpoint could not be verified: ${error.reason}.`,
        data: { reason: error.reason },
      };
  }
}
