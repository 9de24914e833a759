// Generation on each backend: the same tokens as transformers', the same answers whatever the batch, text as it comes.
import assert from "node:assert/strict";
import { fromFileUrl, join } from "@std/path";
import type { Device } from "../lib/engine/device.ts";
import type { Value } from "../lib/engine/graph.ts";
import { matmul } from "../lib/engine/ops/matmul.ts";
import { normal } from "../lib/engine/ops/sample.ts";
import { f32, trace } from "../lib/engine/trace.ts";
import { decodeIn } from "../lib/generate/decode_in.ts";
import { generate, streamText } from "../lib/generate/generate.ts";
import { attachLoRA, useAdapter } from "../lib/lora.ts";
import { parseConfig } from "../lib/models/config.ts";
import { initModel } from "../lib/models/init.ts";
import { loadModel } from "../lib/models/load.ts";
import { activeAdapter, type Model, type Weight } from "../lib/models/model.ts";
import { saveModel } from "../lib/models/save_model.ts";
import { loadAdapter } from "../lib/peft.ts";
import { dequantizeBlocks, quantizeBlocks } from "../lib/engine/onnx/blocks.ts";
import { logits } from "../lib/train/inspect.ts";
import { devices } from "./devices.ts";
import { families, readCases, referenceFolder } from "./references.ts";
import { refused } from "./refused.ts";

interface GenerationCases {
  prompts: number[][];
  maxNewTokens: number;
  greedyIgnoringEos: number[][];
  eosIds: number[];
  greedy: number[][];
  repetition: { repetitionPenalty: number; noRepeatNgramSize: number; greedy: number[][] };
}

const questions = ["What is a bond?", "Rate?", "### Question: Compare stocks and bonds.\n\n### Answer:"];

