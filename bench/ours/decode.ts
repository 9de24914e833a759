// Our side of decoding: greedy generation of N streams in one batch. Same options and fields as ../rivals/transformers_decode.py,
// --quantize nf4, and --bits 4 or 8 for the copies that are decoded from. Decode speed leaves out the first token (the prefill).
import { parseArgs } from "@std/cli";
import { headName } from "../../lib/models/model.ts";
import { decodeIn, generate, loadModel, openDevice, processMemory } from "../../mod.ts";

const options = parseArgs(Deno.args, {
  string: ["model", "rows", "quantize"],
  default: { streams: 1, "new-tokens": 64, threads: navigator.hardwareConcurrency, bits: 0 },
});
const device = await openDevice({ backend: "cpu", threads: options.threads });
const quantize = options.quantize === "nf4" ? "nf4" : undefined;
const loaded = await loadModel(options.model, { device, quantize });
const model = options.bits ? decodeIn(loaded, { bits: options.bits }) : loaded;
const loadedBytes = processMemory().peak;
const prompts: number[][] = JSON.parse(Deno.readTextFileSync(options.rows)).slice(0, options.streams);
const newTokens: number = options["new-tokens"];

async function timed(maxNewTokens: number): Promise<{ seconds: number; answers: number[][] }> {
  const began = performance.now();
  const answers = await generate(model, prompts, {
    maxNewTokens,
    eosTokenIds: [],
    doSample: false,
    batchSize: prompts.length,
  });
  return { seconds: (performance.now() - began) / 1000, answers };
}

await timed(newTokens); // compiles the programs
const prefill = (await timed(1)).seconds;
const { seconds, answers } = await timed(newTokens);
const promptTokens = prompts.flat().length;
/** What a token reads of dense weights: all but the embedding's table, where that is not the head too. */
const tokenBytes = [...model.weights].reduce(
  (sum, [name, weight]) =>
    weight.kind === "dense" && (name !== "model.embed_tokens.weight" || name === headName(model))
      ? sum + (weight.tensor.storage as Float32Array).byteLength
      : sum,
  0,
);
console.log(JSON.stringify({
  streams: prompts.length,
  promptTokens,
  newTokens,
  prefillSeconds: prefill,
  totalSeconds: seconds,
  decodeTokensPerSecond: prompts.length * (newTokens - 1) / (seconds - prefill),
  tokensPerSecond: prompts.length * newTokens / seconds,
  prefillTokensPerSecond: promptTokens / prefill,
  tokenBytes,
  loadedBytes,
  peakBytes: processMemory().peak,
  outputIds: answers,
}));
