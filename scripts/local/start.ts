import { keepLoopbackUnproxied } from "../system/loopback-unproxied.ts";
import { startHere } from "./start-here.ts";

keepLoopbackUnproxied();
await startHere(process.argv.slice(2));