/** A model folder with weights of our own and a tokenizer of 400 tokens; `positions` in all. */
async function textModel(device: Device, positions: number = 256): Promise<Model> {
  const config = parseConfig({
    model_type: "llama",
    vocab_size: 400,
    hidden_size: 64,
    intermediate_size: 64,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    max_position_embeddings: positions,
    initializer_range: 0.3,
    eos_token_id: 2,
  });
  const folder = await Deno.makeTempDir();
  try {
    await saveModel(await initModel(config, { device, seed: 5 }), folder);
    for (const file of ["tokenizer.json", "tokenizer_config.json", "generation_config.json"]) {
      await Deno.copyFile(join(referenceFolder("tiny_tokenizer"), file), join(folder, file));
    }
    return await loadModel(folder, { device });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Activations as they meet weights in few bits: in blocks of 32, to 127 steps on either side of zero. */
function roundedRows(x: Float32Array, width: number): Float32Array {
  const rounded = new Float32Array(x.length);
  for (let begin = 0; begin < x.length; begin += 32) {
    assert.equal(width % 32, 0);
    const scale = Math.max(...x.subarray(begin, begin + 32).map(Math.abs)) / 127;
    for (let i = begin; i < begin + 32; i++) rounded[i] = Math.round(x[i] / scale) * scale;
  }
  return rounded;
}

/** All pieces that a stream yields. */
async function pieces(stream: AsyncIterable<string>): Promise<string[]> {
  const list: string[] = [];
  for await (const piece of stream) list.push(piece);
  return list;
}

/** Greedy decoding without a cache: the exact logits of the whole row for every token. */
async function greedyByLogits(model: Model, prompt: readonly number[], tokens: number): Promise<number[]> {
  const ids = [...prompt];
  for (let i = 0; i < tokens; i++) ids.push(likeliest(await lastLogits(model, ids)));
  return ids.slice(prompt.length);
}

async function lastLogits(model: Model, ids: readonly number[]): Promise<Float32Array> {
  const { data, shape } = await logits(model, ids);
  return data.subarray((shape[0] - 1) * shape[1]);
}

const likeliest = (scores: Float32Array) => scores.indexOf(Math.max(...scores));

/** Makes the adapter's update ten times as large. */
async function strengthen(model: Model): Promise<void> {
  for (const [name, tensor] of activeAdapter(model)!.parameters) {
    if (!name.includes("lora_B")) continue;
    const [values] = await model.device.read(tensor);
    model.device.update(tensor, values.map((value) => 10 * value));
  }
}

/** A signal that is aborted when it is looked at for the n-th time. */
function abortedAt(look: number): AbortSignal {
  let looks = 0;
  return {
    get aborted() {
      return ++looks >= look;
    },
  } as AbortSignal;
}

for (const device of await devices()) {
  const test = (name: string, body: () => Promise<void>) => Deno.test(`${device.backend}: ${name}`, body);
  const load = (name: string) => loadModel(join(referenceFolder(name), "model"), { device });
  const cases = async (name: string) =>
    (await readCases(name) as unknown as { generation: GenerationCases }).generation;
  const sampling = { temperature: 1, topP: 0.95, maxNewTokens: 24 };

  for (const name of families) {
    test(`${name}: greedy tokens as transformers`, async () => {
      const model = await load(name), { prompts, maxNewTokens, ...expected } = await cases(name);
      const all = { maxNewTokens, eosTokenIds: [] };
      assert.deepEqual(await generate(model, prompts, all), expected.greedyIgnoringEos);
      assert.deepEqual(model.generation.eosTokenIds, expected.eosIds);
      for (const batchSize of [1, 3]) {
        assert.deepEqual(await generate(model, prompts, { maxNewTokens, batchSize }), expected.greedy);
      }
      for (const [i, prompt] of prompts.entries()) {
        assert.deepEqual(await generate(model, prompt, { maxNewTokens }), expected.greedy[i]);
      }
      const { greedy, ...rules } = expected.repetition;
      assert.deepEqual(await generate(model, prompts, { maxNewTokens, ...rules }), greedy);
    });

    test(`${name}: tokens of an adapter are those of its logits, the base is as before`, async () => {
      const base = await load(name), { prompts: [prompt], greedyIgnoringEos } = await cases(name);
      const tuned = await loadAdapter(base, join(referenceFolder(name), "adapter"));
      await strengthen(tuned);
      const options = { maxNewTokens: 8, eosTokenIds: [] };
      const expected = await greedyByLogits(tuned, prompt, 8);
      assert.deepEqual(await generate(tuned, prompt, options), expected);
      assert.notDeepEqual(expected, greedyIgnoringEos[0].slice(0, 8));
      const back = useAdapter(tuned, undefined);
      assert.deepEqual(await generate(back, prompt, options), greedyIgnoringEos[0].slice(0, 8));
      assert.equal(activeAdapter(back), undefined);
    });
  }

  test("text to text, token ids to token ids, one or many", async () => {
    const model = await textModel(device), options = { maxNewTokens: 12 };
    const { tokenizer } = model;
    const texts = await generate(model, questions, options);
    const ids = await generate(model, questions.map((text) => tokenizer!.encode(text)), options);
    assert.deepEqual(texts, ids.map((answer) => tokenizer!.decode(answer)));
    assert.equal(await generate(model, questions[0], options), texts[0]);
    assert.deepEqual(await generate(model, tokenizer!.encode(questions[0]), options), ids[0]);
    assert.deepEqual(await generate(model, new Set(questions), options), texts);
    assert.deepEqual(await generate(model, [], options), []);
  });

  test("a stream's pieces are the text of generate, with characters of many bytes too", async () => {
    const model = await textModel(device);
    for (let seed = 0; seed < 6; seed++) {
      const options = { ...sampling, seed, eosTokenIds: [17, 30, 101] };
      const whole = await generate(model, questions[0], options);
      assert.equal((await pieces(streamText(model, questions[0], options))).join(""), whole, `seed ${seed}`);
    }
    // Token i of an answer stands for byte i of this text.
    const bytes = new TextEncoder().encode("½ of 日本 is 😀, né?");
    const decode = (ids: ArrayLike<number>) => new TextDecoder().decode(bytes.subarray(0, ids.length));
    const spelling = { ...model, tokenizer: { ...model.tokenizer!, decode } };
    const options = { maxNewTokens: bytes.length, eosTokenIds: [] };
    const stream = await pieces(streamText(spelling, questions[0], options));
    assert.deepEqual(stream, [..."½ of 日本 is 😀, né?"]);
    const cut = await pieces(streamText(spelling, questions[0], { ...options, maxNewTokens: 7 }));
    assert.equal(cut.join(""), decode({ length: 7 }), "a character that never ends");
  });

  test("the seed decides what is drawn, and nothing else does", async () => {
    const model = await textModel(device);
    const draw = (seed: number, prompts = questions, batchSize = 8) =>
      generate(model, prompts, { ...sampling, seed, batchSize });
    const first = await draw(1);
    assert.deepEqual(await draw(1), first);
    assert.notDeepEqual(await draw(2), first);
    assert.deepEqual(await draw(1, questions, 1), first);
    assert.deepEqual(await draw(1, questions, 2), first);
    const others = await draw(1, ["Yield of a share", questions[1], "A"]);
    assert.equal(others[1], first[1]);
    assert.notEqual(others[0], first[0]);
    const same = await draw(1, [questions[1], questions[1], questions[1]]);
    assert.equal(new Set(same).size, 3, "each prompt of a list draws its own numbers");
  });

  test("maxNewTokens, the model's positions and a signal end answers", async () => {
    const model = await textModel(device, 32), endless = { eosTokenIds: [] };
    const prompts = [4, 30, 31].map((length) => Array.from({ length }, (_, i) => 5 + i));
    const lengths = (answers: number[][]) => answers.map(({ length }) => length);
    for (const maxNewTokens of [1, 8, 9, 17]) {
      const answers = await generate(model, prompts, { ...endless, maxNewTokens });
      assert.deepEqual(lengths(answers), [maxNewTokens, Math.min(2, maxNewTokens), 1]);
    }
    const alone = await generate(model, prompts[0], endless);
    assert.equal(alone.length, 28, "prompt and answer fill the 32 positions");
    assert.deepEqual((await generate(model, prompts, endless))[0], alone);

    const stopped = await generate(model, prompts[0], { ...endless, signal: abortedAt(4) });
    assert.deepEqual(stopped, alone.slice(0, 3));
    assert.deepEqual(await generate(model, prompts, { signal: AbortSignal.abort() }), [[], [], []]);
    const stop = new AbortController(), seen: string[] = [];
    for await (const piece of streamText(model, "A", { ...endless, signal: stop.signal })) {
      seen.push(piece);
      stop.abort();
    }
    assert.ok(seen.length <= 2, `${seen.length} pieces after the end`);
    assert.deepEqual(await pieces(streamText(model, "A", { signal: AbortSignal.abort() })), []);
  });

  test("what generation holds is freed, also when nobody waits for its end", async () => {
    const model = await textModel(device), options = { ...sampling, eosTokenIds: [] };
    await generate(model, questions, options);
    const { live, buffers } = device.memory();
    const unchanged = (what: string) => {
      const now = device.memory();
      assert.deepEqual({ live: now.live, buffers: now.buffers }, { live, buffers }, what);
    };
    await generate(model, questions, options);
    unchanged("whole answers");
    await generate(model, questions, { ...options, signal: abortedAt(5) });
    unchanged("aborted");
    for await (const _ of streamText(model, questions[0], options)) break;
    unchanged("a stream that was left");
    const broken = {
      ...model,
      tokenizer: { ...model.tokenizer!, decode: () => assert.fail("decoding failed") },
    };
    await assert.rejects(pieces(streamText(broken, questions[0], options)), /decoding failed/);
    unchanged("an error on the way");
  });

  test("another, longer generation between two pieces of a stream", async () => {
    const model = await textModel(device, 2048), options = { maxNewTokens: 20, eosTokenIds: [] };
    const expected = await generate(model, questions[0], options);
    const list: string[] = [];
    for await (const piece of streamText(model, questions[0], options)) {
      list.push(piece);
      if (list.length === 1) await generate(model, "A", { ...options, maxNewTokens: 300 });
    }
    assert.equal(list.join(""), expected);
  });
}

/** Copies that answers are decoded from: of which model, in how many bits, and what they may change. */
const copies: { folder: string; decodeBits?: 4 | 8; bits: number; largest: number; share: number }[] = [
  { folder: "llama_nf4", bits: 8, largest: 0.5, share: 5 },
  { folder: "llama_nf4", decodeBits: 4, bits: 4, largest: 2, share: 25 },
  { folder: "llama_tied", decodeBits: 8, bits: 8, largest: 0.5, share: 5 },
  { folder: "llama_tied", decodeBits: 4, bits: 4, largest: 2, share: 25 },
];

for (const device of (await devices()).slice(0, 1)) {
  for (const { folder, decodeBits, bits, ...most } of copies) {
    const what = `cpu: ${folder} decodes from ${bits}-bit copies${decodeBits ? " where asked to" : ""}`;
    Deno.test(`${what}, says so once, and stays as close as it says`, async () => {
      const loaded = await loadModel(join(referenceFolder(folder), "model"), { device });
      const model = decodeBits ? decodeIn(loaded, { bits: decodeBits }) : loaded;
      const { prompts } =
        (await readCases("llama_tied") as unknown as { generation: GenerationCases }).generation;
      const said: string[] = [], original = console.info;
      console.info = (line: string) => void said.push(line);
      try {
        const options = { maxNewTokens: 16, eosTokenIds: [] };
        const answers = await generate(model, prompts, options);
        await generate(model, prompts[0], { ...options, maxNewTokens: 80 });
        const tuned = await loadAdapter(model, join(referenceFolder("llama_tied"), "adapter"));
        const adapted = await generate(tuned, prompts, options);
        assert.notDeepEqual(adapted, answers);
        assert.deepEqual(await generate(useAdapter(tuned, undefined), prompts, options), answers);

        assert.equal(said.length, 1);
        const figures = said[0].match(/-bit copies .* at most ([\d.]+), ([\d.]+) % in the mean square\.$/)!;
        const readsPrompts = folder === "llama_nf4" && bits === 4; // in WebAssembly
        const what = readsPrompts ? "Prompts are read and answers decoded" : "Answers are decoded";
        assert.ok(said[0].startsWith(`${what} from ${bits}-bit copies`), said[0]);
        const [largest, share] = figures.slice(1).map(Number);
        assert.ok(largest > 0 && largest < most.largest && share > 0 && share < most.share, said[0]);
        // A token other than the exact one may only win where the exact scores are that close.
        for (const [which, list] of [[model, answers], [tuned, adapted]] as const) {
          for (const [i, answer] of list.entries()) {
            for (const [step, token] of answer.entries()) {
              const exact = await lastLogits(which, [...prompts[i], ...answer.slice(0, step)]);
              const lead = Math.max(...exact) - exact[token];
              assert.ok(lead <= 2 * largest, `prompt ${i}, token ${step}: ${lead} behind the likeliest`);
              assert.ok(
                readsPrompts || step > 0 || lead === 0,
                "the first token comes from the exact weights",
              );
            }
          }
        }
      } finally {
        console.info = original;
      }
    });
  }

  Deno.test("cpu: in 4 bits every adapter decodes with biases of its own", async () => {
    const folder = fromFileUrl(new URL("../examples/qwen2_risk/model", import.meta.url));
    const nf4 = decodeIn(await loadModel(folder, { device, quantize: "nf4" }), { bits: 4 });
    const options = { maxNewTokens: 8, eosTokenIds: [] }, prompt = [5, 9, 33, 7];
    const tuned = async (name: string, shift: number): Promise<Model> => {
      const model = await attachLoRA(nf4, { name, r: 4, targetModules: ["q_proj"], bias: "all" });
      for (const [parameter, { storage }] of activeAdapter(model)!.parameters) {
        if (parameter.endsWith("bias")) {
          (storage as Float32Array).forEach((value, i, all) => all[i] = value + shift);
        }
      }
      return model;
    };
    const first = await tuned("first", 0.2), second = await tuned("second", -0.4);
    await generate(first, prompt, options); // makes the program
    const after = await generate(second, prompt, options);
    const alone = decodeIn(await loadModel(folder, { device, quantize: "nf4" }), { bits: 4 });
    const { parameters } = activeAdapter(second)!;
    const same = await attachLoRA(alone, { name: "second", r: 4, targetModules: ["q_proj"], bias: "all" });
    for (const [name, { storage }] of activeAdapter(same)!.parameters) {
      (storage as Float32Array).set(parameters.get(name)!.storage as Float32Array);
    }
    assert.deepEqual(after, await generate(same, prompt, options));
    assert.notDeepEqual(after, await generate(first, prompt, options));
  });

  Deno.test("cpu: what 4-bit copies change is what a model with rounded weights changes", async () => {
    const exact = await loadModel(join(referenceFolder("llama_tied"), "model"), { device });
    const rounded = new Map([...exact.weights].map(([name, weight]): [string, Weight] => {
      if (weight.kind !== "dense" || !name.endsWith("_proj.weight")) return [name, weight];
      const { storage, shape } = weight.tensor;
      const copy = dequantizeBlocks(quantizeBlocks(storage as Float32Array, shape, 4), shape, 4);
      return [name, {
        kind: "dense",
        tensor: device.upload(copy as Float32Array<ArrayBuffer>, shape, "f32"),
      }];
    }));
    // One token each: longer prompts are read with the weights themselves, and only their last token with the copies.
    const prompts = [[1], [15], [72], [91], [33], [7]];
    const said: string[] = [], original = console.info;
    console.info = (line: string) => void said.push(line);
    await generate(decodeIn(exact, { bits: 4 }), prompts, { maxNewTokens: 1, eosTokenIds: [] });
    console.info = original;
    let squares = 0, reference = 0;
    for (const prompt of prompts) {
      const [a, b] = [
        await lastLogits(exact, prompt),
        await lastLogits({ ...exact, weights: rounded }, prompt),
      ];
      a.forEach((value, i) => {
        squares += (value - b[i]) ** 2;
        reference += value ** 2;
      });
    }
    const expected = 100 * Math.sqrt(squares / reference), share = Number(/([\d.]+) %/.exec(said[0])![1]);
    // Beside the weights, activations are rounded to 8 bits and so is the head.
    assert.ok(Math.abs(share - expected) < 0.05 * expected, `${share} %, not ${expected} %`);
  });

  Deno.test("cpu: products of one x in few bits are those of the rounded weights and activations", async () => {
    for (const bits of [4, 8] as const) {
      const width = 160, tokens = 3, sizes = [96, 40, 24];
      const x = normal(1, tokens, width).data as Float32Array;
      const weights = sizes.map((out, i) => normal(2 + i, out, width).data as Float32Array);
      const names = sizes.map((_, i) => `w${i}`);
      const types = {
        x: f32(tokens, width),
        ...Object.fromEntries(sizes.map((out, i) => [`w${i}`, f32(out, width)])),
      };
      const graph = trace(
        types,
        (values: Record<string, Value>) =>
          Object.fromEntries(
            names.map((name) => [`y${name}`, matmul(values.x, values[name], { transB: true, bits })]),
          ),
      );
      const upload = (data: Float32Array, shape: number[]) =>
        device.upload(data as Float32Array<ArrayBuffer>, shape, "f32");
      const constants = Object.fromEntries(
        weights.map((data, i) => [`w${i}`, upload(data, [sizes[i], width])]),
      );
      const program = await device.compile(graph, { constants });
      const outputs = await program.run({ x: upload(x, [tokens, width]), ...constants });
      const rounded = roundedRows(x, width);
      for (const [i, data] of weights.entries()) {
        const shape = [sizes[i], width],
          copy = dequantizeBlocks(quantizeBlocks(data, shape, bits), shape, bits);
        const [y] = await device.read(outputs[`yw${i}`]) as Float32Array[];
        y.forEach((value, at) => {
          const row = Math.floor(at / sizes[i]), column = at % sizes[i];
          let sum = 0;
          for (let k = 0; k < width; k++) sum += rounded[row * width + k] * copy[column * width + k];
          assert.ok(
            Math.abs(value - sum) < 2e-5 * Math.sqrt(width),
            `${bits} bits, weight ${i}: ${value}, not ${sum}`,
          );
        });
      }
      program.close();
    }
  });

  Deno.test("what cannot be generated is refused in one sentence", async () => {
    const silent = await loadModel(join(referenceFolder("llama_tied"), "model"), { device });
    const model = await textModel(device, 32);
    const long = Array.from({ length: 32 }, () => 7);
    await refused("no tokenizer", () => generate(silent, "What?"), /has no tokenizer\.json.*token ids/);
    await refused("no tokenizer", () => pieces(streamText(silent, "What?")), /has no tokenizer\.json/);
    await refused("empty", () => generate(silent, [[1, 5], []]), /Prompt 1 is empty/);
    await refused("too long", () => generate(model, [long]), /Prompt 0 has 32 tokens.*32 positions.*shorten/);
    await refused("too long", () => generate(model, "a".repeat(99)), /Prompt 0 has \d+ tokens.*32 positions/);
    await refused("vocabulary", () => generate(silent, [1, 120]), /Prompt 0: token id 120 at position 1/);
    await refused("no number", () => generate(silent, [1, NaN]), /token id NaN/);
    assert.throws(() => decodeIn(silent, { bits: 3 as 4 }), /bits is 3; it must be 4 or 8/);
    const t5 = await loadModel(join(referenceFolder("t5_gated_untied"), "model"), { device });
    assert.throws(() => decodeIn(t5, { bits: 4 }), /is an encoder-decoder, whose answers are read exactly/);
    const options: [Record<string, number>, RegExp][] = [
      [{ maxNewTokens: 0 }, /maxNewTokens is 0/],
      [{ maxNewTokens: 2.5 }, /maxNewTokens is 2\.5/],
      [{ batchSize: 0 }, /batchSize is 0/],
      [{ temperature: -1 }, /temperature is -1/],
      [{ temperature: NaN }, /temperature is NaN/],
      [{ topK: -1 }, /topK is -1/],
      [{ topP: 0 }, /topP is 0/],
      [{ topP: 1.1 }, /topP is 1\.1/],
      [{ repetitionPenalty: 0 }, /repetitionPenalty is 0/],
      [{ repetitionPenalty: Infinity }, /repetitionPenalty is Infinity/],
      [{ noRepeatNgramSize: -2 }, /noRepeatNgramSize is -2/],
      [{ seed: 0.5 }, /seed is 0\.5/],
    ];
    for (const [option, pattern] of options) {
      await refused(JSON.stringify(option), () => generate(model, "A", option), pattern);
      await refused(JSON.stringify(option), () => pieces(streamText(model, "A", option)), pattern);
    }
  });
}
