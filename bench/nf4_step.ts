// A 512-token LoRA step of a TinyLlama-shaped model (1.1 B random weights) in NF4 on the CPU: seconds, resident bytes of the
// weights, and peak memory with the loading in it, which must stay within 4 GB. Beside it PEFT over bitsandbytes' NF4.
//   deno run -A bench/nf4_step.ts [--steps 3] [--length 512] [--layers 22] [--keep FOLDER] [--no-rival]
// The model is written to a temporary folder (2.2 GB, f16, in shards), or to FOLDER, where a later run finds it.
import { join } from "@std/path";
import { markdownTable, seededRandom } from "../mod.ts";
import { gigabytes, machine, type Memory, ours, parseArgs, rival, verdict } from "./sides.ts";
import { tinyLlama, writeTinyLlama } from "./tinyllama.ts";

interface Training extends Memory {
  tokensPerSecond: number;
  secondsPerStep: number;
  firstStepSeconds: number;
  loadSeconds: number;
  loadedBytes: number;
  weightBytes?: number;
  losses: number[];
}

const options = parseArgs(Deno.args, {
  string: ["keep"],
  boolean: ["rival"],
  negatable: ["rival"],
  default: { steps: 3, length: 512, layers: 22, rival: true },
});

const folder = options.keep ?? await Deno.makeTempDir();
const scratch = await Deno.makeTempDir();
try {
  await writeTinyLlama(folder, options.layers);
  const { vocab_size: vocabulary } = tinyLlama();
  const random = seededRandom(0);
  const row = Array.from({ length: options.length }, () => 5 + Math.floor(random() * (vocabulary - 5)));
  const rows = join(scratch, "rows.json"), adapter = join(scratch, "adapter");
  await Deno.writeTextFile(rows, JSON.stringify([row]));
  const task = {
    model: folder,
    rows,
    steps: options.steps,
    "batch-size": 1,
    "max-length": options.length,
    quantize: "nf4",
  };
  console.log(machine());
  const mine = await ours<Training>("train.ts", { ...task, "save-adapter": adapter });
  const theirs = options.rival ? await rival<Training>("peft_train.py", { ...task, adapter }) : undefined;
  const table = ([["fintune", mine], ["PEFT + bitsandbytes", theirs]] as const).flatMap(([side, result]) =>
    result
      ? [{
        side,
        "load s": result.loadSeconds.toFixed(1),
        "peak GB of loading": (result.loadedBytes / 1e9).toFixed(2),
        "weights GB": result.weightBytes ? (result.weightBytes / 1e9).toFixed(3) : undefined,
        "first step s": result.firstStepSeconds.toFixed(1),
        "step s": result.secondsPerStep.toFixed(1),
        "peak GB": (result.peakBytes / 1e9).toFixed(2),
        "first loss": result.losses[0].toFixed(4),
        "last loss": result.losses.at(-1)!.toFixed(4),
      }]
      : []
  );
  console.log(markdownTable(table));
  const within = mine.peakBytes <= 4e9 ? "within" : "ABOVE";
  console.log(`Peak memory with loading: ${gigabytes(mine.peakBytes)}, ${within} 4 GB.`);
  const speed = (side: Training | undefined) => side && { ...side, speed: side.tokensPerSecond };
  if (options.rival) console.log(verdict("Beside PEFT + bitsandbytes", speed(mine)!, speed(theirs)));
} finally {
  await Deno.remove(scratch, { recursive: true });
  if (!options.keep) await Deno.remove(folder, { recursive: true });
}
