/** In place of a passkey button at an address where browsers offer none: the same page where they do. */
export function PasskeysElsewhere({ url }: { readonly url: string | null }) {
  if (url === null) return <p class="soft">Passkeys need a domain name and do not work at an IP address.</p>;
  return (
    <p class="soft">
      Passkeys do not work at an IP address.{" "}
      <a href={url} data-with-code>
        Open this page at localhost
      </a>{" "}
      to use one.
    </p>
  );
}
