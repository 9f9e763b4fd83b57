/** One file of a tarball. */
export type TarFile = { path: string; mode: number; content: Buffer };

/** Times and owners are fixed, so that the same files make the same bytes. */
const MODIFIED_S = 499_162_500; // 1985-10-26, as npm packs

const BLOCK_BYTES = 512;

/** A tar archive (POSIX.1-1988 ustar) of a few files with short names. */
export function tarball(files: readonly TarFile[]): Buffer {
  const parts = files.flatMap((file) => [header(file), padded(file.content)]);
  return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK_BYTES)]);
}

function header({ path, mode, content }: TarFile): Buffer {
  if (Buffer.byteLength(path) > 100)
    throw new Error(`a name of over 100 bytes does not fit a plain tar header: ${path}`);
  const block = Buffer.alloc(BLOCK_BYTES);
  block.write(path, 0);
  block.write(octal(mode, 7), 100);
  block.write(octal(0, 7), 108);
  block.write(octal(0, 7), 116);
  block.write(octal(content.length, 11), 124);
  block.write(octal(MODIFIED_S, 11), 136);
  block.write("        ", 148); // the checksum counts itself as blanks
  block.write("0", 156);
  block.write("ustar\u{0}00", 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${octal(sum, 6)}\0 `, 148);
  return block;
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, "0");
}

function padded(content: Buffer): Buffer {
  const rest = content.length % BLOCK_BYTES;
  return rest === 0 ? content : Buffer.concat([content, Buffer.alloc(BLOCK_BYTES - rest)]);
}
