// The real llama.cpp, by the prebuilt libraries of npm's node-llama-cpp (x64 Linux), called directly: what tokens, logits and
// answers a GGUF file gives there. Version 0.5.0 of its C interface (llama.h).
import { getBinsDir } from "@node-llama-cpp/linux-x64";
import { join } from "@std/path";

const folder = join(getBinsDir().binsDir, "linux-x64");

/** Structures that go by value, as so many 64-bit words: only their size matters to the call. */
const words = (count: number) => ({ struct: new Array<"u64">(count).fill("u64") } as const);
const modelParams = words(10), contextParams = words(20), batchStruct = words(7), quantizeParams = words(8);

const base = Deno.dlopen(join(folder, "libggml-base.so"), {
  ggml_quantize_chunk: {
    parameters: ["i32", "buffer", "buffer", "i64", "i64", "i64", "pointer"],
    result: "usize",
  },
}).symbols;
const ggml = Deno.dlopen(join(folder, "libggml.v0.5.0.so"), {
  ggml_backend_load_all_from_path: { parameters: ["buffer"], result: "void" },
}).symbols;
const llama = Deno.dlopen(join(folder, "libllama.v0.5.0.so"), {
  llama_log_set: { parameters: ["function", "pointer"], result: "void" },
  llama_model_default_params: { parameters: [], result: modelParams },
  llama_context_default_params: { parameters: [], result: contextParams },
  llama_model_quantize_default_params: { parameters: [], result: quantizeParams },
  llama_model_load_from_file: { parameters: ["buffer", modelParams], result: "pointer" },
  llama_model_quantize: { parameters: ["buffer", "buffer", "buffer"], result: "u32" },
  llama_init_from_model: { parameters: ["pointer", contextParams], result: "pointer" },
  llama_model_get_vocab: { parameters: ["pointer"], result: "pointer" },
  llama_model_has_encoder: { parameters: ["pointer"], result: "bool" },
  llama_model_decoder_start_token: { parameters: ["pointer"], result: "i32" },
  llama_vocab_n_tokens: { parameters: ["pointer"], result: "i32" },
  llama_vocab_is_eog: { parameters: ["pointer", "i32"], result: "bool" },
  llama_tokenize: {
    parameters: ["pointer", "buffer", "i32", "buffer", "i32", "bool", "bool"],
    result: "i32",
  },
  llama_token_to_piece: { parameters: ["pointer", "i32", "buffer", "i32", "i32", "bool"], result: "i32" },
  llama_adapter_lora_init: { parameters: ["pointer", "buffer"], result: "pointer" },
  llama_set_adapters_lora: { parameters: ["pointer", "buffer", "usize", "buffer"], result: "i32" },
  llama_get_memory: { parameters: ["pointer"], result: "pointer" },
  llama_memory_clear: { parameters: ["pointer", "bool"], result: "void" },
  llama_encode: { parameters: ["pointer", batchStruct], result: "i32" },
  llama_decode: { parameters: ["pointer", batchStruct], result: "i32" },
  llama_get_logits_ith: { parameters: ["pointer", "i32"], result: "pointer" },
  llama_free: { parameters: ["pointer"], result: "void" },
  llama_model_free: { parameters: ["pointer"], result: "void" },
}).symbols;

const text = (value: string) => new TextEncoder().encode(`${value}\0`);
const said: string[] = []; // what llama.cpp last logged: the reason when something fails
const log = new Deno.UnsafeCallback(
  { parameters: ["i32", "pointer", "pointer"], result: "void" },
  (_level, message) => {
    if (message) said.push(new Deno.UnsafePointerView(message).getCString());
    if (said.length > 30) said.shift();
  },
);
llama.llama_log_set(log.pointer, null);
ggml.ggml_backend_load_all_from_path(text(folder));

/** A loaded model. */
export interface LlamaCpp {
  /** With `special`: the model's BOS or EOS is added; special tokens in the text are always recognised. */
  tokenize(text: string, options?: { special?: boolean }): number[];
  /** A token's text. */
  piece(id: number): string;
  /** Whether generation stops at a token. */
  isEnd(id: number): boolean;
  /** The logits behind every token; of an encoder-decoder `ids` are the decoder's and `question` the encoder's. */
  logits(ids: readonly number[], question?: readonly number[]): Float32Array[];
  /** The likeliest tokens behind a prompt, until an end (which is included) or so many. */
  greedy(prompt: readonly number[], count: number): number[];
  close(): void;
}

