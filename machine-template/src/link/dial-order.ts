import { Dial } from "#protocol/control.ts";
import * as z from "zod/mini";

/** The origin of a dial: the connector's event stream, the connector process, and the number of the dial. */
export const Caller = z.object({ stream: z.string(), dial: Dial });
export type Caller = z.infer<typeof Caller>;

/**
 * Whether `caller` dialled before `current`, as far as that can be known.
 *
 * The network may delay a hello for any length of time. Meanwhile the connector gives up that dial and dials again, or its
 * process is killed and restarted, and the old hello then arrives after its successor's. Accepting it would replace a working
 * link by a dead socket, and would tell the working connector that another one took over, which is final. So dials are
 * ordered by what the connector says about them, not by arrival:
 *
 * - the dials of one process by their number;
 * - the processes of one event stream (one profile on one computer, where a lock allows one process at a time) by a count
 *   of their starts.
 *
 * Two different connectors cannot be ordered; between them the newest hello wins. The same holds for two processes with the
 * same start count (a copied home folder, or a disk too full to count on), and for connectors that do not number their dials.
 *
 * Compare only with the link that exists now, never with a stored value. The counters of a computer that is restored from a
 * backup go back, and such a machine must be accepted once its old link is gone.
 */
export function isOlder(caller: Caller | undefined, current: Caller | undefined): boolean {
  if (caller === undefined || current === undefined || caller.stream !== current.stream) return false;
  if (caller.dial.connector === current.dial.connector) return caller.dial.number < current.dial.number;
  return caller.dial.start < current.dial.start;
}
