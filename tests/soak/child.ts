// Trains, evaluates, saves and answers on rows of mixed length until its time is up, and prints what it holds every few seconds.
//   child.ts MINUTES cpu|webgpu FOLDER
import { join } from "@std/path";
import {
  adamW,
  attachLoRA,
  Dataset,
  financeQA,
  generate,
  loadModel,
  openDevice,
  packBatches,
  seededRandom,
  train,
} from "../../mod.ts";

const EVERY = 4_000; // ms between samples
const STEPS = 24; // of one run; then another begins
const [minutes, backend, folder] = Deno.args;
const device = await openDevice({ backend: backend as "cpu" | "webgpu" });
const base = await loadModel(new URL("../../examples/tiny/model", import.meta.url).pathname, {
  device,
  quantize: "nf4",
  doubleQuant: true,
});
const model = attachLoRA(base, { r: 8, dropout: 0.05, targetModules: "all-linear", quiet: true });
const random = seededRandom(3), begin = Date.now(), end = begin + 60_000 * Number(minutes);
const signal = AbortSignal.timeout(end - begin);
let last = begin, steps = 0;

/** Answers of 3 to 300 words; of `longest` rows every one is as long as any will be. */
function rows(count: number, longest = false): Dataset {
  const words = [
    "bond",
    "share",
    "yield",
    "a",
    "loan",
    "to",
    "the",
    "state",
    "pays",
    "interest",
    "of",
    "risk",
  ];
  const text = (length: number) =>
    Array.from({ length }, () => words[Math.floor(random() * words.length)]).join(" ");
  const draw = longest ? () => 1 : random;
  const row = () => ({ instruction: text(3 + 20 * draw()), output: text(3 + 300 * draw() ** 3) });
  return new Dataset(Array.from({ length: count }, row), "soak");
}

// onnxruntime keeps the memory of the largest batch that it has met. The first round is of nothing but the largest, so that
// what grows afterwards is a leak, and not the first meeting of a rare length.
for (let round = 0; Date.now() < end; round++) {
  const longest = round === 0;
  const layout = { tokenizer: base.tokenizer!, prompt: financeQA, maxLength: 256, batchSize: 4 };
  const optimizer = adamW(model, { learningRate: 1e-4 }), out = join(folder, `run-${round}`);
  await train(model, packBatches(rows(60, longest), layout), {
    ...{ optimizer, out, seed: round, maxSteps: STEPS, signal, quiet: true },
    ...{ heldOut: packBatches(rows(8, longest), layout), evalSteps: 12, saveSteps: 8, saveTotalLimit: 1 },
    onStep: () => void (steps++, sample()),
  });
  const questions = rows(2, longest).map((row) => financeQA.question(row));
  await generate(model, questions, { maxNewTokens: longest ? 28 : 4 + round % 24 });
  optimizer.free();
  await Deno.remove(out, { recursive: true });
  sample();
}

/** Memory after the collection of what nothing refers to: what stays is what grows. */
function sample(): void {
  if (Date.now() - last < EVERY) return;
  last = Date.now();
  gc();
  const { rss, heapUsed, external } = Deno.memoryUsage();
  const files = [...Deno.readDirSync("/proc/self/fd")].length;
  const { live, buffers } = device.memory();
  const minute = (Date.now() - begin) / 60_000;
  console.log("@" + JSON.stringify({ minute, steps, rss, heapUsed, external, files, live, buffers }));
}

declare const gc: () => void;
