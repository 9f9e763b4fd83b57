import { Dial } from "#protocol/control.ts";
import * as z from "zod/mini";

/** Who dialled: the connector's event stream, and which dial of which of its processes. */
export const Caller = z.object({ stream: z.string(), dial: Dial });
export type Caller = z.infer<typeof Caller>;

/**
 * Whether `caller` was dialled before `current`, as far as that can be known.
 *
 * A hello can be stuck in the network for as long as it likes: the connector has given up that dial, or its process was
 * killed and started again, and the hello arrives after its successor's. Believing it would replace a working link by a
 * dead socket, and tell the working connector for good that another one took over. So dials are ordered by what the
 * connector says, not by arrival:
 *
 * - the dials of one process by their number;
 * - the processes of one event stream (one profile on one computer, where a lock allows one process at a time) by a count
 *   of their starts.
 *
 * Nothing orders two different connectors; there the newest hello wins. The same goes for two processes that claim the same
 * start (a copied home folder, or a disk that was too full to count), and for connectors that say nothing of their dials.
 *
 * Compare with the link that is there now, and with nothing remembered: counters go back when a computer is restored from a
 * backup, and such a machine must get in once its old link has died.
 */
export function isOlder(caller: Caller | undefined, current: Caller | undefined): boolean {
  if (caller === undefined || current === undefined || caller.stream !== current.stream) return false;
  if (caller.dial.connector === current.dial.connector) return caller.dial.number < current.dial.number;
  return caller.dial.start < current.dial.start;
}
