// deno task test:load [requests] [malformed]: 100 clients stream from the small model at once, a tenth of the answers is cut off;
// then malformed requests. Fails where an answer is lost, mixed up, or memory grows; or where a malformed request is not a 4xx.
import { fromFileUrl } from "@std/path";
import { formatBytes } from "../../lib/report/format.ts";
import { tinyModel } from "../served.ts";
import { load, loadCases, serverMemory } from "./load.ts";
import { sendMalformed } from "./malformed.ts";

const [requests, malformed] = [Number(Deno.args[0] ?? 10_000), Number(Deno.args[1] ?? 5_000)];
const server = new Deno.Command(Deno.execPath(), {
  // V8 lets its heap grow as long as memory is free; within bounds only what is really held shows.
  args: [
    "run",
    "-A",
    "--no-check",
    "--v8-flags=--max-old-space-size=64,--max-semi-space-size=4",
    fromFileUrl(new URL("./server.ts", import.meta.url)),
  ],
  stdin: "piped",
  stdout: "piped",
}).spawn();
const cases = await loadCases(await tinyModel(), 56);
const { value } = await server.stdout.getReader().read(), url = new TextDecoder().decode(value).trim();

const report = await load(url, cases, { requests, clients: 100 });
console.log(
  `${requests} requests of 100 clients in ${
    report.seconds.toFixed(0)
  } s: ${report.right} right, ${report.cut} cut off, ` +
    `${report.lost.length} lost, ${report.mixed.length} mixed up, ${report.characters} characters.`,
);
console.log(`Memory of the server after each tenth: ${report.memory.map(formatBytes).join(", ")}.`);
const { statuses, wrong } = await sendMalformed(url, { count: malformed });
console.log(
  `${malformed} malformed requests: ${JSON.stringify(statuses)}; then ${
    formatBytes(await serverMemory(url))
  }.`,
);
await server.stdin.close();
await server.status;

// After the third tenth all sizes of batches have been seen.
const grown = report.memory.at(-1)! / report.memory[2] - 1;
const faults = [
  ...report.lost,
  ...report.mixed,
  ...wrong,
  ...grown > 0.1 ? [`memory grew by ${(100 * grown).toFixed(0)} %`] : [],
];
if (faults.length > 0) {
  console.error(faults.slice(0, 20).join("\n"));
  Deno.exit(1);
}
