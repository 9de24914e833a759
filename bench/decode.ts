// Greedy decoding on the CPU, one stream and eight: in f32 beside transformers in f32 (without rounding at ties the answers are
// the same, token for token), and from 4-bit weights (NF4, decoded from 8-bit copies or as it is) beside llama.cpp's Q4_0.
//   deno run -A bench/decode.ts [FOLDER] [--tokens 64] [--prompt 64] [--streams 1,8] [--rounds 1]
//   deno run -A bench/decode.ts --tinyllama FOLDER --tokenizer FOLDER --tokens 200 --streams 1
// FOLDER: SmolLM2-135M, default FINTUNE_SMOLLM2. --tinyllama: random weights in TinyLlama's shape are written there (2.2 GB, and
// its Q4_0), with the tokenizer of --tokenizer; no f32 sides. With several rounds every figure is the best one of them.
import { join } from "@std/path";
import { exportGGUF, loadConfig, loadModel, markdownTable, seededRandom } from "../mod.ts";
import { machine, type Memory, ours, parseArgs, rival, verdict } from "./sides.ts";
import { writeTinyLlama } from "./tinyllama.ts";

interface Decoding extends Memory {
  tokenBytes: number;
  totalSeconds: number;
  decodeTokensPerSecond: number;
  prefillTokensPerSecond: number;
  outputIds: number[][];
}

type Task = Record<string, string | number>;

const options = parseArgs(Deno.args, {
  string: ["_", "streams", "tinyllama", "tokenizer"],
  default: { tokens: 64, prompt: 64, streams: "1,8", rounds: 1 },
});
const model = options.tinyllama ?? options._[0] as string ?? Deno.env.get("FINTUNE_SMOLLM2");
if (!model) throw new Error("Name SmolLM2-135M's folder, as an argument or in FINTUNE_SMOLLM2.");

/** Share of the tokens that are the rival's, up to where each stream first differs. */
function sameTokens(answers: number[][], others: number[][]): string {
  const same = answers.map((answer, b) => {
    const first = answer.findIndex((token, i) => token !== others[b][i]);
    return first < 0 ? answer.length : first;
  });
  return `${same.reduce((a, b) => a + b, 0)} of ${answers.flat().length}`;
}

/** TinyLlama's shape with a tokenizer, which GGUF files hold. */
async function prepareTinyLlama(folder: string): Promise<void> {
  await writeTinyLlama(folder);
  for (const file of ["tokenizer.json", "tokenizer_config.json"]) {
    await Deno.copyFile(join(options.tokenizer!, file), join(folder, file));
  }
}

/** The model as llama.cpp's Q4_0, made once. */
async function quantised(folder: string): Promise<string> {
  const path = join(folder, "q4_0.gguf");
  if (!(await Deno.stat(path).catch(() => undefined))) {
    await exportGGUF(await loadModel(model!), path, { type: "q4_0" });
  }
  return path;
}

/** The quickest of several rounds in which all sides take turns. */
async function best(
  sides: Record<string, () => Promise<Decoding | undefined>>,
): Promise<Map<string, Decoding>> {
  const found = new Map<string, Decoding>();
  for (let round = 0; round < options.rounds; round++) {
    for (const [name, run] of Object.entries(sides)) {
      const result = await run(), known = found.get(name);
      if (result && !(known && known.decodeTokensPerSecond > result.decodeTokensPerSecond)) {
        found.set(name, result);
      }
    }
  }
  return found;
}

const sidesOf = (task: Task, gguf: string): Record<string, () => Promise<Decoding | undefined>> => ({
  ...(options.tinyllama ? {} : {
    "fintune f32": () => ours<Decoding>("decode.ts", task),
    "transformers f32": () => rival<Decoding>("transformers_decode.py", task),
  }),
  "fintune NF4 (8-bit copies)": () => ours<Decoding>("decode.ts", { ...task, quantize: "nf4" }),
  "fintune NF4 in 4 bits": () => ours<Decoding>("decode.ts", { ...task, quantize: "nf4", bits: 4 }),
  "llama.cpp Q4_0": () => rival<Decoding>("llama_cpp_decode.ts", { ...task, model: gguf }),
});

const folder = await Deno.makeTempDir();
try {
  if (options.tinyllama) await prepareTinyLlama(options.tinyllama);
  const gguf = await quantised(options.tinyllama ?? folder);
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
    const found = await best(sidesOf({ model, rows, streams, "new-tokens": options.tokens }, gguf));
    const full = found.get("fintune f32"), exact = found.get("transformers f32");
    for (const [side, result] of found) {
      const read = result === full && result.tokenBytes * result.decodeTokensPerSecond / streams / 1e9;
      table.push({
        streams,
        side,
        "decode tokens/s": result.decodeTokensPerSecond.toFixed(1),
        "prefill tokens/s": result.prefillTokensPerSecond.toFixed(0),
        [`${options.tokens} tokens s`]: result.totalSeconds.toFixed(2),
        "weights GB/s": read ? read.toFixed(1) : undefined,
        "% of memory": read ? (100 * read / roof).toFixed(0) : undefined,
        "peak GB": (result.peakBytes / 1e9).toFixed(2),
        "tokens as transformers'": exact && result === full
          ? sameTokens(result.outputIds, exact.outputIds)
          : undefined,
      });
    }
    const speed = (side?: Decoding) => side && { ...side, speed: side.decodeTokensPerSecond };
    const many = streams === 1 ? "1 stream" : `${streams} streams`;
    for (
      const [mine, theirs] of [
        ["fintune f32", "transformers f32"],
        ["fintune NF4 (8-bit copies)", "llama.cpp Q4_0"],
        ["fintune NF4 in 4 bits", "llama.cpp Q4_0"],
      ]
    ) {
      const side = speed(found.get(mine));
      if (side) verdicts.push(verdict(`${many}, ${mine} beside ${theirs}`, side, speed(found.get(theirs))));
    }
  }
  console.log(markdownTable(table));
  verdicts.forEach((line) => console.log(line));
} finally {
  await Deno.remove(folder, { recursive: true });
}
