// The loop of generation over a batch of streams: prompts once, then a token of every stream at a time. Tokens are picked on
// the device and fed on without a readback; on a GPU several steps' tokens come back together.
import type { Program } from "../engine/device.ts";
import type { Graph } from "../engine/graph.ts";
import { lowbias32 } from "../engine/ops/dropout.ts";
import type { PickAttributes } from "../engine/ops/pick_token.ts";
import type { Tensor } from "../engine/tensor.ts";
import { activeAdapter, headName, type Model } from "../models/model.ts";
import { denseTensor, tensorsUnder, typesOf } from "../models/parameters.ts";
import { rotaryTables } from "../models/rotary.ts";
import { compiled } from "../train/step.ts";
import { embedGraph } from "../train/graphs.ts";
import { createCache, type KVCache, type Slot } from "./cache.ts";
import * as graphs from "./graphs.ts";

export interface DecodeSettings {
  readonly maxNewTokens: number;
  readonly pick: PickAttributes;
  readonly seed: number;
  /** What makes each stream's random numbers its own. */
  readonly streamIds: readonly number[];
}

type Tensors = Record<string, Tensor>;

/** A GPU gives the tokens of so many steps at once: a round trip costs as much as several steps. */
const stepsPerReadback = 8;

/** Yields the next tokens of all streams, step by step; the caller stops when it has enough. */
export async function* decode(
  model: Model,
  prompts: readonly (readonly number[])[],
  { maxNewTokens, pick, seed, streamIds }: DecodeSettings,
): AsyncGenerator<Int32Array> {
  const { device, config } = model;
  const streams = prompts.length;
  const lengths = prompts.map((prompt) => prompt.length);
  const longest = Math.max(...lengths) + maxNewTokens;
  const { cos, sin, length } = rotaryTables(device, config, longest);
  const setup: graphs.GenerationSetup = {
    config,
    lora: activeAdapter(model)?.config,
    table: headName(model),
    rotaryLength: length,
    cacheOnDevice: device.backend === "webgpu",
  };
  const cache = createCache(device, config, streams, longest);
  const upload = (values: number[], ...shape: number[]) =>
    device.upload(Int32Array.from(values), shape.length ? shape : [values.length], "i32");
  let history = upload(
    prompts.flatMap((prompt) => [...prompt, ...Array(longest - prompt.length).fill(0)]),
    streams,
    longest,
  );
  const program = (name: string, graph: () => Graph) =>
    compiled(device, `${name} ${JSON.stringify(setup)} ${kinds(model)}`, graph);

  /** Picks the token after `logits` and appends it. */
  const next = async (logits: Tensor, step: number): Promise<Tensor> => {
    const picker = await compiled(
      device,
      `pick ${config.vocabSize} ${JSON.stringify(pick)}`,
      () => graphs.pickGraph(config.vocabSize, pick),
    );
    const random = device.upload(
      Float32Array.from(prompts, (_, b) => uniform(seed, streamIds[b], step)),
      [streams],
      "f32",
    );
    const at = upload(lengths.map((length) => length + step));
    const outputs = await picker.run({ logits, history, lengths: at, random });
    device.free(logits, random, at);
    if (outputs.history.storage !== history.storage) device.free(history);
    history = outputs.history;
    return outputs.ids;
  };

  const pending: Tensor[] = [];
  const readBack = async () => {
    const tokens = await device.read(...pending);
    device.free(...pending.splice(0, pending.length - 1));
    return tokens as Int32Array[];
  };
  try {
    const logits = await readPrompts(model, prompts, cache, { setup, cos, sin, program });
    const weights = tensorsUnder(model, "");
    const decoder = await decoderOf(model, setup, weights);
    /** The caches and everything else that stays the same from token to token. */
    const constant = (): Tensors => ({
      cos,
      sin,
      ...weights,
      ...Object.fromEntries(
        cache.keys.flatMap((key, i) => [[`cacheK.${i}`, key], [`cacheV.${i}`, cache.values[i]]]),
      ),
    });
    if (decoder.approximate) await reportApproximation(model, decoder, { prompts, logits, constant });
    let ids = await next(logits, 0);
    pending.push(ids);
    let unread = 1;
    for (let step = 1; step <= maxNewTokens; step++) {
      if (device.backend === "cpu" || unread >= stepsPerReadback || step === maxNewTokens) {
        const tokens = await readBack();
        yield* tokens.slice(tokens.length - unread);
        unread = 0;
      }
      if (step === maxNewTokens) break;
      const slots = lengths.map((length, stream): Slot => ({ stream, position: length + step - 1 }));
      cache.reserve(Math.max(...lengths) + step);
      const inputs: Tensors = {
        positions: upload(slots.map(({ position }) => position)),
        ranges: upload(slots.flatMap(({ position }) => [0, position]), streams, 2),
        ...(setup.cacheOnDevice ? { slots: upload(slots.map((slot) => slotNumber(slot, cache))) } : {}),
      };
      const outputs = await decoder.program.run({ ids, ...inputs, ...constant() });
      device.free(...Object.values(inputs));
      if (!setup.cacheOnDevice) {
        for (let i = 0; i < config.numHiddenLayers; i++) {
          cache.write(i, outputs[`cacheK.${i}`], outputs[`cacheV.${i}`], slots);
          device.free(outputs[`cacheK.${i}`], outputs[`cacheV.${i}`]);
        }
      }
      ids = await next(outputs.logits, step);
      pending.push(ids);
      unread++;
    }
  } finally {
    device.free(...pending, history);
    cache.free();
  }
}

