const [MINUTE_MS, HOUR_MS, DAY_MS] = [60_000, 60 * 60_000, 24 * 60 * 60_000];

/** A time, relative to now. The script keeps it current; the exact time is in its tooltip. */
export function Ago({ ms, nowMs = Date.now() }: { readonly ms: number; readonly nowMs?: number }) {
  const iso = isoOf(ms);
  return (
    <time datetime={iso} title={iso.slice(0, 16).replace("T", " ") + " UTC"} data-ago>
      {agoText(nowMs - ms)}
    </time>
  );
}

/** As script.ts says it, too. */
function agoText(passedMs: number): string {
  if (passedMs < MINUTE_MS) return "just now";
  if (passedMs < HOUR_MS) return `${Math.floor(passedMs / MINUTE_MS)} min ago`;
  if (passedMs < DAY_MS) return `${Math.floor(passedMs / HOUR_MS)} h ago`;
  return `${Math.floor(passedMs / DAY_MS)} d ago`;
}

export function dayOf(ms: number): string {
  return isoOf(ms).slice(0, 10);
}

/** A machine's clock may say anything; `Date` throws beyond 275,760 AD. */
function isoOf(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? new Date(0).toISOString() : date.toISOString();
}
