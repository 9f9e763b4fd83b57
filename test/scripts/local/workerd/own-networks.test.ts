import { networkInterfaces, type NetworkInterfaceInfo } from "node:os";
import { expect, test } from "vitest";
import { ownNetworks } from "../../../../scripts/local/workerd/own-networks.ts";

const at = (cidr: string | null): NetworkInterfaceInfo => ({
  address: cidr?.split("/")[0] ?? "",
  netmask: "",
  family: "IPv4",
  mac: "",
  internal: false,
  cidr,
});

test("each network of each interface is named once; one with a mask that is none is left out", () => {
  expect(ownNetworks({ eth0: [at("8.200.0.1/24"), at("10.0.0.5/8")], eth1: [at("8.200.0.1/24"), at(null)] })).toEqual([
    "8.200.0.1/24",
    "10.0.0.5/8",
  ]);
});

test("this computer's own loopback is among them", () => {
  expect(Object.keys(networkInterfaces())).not.toEqual([]);
  expect(ownNetworks()).toContain("127.0.0.1/8");
});