interface Decoder {
  readonly program: Program;
  /** Whether it computes with 8-bit copies of NF4 weights. */
  readonly approximate: boolean;
  reported: boolean;
}

/** Decoders by what they have built in: the base's weights on the CPU, otherwise only the shapes. */
const decoders = new WeakMap<object, Map<string, Promise<Decoder>>>();

function decoderOf(model: Model, setup: graphs.GenerationSetup, weights: Tensors): Promise<Decoder> {
  const approximate = model.device.backend === "cpu" &&
    [...model.weights.values()].some(({ kind }) => kind === "nf4");
  const owner = approximate ? model.weights : model.device;
  const cache = decoders.get(owner) ?? new Map<string, Promise<Decoder>>();
  decoders.set(owner, cache);
  const key = `${JSON.stringify(setup)} ${kinds(model)}`;
  const found = cache.get(key);
  if (found) return found;
  const isPart = (name: string) => /weight\.(codes|absmax|nested|offset|codebook)/.test(name);
  const constants = approximate
    ? Object.fromEntries(Object.entries(weights).filter(([name]) => isPart(name)))
    : {};
  const made = model.device.compile(graphs.decodeGraph(setup, typesOf(weights)), { constants })
    .then((program) => ({ program, approximate, reported: false }));
  cache.set(key, made);
  return made;
}

interface ApproximationInputs {
  readonly prompts: readonly (readonly number[])[];
  /** The exact logits after the prompts. */
  readonly logits: Tensor;
  readonly constant: () => Tensors;
}

/** Says once what 8-bit copies change: the prompts' last tokens go through the decoder too, and the logits are compared. */
async function reportApproximation(
  model: Model,
  decoder: Decoder,
  { prompts, logits, constant }: ApproximationInputs,
) {
  if (decoder.reported) return;
  decoder.reported = true;
  const { device } = model;
  const upload = (values: number[], ...shape: number[]) =>
    device.upload(Int32Array.from(values), shape, "i32");
  const inputs = {
    ids: upload(prompts.map((prompt) => prompt.at(-1)!), prompts.length),
    positions: upload(prompts.map(({ length }) => length - 1), prompts.length),
    ranges: upload(prompts.flatMap(({ length }) => [0, length - 1]), prompts.length, 2),
  };
  const outputs = await decoder.program.run({ ...inputs, ...constant() });
  const [exact, other] = await device.read(logits, outputs.logits);
  let largest = 0, squares = 0, reference = 0;
  exact.forEach((value, i) => {
    const difference = Math.abs(value - other[i]);
    largest = Math.max(largest, difference);
    squares += difference ** 2;
    reference += value ** 2;
  });
  device.free(...Object.values(inputs), ...Object.values(outputs));
  const share = (100 * Math.sqrt(squares / reference)).toFixed(2);
  console.info(
    `Answers are decoded from 8-bit copies of the NF4 weights: logits differ by at most ${
      largest.toFixed(3)
    }, ${share} % in the mean square.`,
  );
}

