/** Below this, looking at memory as words takes longer than going through its bytes. */
const SHORT_BYTES = 1_024;

const WORD_BYTES = 4;

/**
 * Masks a WebSocket frame (RFC 6455, section 5.3): each byte is combined by XOR with one of the key's four, in turn. `length` bytes of `source`
 * go to `output` from `offset` on, which may be the memory that they are in.
 *
 * `ws` looks for this function in the native package `bufferutil`, in whose place it is bundled (scripts/build/codez.ts). By itself `ws` goes byte
 * by byte, which took a third of the connector's CPU in results of 1 MB. Words take a ninth of that.
 */
export function mask(source: Uint8Array, key: Uint8Array, output: Uint8Array, offset: number, length: number): void {
  const lead = length < SHORT_BYTES ? length : -(output.byteOffset + offset) & (WORD_BYTES - 1); // to the next whole word
  const count = Math.floor((length - lead) / WORD_BYTES);
  const rest = lead + count * WORD_BYTES;
  maskBytes(source, key, output, offset, 0, lead);
  if (count > 0) {
    output.set(source.subarray(lead, rest), offset + lead);
    const words = new Int32Array(output.buffer, output.byteOffset + offset + lead, count);
    const [keyWord = 0] = new Int32Array(Uint8Array.from(key, (_, at) => key[(lead + at) % WORD_BYTES] ?? 0).buffer);
    for (let at = 0; at < count; at += 1) words[at] = (words[at] ?? 0) ^ keyWord;
  }
  maskBytes(source, key, output, offset, rest, length);
}

function maskBytes(
  source: Uint8Array,
  key: Uint8Array,
  output: Uint8Array,
  offset: number,
  from: number,
  to: number,
): void {
  for (let at = from; at < to; at += 1) output[offset + at] = (source[at] ?? 0) ^ (key[at % WORD_BYTES] ?? 0);
}
