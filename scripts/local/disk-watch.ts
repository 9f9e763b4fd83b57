import { freeSpaceOf } from "../system/free-space.ts";

/** Below this any database write may fail: SQLite's log alone takes 4 MB for each object that is written to. */
const LOW_BYTES = 32 * 1024 * 1024;
/** As many files: an object that is written to has three at most. */
const LOW_FILES = 1_000;
/** Frequent enough to warn before the first failed write, even on a disk that fills by a gigabyte a minute. */
const LOOK_MS = 10_000;

/** Reports when the disk of a folder becomes nearly full, and when it has space again. */
export function watchDisk(folder: string, report: (line: string) => void): { stop(): void } {
  let isLow = false;
  const look = async () => {
    const { bytes, files } = await freeSpaceOf(folder);
    if ((bytes < LOW_BYTES || files < LOW_FILES) === isLow) return;
    isLow = !isLow;
    const free = `${Math.floor(bytes / 1024 / 1024)} MB${files < LOW_FILES ? ` and room for ${files} files` : ""}`;
    report(
      isLow
        ? `the disk of ${folder} is full (${free} left): nothing new can be stored until some space is freed there`
        : `the disk of ${folder} has space again (${free})`,
    );
  };
  const tick = () =>
    void look().catch((error: unknown) => report(`the free space of ${folder} cannot be determined: ${String(error)}`));
  tick();
  const timer = setInterval(tick, LOOK_MS);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}
