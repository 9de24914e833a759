// Generates a file, streams it through map, filter, dedupe and save, and prints the process's peak memory. By itself:
// deno task test:stream --format jsonl   (csv, tsv, txt, json, jsonl.gz, csv.gz). Fails where the peak is above --most megabytes.
import { parseArgs } from "@std/cli";
import { streamDataset } from "../lib/data/load.ts";
import type { Row } from "../lib/data/row.ts";
import { RowStream } from "../lib/data/stream.ts";

const { megabytes, format, most } = parseArgs(Deno.args, { string: ["megabytes", "format", "most"] });
const bytes = Number(megabytes ?? 500) * 1e6, ending = format ?? "jsonl";
const folder = await Deno.makeTempDir();
const filler = "Income over price, paid twice a year on the par value of the bond. ".repeat(6);

function* rows(): Generator<Record<string, string>> {
  for (let written = 0, n = 0; written < bytes; n++) {
    const row: Record<string, string> = ending.startsWith("txt") ? { text: `${n} ${filler}` } : {
      instruction: `Define yield, the ${n % 5 === 0 ? n - n % 1000 : n}th time.`,
      input: "",
      output: filler + n,
    };
    written += filler.length + 90;
    yield row;
  }
}

try {
  const source = `${folder}/source.${ending}`;
  if (ending.startsWith("txt")) {
    const lines = ReadableStream.from(rows()).pipeThrough(
      new TransformStream({ transform: (row, out) => out.enqueue(`${row.text}\n`) }),
    );
    await Deno.writeFile(source, lines.pipeThrough(new TextEncoderStream()));
  } else await RowStream.from(rows()).save(source);

  let peakBytes = 0;
  const watch = setInterval(() => peakBytes = Math.max(peakBytes, Deno.memoryUsage().rss), 5);
  const start = performance.now();
  const written = await streamDataset(source)
    .map((row): Row => ({ ...row, length: Object.values(row).join(" ").length }))
    .filter((row) => row.length > 20)
    .dedupe((row) => row.text ?? row.instruction)
    .save(`${folder}/clean.jsonl`);
  const seconds = (performance.now() - start) / 1000;
  clearInterval(watch);
  // The kernel's own high-water mark where there is one: it misses nothing, and counts the generation as well.
  const status = await Deno.readTextFile("/proc/self/status").catch(() => "");
  const highWater = Number(/VmHWM:\s*(\d+)/.exec(status)?.[1] ?? 0) * 1024;
  peakBytes = Math.max(peakBytes, highWater);
  const fileBytes = (await Deno.stat(source)).size;
  console.log(JSON.stringify({
    fileBytes,
    peakBytes,
    written,
    seconds: Number(seconds.toFixed(2)),
    megabytesPerSecond: Math.round(fileBytes / 1e6 / seconds),
  }));
  if (peakBytes > Number(most ?? Infinity) * 1e6) Deno.exitCode = 1;
} finally {
  await Deno.remove(folder, { recursive: true });
}
