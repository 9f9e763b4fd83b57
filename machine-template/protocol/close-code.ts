/**
 * WebSocket close codes of the link (4000-4999 are the application's, RFC 6455 section 7.4.2).
 * Fatal ones stop the connector, which says what to run; after any other code it dials again.
 */
export const CloseCode = {
  /** The peer sent something that is no frame of this protocol. */
  BAD_FRAME: 4400,
  /** The machine was removed, or its token rotated. */
  REVOKED: 4403,
  /** The peer was silent for too long. */
  SILENT: 4408,
  /** Another connector of the same machine took over. */
  REPLACED: 4409,
  /** The machine has a new name; the reason is that name. The connector dials it instead. */
  RENAMED: 4410,
  /** A newer dial of the same connector is the link, or this socket belongs to a connector process that has since been restarted. */
  SUPERSEDED: 4411,
  /** The connector speaks a protocol version the script does not. */
  PROTOCOL_TOO_OLD: 4426,
  /** The script is being replaced or is shutting down. */
  RESTARTING: 4503,
} as const;
export type CloseCode = (typeof CloseCode)[keyof typeof CloseCode];

const FATAL: ReadonlySet<number> = new Set([CloseCode.REVOKED, CloseCode.REPLACED, CloseCode.PROTOCOL_TOO_OLD]);

/** Whether dialling again with the same credentials and program would be refused the same way. */
export function isFatal(code: number): boolean {
  return FATAL.has(code);
}
