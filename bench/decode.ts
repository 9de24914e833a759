// Greedy decoding of SmolLM2-135M on the CPU, one stream and eight, in f32 and from NF4 (8-bit copies), beside transformers in
// f32 on the same prompts; without rounding at ties the f32 answers are the same, token for token.
//   deno run -A bench/decode.ts [FOLDER] [--tokens 64] [--prompt 64] [--streams 1,8]      (FOLDER: default FINTUNE_SMOLLM2)
import { join } from "@std/path";
import { loadConfig, markdownTable, seededRandom } from "../mod.ts";
import { machine, type Memory, ours, parseArgs, rival, verdict } from "./sides.ts";

interface Decoding extends Memory {
  tokenBytes: number;
  decodeTokensPerSecond: number;
  prefillTokensPerSecond: number;
  outputIds: number[][];
}

const options = parseArgs(Deno.args, {
  string: ["_", "streams"],
  default: { tokens: 64, prompt: 64, streams: "1,8" },
});
const model = options._[0] as string ?? Deno.env.get("FINTUNE_SMOLLM2");
if (!model) throw new Error("Name SmolLM2-135M's folder, as an argument or in FINTUNE_SMOLLM2.");

/** Share of the tokens that are the rival's, up to where each stream first differs. */
function sameTokens(answers: number[][], others: number[][]): string {
  const same = answers.map((answer, b) => {
    const first = answer.findIndex((token, i) => token !== others[b][i]);
    return first < 0 ? answer.length : first;
  });
  return `${same.reduce((a, b) => a + b, 0)} of ${answers.flat().length}`;
}

/** GB of weights that decoding in f32 reads a second: all of them for every step. */
const weightsPerSecond = (side: Decoding, streams: number) =>
  side.tokenBytes * side.decodeTokensPerSecond / streams / 1e9;

const folder = await Deno.makeTempDir();
try {
  const streamCounts = options.streams.split(",").map(Number);
  const { vocabSize } = await loadConfig(model);
  const random = seededRandom(3);
  const prompts = Array.from(
    { length: Math.max(...streamCounts) },
    () => Array.from({ length: options.prompt }, () => 5 + Math.floor(random() * (vocabSize - 5))),
  );
  const rows = join(folder, "prompts.json");
  await Deno.writeTextFile(rows, JSON.stringify(prompts));
  console.log(machine());
  const table: Record<string, string | number | undefined>[] = [], verdicts: string[] = [];
  const { gigabytesPerSecond: roof } = await ours<{ gigabytesPerSecond: number }>("memory_roof.ts", {});
  console.log(`memory: ${roof.toFixed(1)} GB/s`);
  for (const streams of streamCounts) {
    const task = { model, rows, streams, "new-tokens": options.tokens };
    const full = await ours<Decoding>("decode.ts", task);
    const nf4 = await ours<Decoding>("decode.ts", { ...task, quantize: "nf4" });
    const other = await rival<Decoding>("transformers_decode.py", task);
    const sides = [["fintune f32", full], ["fintune NF4", nf4], ["transformers f32", other]] as const;
    for (const [side, result] of sides) {
      if (!result) continue;
      table.push({
        streams,
        side,
        "decode tokens/s": result.decodeTokensPerSecond.toFixed(1),
        "prefill tokens/s": result.prefillTokensPerSecond.toFixed(0),
        "weights GB/s": result === full ? weightsPerSecond(full, streams).toFixed(1) : undefined,
        "% of memory": result === full
          ? (100 * weightsPerSecond(full, streams) / roof).toFixed(0)
          : undefined,
        "peak GB": (result.peakBytes / 1e9).toFixed(2),
        "tokens as transformers'": other && result !== nf4
          ? sameTokens(result.outputIds, other.outputIds)
          : undefined,
      });
    }
    const speed = (side: Decoding | undefined) => side && { ...side, speed: side.decodeTokensPerSecond };
    const many = streams === 1 ? "1 stream" : `${streams} streams`;
    verdicts.push(verdict(`${many}, f32 beside transformers f32`, speed(full)!, speed(other)));
    verdicts.push(verdict(`${many}, NF4 beside transformers f32`, speed(nf4)!, speed(other)));
  }
  console.log(markdownTable(table));
  verdicts.forEach((line) => console.log(line));
} finally {
  await Deno.remove(folder, { recursive: true });
}
