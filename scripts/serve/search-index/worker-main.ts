import { runIndexWorker } from "./worker.ts";

await runIndexWorker();