/** Which weights are dense and which quantised: programs depend on nothing else of them. */
function kinds(model: Model): string {
  return [...model.weights.values()].map((weight) =>
    weight.kind === "dense" ? weight.tensor.dtype : Object.keys(weight.scales)[0]
  ).join();
}

const slotNumber = ({ stream, position }: Slot, { capacity }: KVCache) => stream * capacity + position;

/** A number in [0, 1) that depends on seed, stream and step alone. */
function uniform(seed: number, stream: number, step: number): number {
  const bits = lowbias32(lowbias32(lowbias32(seed) + stream) + Math.imul(step, 0x9e3779b9));
  return (bits >>> 8) / 2 ** 24;
}

interface PromptRun {
  setup: graphs.GenerationSetup;
  cos: Tensor;
  sin: Tensor;
  program: (name: string, graph: () => Graph) => Promise<Program>;
}

/** All prompts at once, behind one another without padding; fills the cache and gives the last positions' logits. */
async function readPrompts(
  model: Model,
  prompts: readonly (readonly number[])[],
  cache: KVCache,
  { setup, cos, sin, program }: PromptRun,
): Promise<Tensor> {
  const { device, config } = model;
  const slots = prompts.flatMap((prompt, stream) =>
    prompt.map((_, position): Slot => ({ stream, position }))
  );
  cache.reserve(Math.max(...prompts.map((prompt) => prompt.length)) + 1);
  const starts: number[] = [];
  prompts.reduce((start, prompt) => (starts.push(start), start + prompt.length), 0);
  const tokens = slots.length;
  const upload = (values: number[], ...shape: number[]) =>
    device.upload(Int32Array.from(values), shape, "i32");
  const inputIds = upload(prompts.flat(), tokens);
  const inputs: Tensors = {
    positions: upload(slots.map(({ position }) => position), tokens),
    ranges: upload(
      slots.flatMap(({ stream, position }) => [starts[stream], starts[stream] + position + 1]),
      tokens,
      2,
    ),
    ...(setup.cacheOnDevice ? { slots: upload(slots.map((slot) => slotNumber(slot, cache)), tokens) } : {}),
  };
  const table = denseTensor(model, "model.embed_tokens.weight");
  const embed = await program("prompt embed", () => embedGraph(config, table));
  let { x } = await embed.run({ inputIds, table });
  for (let i = 0; i < config.numHiddenLayers; i++) {
    const weights = tensorsUnder(model, `model.layers.${i}.`);
    const signature = Object.entries(weights).map(([name, { dtype, shape }]) => `${name} ${dtype} ${shape}`)
      .join();
    const block = await program(
      `prompt block ${signature}`,
      () => graphs.promptBlockGraph(setup, typesOf(weights)),
    );
    const caches: Tensors = setup.cacheOnDevice ? { cacheK: cache.keys[i], cacheV: cache.values[i] } : {};
    const outputs = await block.run({ x, cos, sin, ...inputs, ...caches, ...weights });
    if (!setup.cacheOnDevice) {
      cache.write(i, outputs.k, outputs.v, slots);
      device.free(outputs.k, outputs.v);
    }
    device.free(x);
    x = outputs.y;
  }
  const head = Object.fromEntries(
    ["model.norm.weight", setup.table].map((name) => [name, denseTensor(model, name)]),
  );
  const last = upload(prompts.map((prompt, stream) => starts[stream] + prompt.length - 1), prompts.length);
  const program_ = await program("prompt head", () => graphs.promptHeadGraph(setup, typesOf(head)));
  const { logits } = await program_.run({ x, last, ...head });
  device.free(x, last, inputIds, ...Object.values(inputs));
  return logits;
}
