import { describe, expect, it } from "vitest";
import { AddressRates } from "../../../scripts/front/address-rates.ts";
import { CANCELS, CONNECTS, REQUESTS } from "../../../scripts/front/limits.ts";

const SECOND_MS = 1_000;

/** How many of so many attempts pass. */
function passed(times: number, attempt: () => number): number {
  return Array.from({ length: times }, attempt).filter((waitMs) => waitMs === 0).length;
}

describe("the rates of an address", () => {
  it("allow a burst of connections and of requests, then some a second, and say how long to wait", () => {
    let nowMs = 0;
    const rates = new AddressRates({ now: () => nowMs });
    expect(passed(CONNECTS.burst + 10, () => rates.connect("203.0.113.7"))).toBe(CONNECTS.burst);
    expect(passed(REQUESTS.burst + 10, () => rates.request("203.0.113.7"))).toBe(REQUESTS.burst);
    expect(rates.request("203.0.113.7")).toBe(SECOND_MS / REQUESTS.perSecond);
    nowMs = SECOND_MS;
    expect(passed(10 * CONNECTS.perSecond, () => rates.connect("203.0.113.7"))).toBe(CONNECTS.perSecond);
    expect(passed(10 * REQUESTS.perSecond, () => rates.request("203.0.113.7"))).toBe(REQUESTS.perSecond);
  });

  it("refuse further requests of one that has left too many unanswered, until some time has passed", () => {
    let nowMs = 0;
    const rates = new AddressRates({ now: () => nowMs });
    for (let times = 0; times < CANCELS.burst; times += 1) {
      expect(rates.request("203.0.113.7")).toBe(0);
      rates.cancel("203.0.113.7");
    }
    expect(rates.request("203.0.113.7")).toBe(SECOND_MS / CANCELS.perSecond);
    nowMs = SECOND_MS;
    expect(rates.request("203.0.113.7")).toBe(0);
  });

  it("are used up for nobody else", () => {
    const rates = new AddressRates({ now: () => 0 });
    passed(CONNECTS.burst + 1, () => rates.connect("203.0.113.7"));
    expect(rates.connect("203.0.113.8")).toBe(0);
  });

  it.each([
    ["203.0.113.7", "203.0.113.7", 0],
    ["2001:db8:1:2::3", "2001:db8:1:2:ffff::4", 0],
    ["2001:db8:1:2::3", "2001:DB8:1:2:0:0:0:5", 0],
    ["2001:db8:1:2::3", "2001:db8:1:3::3", 1],
  ])("belong to an IPv4 address or a /64 network: %s and %s", (one, other, allowed) => {
    const rate = { perSecond: 1, burst: 1 };
    const rates = new AddressRates({ rates: { connects: rate, requests: rate, cancels: rate }, now: () => 0 });
    rates.connect(one);
    expect(passed(1, () => rates.connect(other))).toBe(allowed);
  });

  it.each(["127.0.0.1", "127.1.2.3", "::1"])(
    "do not exist for %s, which may be a proxy or a tunnel in front of many people",
    (address) => {
      const rates = new AddressRates({ now: () => 0 });
      expect(passed(2 * REQUESTS.burst, () => rates.request(address))).toBe(2 * REQUESTS.burst);
    },
  );

  it.each(["128.0.0.1", "12.7.0.1", "::1:2", "::127.0.0.1"])(
    "exist for %s, which only looks like one of those",
    (address) => {
      const rates = new AddressRates({ now: () => 0 });
      expect(passed(2 * CONNECTS.burst, () => rates.connect(address))).toBe(CONNECTS.burst);
    },
  );

  it("are kept for so many addresses, of which the first makes room", () => {
    const rate = { perSecond: 1, burst: 1 };
    const rates = new AddressRates({
      rates: { connects: rate, requests: rate, cancels: rate },
      maxAddresses: 2,
      now: () => 0,
    });
    const connect = (...hosts: number[]) => hosts.map((host) => rates.connect(`203.0.113.${host}`) === 0);
    expect(connect(1, 2, 1, 2)).toEqual([true, true, false, false]);
    expect(connect(3, 2, 1)).toEqual([true, false, true]);
  });
});
