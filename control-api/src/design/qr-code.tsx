import { qrPathOf } from "./qr-path.ts";

type QrCodeProps = {
  readonly text: string;
  /** What it leads to, for those who cannot see it. The text also stands beside it. */
  readonly label: string;
};

/**
 * A text for another device's camera. It is dark on light in a dark design as well, because many cameras read nothing else. Its size in
 * the page is the style sheet's.
 */
export function QrCode({ text, label }: QrCodeProps) {
  const { size, path } = qrPathOf(text);
  return (
    <svg class="qr" viewBox={`0 0 ${size} ${size}`} role="img" aria-label={label} shape-rendering="crispEdges">
      <path class="light" d={`M0 0h${size}v${size}H0z`} />
      <path d={path} />
    </svg>
  );
}
