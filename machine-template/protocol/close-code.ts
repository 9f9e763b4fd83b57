/**
 * WebSocket close codes of the link (4000 to 4999 are for applications, RFC 6455 section 7.4.2). After a fatal code the
 * connector stops and says what to run. After any other code it dials again.
 */
export const CloseCode = {
  /** The peer sent something that is not a frame of this protocol. */
  BAD_FRAME: 4400,
  /** The machine was removed, its token rotated, its name taken over, or the link is bound to another key. */
  REVOKED: 4403,
  /** The peer was silent for longer than `LINK_SILENCE_MS`. */
  SILENT: 4408,
  /** Another connector of the same machine took over. */
  REPLACED: 4409,
  /** The machine was renamed. The close reason is the new name, and the connector dials that one from now on. */
  RENAMED: 4410,
  /**
   * A newer dial of the same connector has taken over, or this socket belongs to a connector process that has since been
   * restarted.
   */
  SUPERSEDED: 4411,
  /** The connector speaks a protocol version that the script does not. */
  PROTOCOL_TOO_OLD: 4426,
  /** The script is being replaced or is shutting down. */
  RESTARTING: 4503,
} as const;
export type CloseCode = (typeof CloseCode)[keyof typeof CloseCode];

const FATAL: ReadonlySet<number> = new Set([CloseCode.REVOKED, CloseCode.REPLACED, CloseCode.PROTOCOL_TOO_OLD]);

/** Whether a connector that dials again with the same credentials and the same program would be refused again. */
export function isFatal(code: number): boolean {
  return FATAL.has(code);
}
