/** Who is counted together in rate limits: an IPv4 address, an IPv6 /64, or this computer. Only Cloudflare sets the header in production. */
export function addressOf(request: Request): string {
  const address = request.headers.get("cf-connecting-ip");
  if (address === null) return "local";
  return address.includes(":") ? address.split(":").slice(0, 4).join(":") : address;
}