/** Opens a GGUF file with everything in float32 that is not a weight; `lora` is an adapter's GGUF file. */
export function openLlamaCpp(path: string, options: { context?: number; lora?: string } = {}): LlamaCpp {
  const { context = 512, lora } = options;
  const model = failing(
    llama.llama_model_load_from_file(text(path), llama.llama_model_default_params()),
    path,
  );
  const params = llama.llama_context_default_params();
  const view = new DataView(params.buffer, params.byteOffset, params.byteLength);
  for (const at of [0, 4, 8]) view.setUint32(at, context, true); // n_ctx, n_batch, n_ubatch
  for (const at of [28, 32]) view.setInt32(at, 1, true); // threads, which would spin while they wait for one another
  view.setInt32(52, 0, true); // no flash attention
  for (const at of [104, 108]) view.setInt32(at, 0, true); // the cache in f32
  const running = failing(llama.llama_init_from_model(model, params), path);
  if (lora !== undefined) useAdapter(model, running, lora);
  const vocab = llama.llama_model_get_vocab(model), size = llama.llama_vocab_n_tokens(vocab);
  const run = (call: "llama_encode" | "llama_decode", ids: readonly number[], from: number) => {
    const { batch, keep } = batchOf(ids, from);
    const code = llama[call](running, batch);
    if (code !== 0 || keep.length === 0) throw new Error(`${call} gave ${code}: ${said.join("")}`);
  };
  const logitsAt = (i: number) => {
    const pointer = failing(llama.llama_get_logits_ith(running, i), path);
    return new Float32Array(new Deno.UnsafePointerView(pointer).getArrayBuffer(size * 4)).slice();
  };
  const clear = () => llama.llama_memory_clear(llama.llama_get_memory(running), true);
  return {
    tokenize(value, { special = true } = {}) {
      const bytes = text(value), ids = new Int32Array(bytes.length + 8);
      const count = llama.llama_tokenize(vocab, bytes, bytes.length - 1, ids, ids.length, special, true);
      return [...ids.subarray(0, count)];
    },
    piece(id) {
      const bytes = new Uint8Array(256);
      const length = llama.llama_token_to_piece(vocab, id, bytes, bytes.length, 0, true);
      return new TextDecoder().decode(bytes.subarray(0, length));
    },
    isEnd: (id) => llama.llama_vocab_is_eog(vocab, id),
    logits(ids, question) {
      clear();
      if (question) run("llama_encode", question, 0);
      run("llama_decode", ids, 0);
      return ids.map((_, i) => logitsAt(i));
    },
    greedy(prompt, count) {
      clear();
      const encodes = llama.llama_model_has_encoder(model), made: number[] = [];
      if (encodes) run("llama_encode", prompt, 0);
      let next: readonly number[] = encodes ? [llama.llama_model_decoder_start_token(model)] : prompt;
      for (let at = 0; made.length < count; at += next.length, next = [made.at(-1)!]) {
        run("llama_decode", next, at);
        const scores = logitsAt(next.length - 1);
        made.push(scores.reduce((best, score, id) => score > scores[best] ? id : best, 0));
        if (llama.llama_vocab_is_eog(vocab, made.at(-1)!)) break;
      }
      return made;
    },
    close() {
      llama.llama_free(running);
      llama.llama_model_free(model);
    },
  };
}

function failing(pointer: Deno.PointerValue, path: string): Deno.PointerObject {
  if (pointer === null) throw new Error(`llama.cpp refuses ${path}: ${said.join("")}`);
  return pointer;
}

function useAdapter(model: Deno.PointerValue, running: Deno.PointerValue, path: string): void {
  const adapter = failing(llama.llama_adapter_lora_init(model, text(path)), path);
  const list = BigUint64Array.of(Deno.UnsafePointer.value(adapter));
  const code = llama.llama_set_adapters_lora(running, list, 1n, Float32Array.of(1));
  if (code !== 0) throw new Error(`llama.cpp refuses ${path}: ${said.join("")}`);
}

/** llama_batch over memory of our own, which must live as long as the call. */
function batchOf(ids: readonly number[], from: number) {
  const tokens = Int32Array.from(ids), positions = Int32Array.from(ids, (_, i) => from + i);
  const ones = new Int32Array(ids.length).fill(1), sequence = Int32Array.of(0);
  const address = (memory: BufferSource) => Deno.UnsafePointer.value(Deno.UnsafePointer.of(memory));
  const sequences = new BigUint64Array(ids.length).fill(address(sequence));
  const wanted = new Int8Array(ids.length).fill(1),
    keep = [tokens, positions, ones, sequence, sequences, wanted];
  const batch = BigUint64Array.of(
    BigInt(ids.length),
    address(tokens),
    0n,
    address(positions),
    address(ones),
    address(sequences),
    address(wanted),
  );
  return { batch: new Uint8Array(batch.buffer), keep };
}

/** llama-quantize: a GGUF file in f32 as one of another type (llama.h's llama_ftype). */
export function quantizeFile(input: string, output: string, fileType: number): void {
  const params = llama.llama_model_quantize_default_params();
  const view = new DataView(params.buffer, params.byteOffset, params.byteLength);
  view.setInt32(0, 1, true); // threads
  view.setInt32(4, fileType, true);
  if (llama.llama_model_quantize(text(input), text(output), params) !== 0) {
    throw new Error(`llama-quantize refuses ${input}: ${said.join("")}`);
  }
}

/** ggml_quantize_chunk: rows of float32 in a format, by its number in ggml.h. */
export function quantizeRows(type: number, values: Float32Array, width: number, bytes: number): Uint8Array {
  const target = new Uint8Array(bytes);
  const rows = BigInt(values.length / width);
  base.ggml_quantize_chunk(type, values as Float32Array<ArrayBuffer>, target, 0n, rows, BigInt(width), null);
  return target;
}

/** Lets go of the callback, without which a test would not end. */
export function closeLlamaCpp(): void {
  log.close();
}
