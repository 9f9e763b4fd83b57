import { keep } from "./keep.ts";

await keep(process.stdin);
