// llama.cpp's side of decoding: a GGUF file through the prebuilt libraries of npm's node-llama-cpp (x64 Linux), called directly,
// with its own defaults (f16 cache, flash attention where it has it). Same options and fields as ../ours/decode.ts.
import { getBinsDir } from "@node-llama-cpp/linux-x64";
import { parseArgs } from "@std/cli";
import { join } from "@std/path";
import { processMemory } from "../../mod.ts";

const options = parseArgs(Deno.args, {
  string: ["model", "rows"],
  default: { streams: 1, "new-tokens": 64, threads: navigator.hardwareConcurrency },
});
const prompts: number[][] = JSON.parse(Deno.readTextFileSync(options.rows)).slice(0, options.streams);
const newTokens: number = options["new-tokens"];

/** Structures that go by value, as so many 64-bit words: only their size matters to the call. */
const words = (count: number) => ({ struct: new Array<"u64">(count).fill("u64") } as const);
const modelParams = words(10), contextParams = words(20), batchStruct = words(7);
const folder = join(getBinsDir().binsDir, "linux-x64");
const ggml = Deno.dlopen(join(folder, "libggml.v0.5.0.so"), {
  ggml_backend_load_all_from_path: { parameters: ["buffer"], result: "void" },
}).symbols;
const llama = Deno.dlopen(join(folder, "libllama.v0.5.0.so"), {
  llama_log_set: { parameters: ["function", "pointer"], result: "void" },
  llama_model_default_params: { parameters: [], result: modelParams },
  llama_context_default_params: { parameters: [], result: contextParams },
  llama_model_load_from_file: { parameters: ["buffer", modelParams], result: "pointer" },
  llama_init_from_model: { parameters: ["pointer", contextParams], result: "pointer" },
  llama_model_get_vocab: { parameters: ["pointer"], result: "pointer" },
  llama_vocab_n_tokens: { parameters: ["pointer"], result: "i32" },
  llama_get_memory: { parameters: ["pointer"], result: "pointer" },
  llama_memory_clear: { parameters: ["pointer", "bool"], result: "void" },
  llama_decode: { parameters: ["pointer", batchStruct], result: "i32" },
  llama_get_logits_ith: { parameters: ["pointer", "i32"], result: "pointer" },
}).symbols;
const silent = new Deno.UnsafeCallback(
  { parameters: ["i32", "pointer", "pointer"], result: "void" },
  () => {},
);
const text = (value: string) => new TextEncoder().encode(`${value}\0`);
llama.llama_log_set(silent.pointer, null);
ggml.ggml_backend_load_all_from_path(text(folder));

const model = llama.llama_model_load_from_file(text(options.model!), llama.llama_model_default_params());
if (!model) throw new Error(`llama.cpp refuses ${options.model}.`);
const params = llama.llama_context_default_params();
const view = new DataView(params.buffer, params.byteOffset, params.byteLength);
const room = Math.ceil((Math.max(...prompts.map(({ length }) => length)) + newTokens + 1) / 256) * 256;
view.setUint32(0, room * prompts.length, true); // n_ctx: of all sequences
view.setUint32(12, prompts.length, true); // n_seq_max
for (const at of [28, 32]) view.setInt32(at, options.threads, true);
const context = llama.llama_init_from_model(model, params);
if (!context) throw new Error("llama.cpp makes no context.");
const vocabulary = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model));

interface Token {
  id: number;
  position: number;
  sequence: number;
  wanted: boolean;
}

/** One call of llama_decode; the likeliest next token of every token that is wanted, in order. */
function decode(tokens: readonly Token[]): number[] {
  const count = tokens.length,
    address = (memory: BufferSource) => Deno.UnsafePointer.value(Deno.UnsafePointer.of(memory));
  const ids = Int32Array.from(tokens, ({ id }) => id);
  const positions = Int32Array.from(tokens, ({ position }) => position);
  const counts = new Int32Array(count).fill(1);
  const sequences = Int32Array.from(tokens, ({ sequence }) => sequence);
  const first = address(sequences);
  const pointers = BigUint64Array.from(tokens, (_, i) => first + 4n * BigInt(i));
  const wanted = Int8Array.from(tokens, ({ wanted }) => Number(wanted));
  const parts = [ids, positions, counts, pointers, wanted].map(address);
  const batch = BigUint64Array.of(BigInt(count), parts[0], 0n, ...parts.slice(1));
  const code = llama.llama_decode(context, new Uint8Array(batch.buffer));
  if (code !== 0) throw new Error(`llama_decode gave ${code}.`);
  return tokens.flatMap(({ wanted }, i) => wanted ? [likeliest(i)] : []);
}

function likeliest(row: number): number {
  const pointer = llama.llama_get_logits_ith(context, row)!;
  const logits = new Float32Array(Deno.UnsafePointerView.getArrayBuffer(pointer, vocabulary * 4));
  let best = 0;
  for (let id = 1; id < vocabulary; id++) if (logits[id] > logits[best]) best = id;
  return best;
}

function timed(count: number): { prefill: number; seconds: number; answers: number[][] } {
  llama.llama_memory_clear(llama.llama_get_memory(context), true);
  const began = performance.now();
  let next = prompts.flatMap((prompt, sequence) =>
    decode(prompt.map((id, position) => ({ id, position, sequence, wanted: position + 1 === prompt.length })))
  );
  const prefill = (performance.now() - began) / 1000;
  const answers = next.map((id) => [id]);
  for (let step = 1; step < count; step++) {
    next = decode(
      next.map((id, sequence) => ({
        id,
        position: prompts[sequence].length + step - 1,
        sequence,
        wanted: true,
      })),
    );
    next.forEach((id, sequence) => answers[sequence].push(id));
  }
  return { prefill, seconds: (performance.now() - began) / 1000, answers };
}

timed(newTokens); // warms up, as our side compiles its programs
const { prefill, seconds, answers } = timed(newTokens);
const promptTokens = prompts.flat().length;
console.log(JSON.stringify({
  streams: prompts.length,
  promptTokens,
  newTokens,
  prefillSeconds: prefill,
  totalSeconds: seconds,
  decodeTokensPerSecond: prompts.length * (newTokens - 1) / (seconds - prefill),
  tokensPerSecond: prompts.length * newTokens / seconds,
  prefillTokensPerSecond: promptTokens / prefill,
  tokenBytes: 0,
  peakBytes: processMemory().peak,
  outputIds: answers,
}));
silent.close();
Deno.exit(0);
