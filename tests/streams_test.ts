// Continuous batching: the same tokens as alone, whoever joins and leaves in between; each stream its own settings.
import assert from "node:assert/strict";
import { join } from "@std/path";
import { seededRandom } from "../lib/data/random.ts";
import { openDevice } from "../lib/engine/open.ts";
import type { ConstraintSource } from "../lib/generate/constraint.ts";
import { decodeIn } from "../lib/generate/decode_in.ts";
import { generate } from "../lib/generate/generate.ts";
import { openStreams } from "../lib/generate/streams.ts";
import type { StreamOptions } from "../lib/generate/streams_settings.ts";
import type { StreamToken } from "../lib/generate/streams_stream.ts";
import { attachLoRA, useAdapter } from "../lib/lora.ts";
import { loadModel } from "../lib/models/load.ts";
import { loadAdapter } from "../lib/peft.ts";
import { logits } from "../lib/train/inspect.ts";
import { devices } from "./devices.ts";
import { readCases, referenceFolder } from "./references.ts";
import { refused } from "./refused.ts";

interface GenerationCases {
  prompts: number[][];
  maxNewTokens: number;
  greedyIgnoringEos: number[][];
}

async function ids(tokens: AsyncIterable<StreamToken>): Promise<number[]> {
  const list: number[] = [];
  for await (const { token } of tokens) list.push(token);
  return list;
}

const tinyModel = async () =>
  loadModel("examples/tiny/model", { device: await openDevice({ backend: "cpu", threads: 1 }) });

const texts = [
  "What is a bond?",
  "Rate?",
  "### Question: Compare stocks and bonds.\n\n### Answer:",
  "Who?",
  "A",
];

for (const device of await devices()) {
  // The families differ in their blocks, which generate's tests cover; rows and windows are what differs here.
  for (const name of ["llama_tied", "mistral_window"]) {
    Deno.test(`${device.backend}: ${name}: greedy streams as transformers`, async () => {
      const model = await loadModel(join(referenceFolder(name), "model"), { device });
      const { generation } = await readCases(name) as unknown as { generation: GenerationCases };
      const { prompts, maxNewTokens, greedyIgnoringEos } = generation;
      const streams = openStreams(model, { maxStreams: 2 });
      const answers = prompts.map((prompt) => ids(streams.submit(prompt, { maxNewTokens, eosTokenIds: [] })));
      assert.deepEqual(await Promise.all(answers), greedyIgnoringEos);
      await streams.close();
    });
  }
}

Deno.test("greedy and drawn answers are those of generate, whoever joins and leaves", async () => {
  const model = await tinyModel(), random = seededRandom(3);
  const prompts = texts.map((text) => model.tokenizer!.encode(text));
  const settings: StreamOptions[] = [
    { maxNewTokens: 24 },
    { maxNewTokens: 9, temperature: 0.8, seed: 7 },
    { maxNewTokens: 30, temperature: 1.2, topK: 20, topP: 0.9, seed: 11 },
    { maxNewTokens: 24, repetitionPenalty: 1.3, noRepeatNgramSize: 3 },
  ];
  const cases = prompts.flatMap((prompt) => settings.map((options) => ({ prompt, options })));
  const expected: number[][] = [];
  for (const { prompt, options } of cases) expected.push(await generate(model, prompt, options));
  const streams = openStreams(model, { maxStreams: 3, maxLength: 128 });
  await Promise.all(cases.map(async ({ prompt, options }, i) => {
    await new Promise((resolve) => setTimeout(resolve, 300 * random()));
    if (i % 4 === 1) { // somebody who leaves
      for await (const _ of streams.submit(prompt, { maxNewTokens: 50 })) if (random() < 0.3) break;
    }
    assert.deepEqual(await ids(streams.submit(prompt, options)), expected[i], `case ${i}`);
  }));
  assert.equal(streams.waiting, 0);
  await streams.close();
});

Deno.test("in 4 bits answers are those of generate too, in rows that grow, move up and are used again", async () => {
  const device = await openDevice({ backend: "cpu" });
  const model = decodeIn(await loadModel("examples/tiny/model", { device, quantize: "nf4" }), { bits: 4 });
  const prompts = texts.map((text) => model.tokenizer!.encode(text));
  const lengths = [90, 3, 60, 17, 100], settings = { eosTokenIds: [] };
  const expected: number[][] = [];
  for (const [i, prompt] of prompts.entries()) {
    expected.push(await generate(model, prompt, { maxNewTokens: lengths[i], ...settings }));
  }
  const streams = openStreams(model, { maxStreams: 3, maxLength: 256 });
  for (const round of [0, 1]) {
    const answers = await Promise.all(
      prompts.map((prompt, i) => ids(streams.submit(prompt, { maxNewTokens: lengths[i], ...settings }))),
    );
    assert.deepEqual(answers, expected, `round ${round}`);
  }
  await streams.close();
});

Deno.test("a signal ends an answer, finish says why, close ends all", async () => {
  const model = await tinyModel(), streams = openStreams(model, { maxStreams: 1, maxLength: 64 });
  const prompt = model.tokenizer!.encode("What is a bond?"), control = new AbortController();
  const cut = ids(streams.submit(prompt, { maxNewTokens: 40, signal: control.signal, eosTokenIds: [] }));
  const all: StreamToken[] = [];
  setTimeout(() => control.abort(), 20);
  for await (const token of streams.submit(prompt, { maxNewTokens: 3, eosTokenIds: [] })) all.push(token);
  assert.ok((await cut).length < 40);
  assert.deepEqual(all.map(({ finish }) => finish), [undefined, undefined, "length"]);
  const eosTokenIds = [all[1].token];
  const last = [];
  for await (const { finish } of streams.submit(prompt, { eosTokenIds })) last.push(finish);
  assert.equal(last.at(-1), "stop");
  // One that has begun and one that still waits for its place.
  const begun = Promise.withResolvers<void>();
  const endless = Array.from({ length: 2 }, async () => {
    let count = 0;
    for await (const _token of streams.submit(prompt, { maxNewTokens: 50, eosTokenIds: [] })) {
      if (++count === 2) begun.resolve();
    }
    return count;
  });
  await begun.promise;
  await streams.close();
  const [first, second] = await Promise.all(endless);
  assert.ok(first >= 2 && first < 50 && second === 0, `${first}, ${second}`);
  await refused("it", () => streams.submit(prompt), /closed/);
});

Deno.test("what fails ends its own answers with the error: one constraint, or one lane's step", async () => {
  const model = await tinyModel(), prompt = model.tokenizer!.encode("What is a bond?");
  const streams = openStreams(model, { maxStreams: 4, maxLength: 64 });
  const asked = { maxNewTokens: 6, eosTokenIds: [] };
  const broken = {
    start: () => ({
      mask: (): Uint32Array => {
        throw new Error("no mask");
      },
      accept() {},
      done: false,
    }),
  };
  const [bad, good] = await Promise.allSettled([
    ids(streams.submit(prompt, { ...asked, constraint: broken })),
    ids(streams.submit(prompt, asked)),
  ]);
  assert.equal(bad.status === "rejected" && bad.reason.message, "no mask");
  assert.equal(good.status === "fulfilled" && good.value.length, 6);

  const { device } = model, read = device.read;
  device.read = () => Promise.reject(new Error("no memory"));
  const failed = await Promise.allSettled([1, 2].map(() => ids(streams.submit(prompt, asked))));
  device.read = read;
  assert.deepEqual(failed.map((result) => result.status === "rejected" && result.reason.message), [
    "no memory",
    "no memory",
  ]);
  assert.equal((await ids(streams.submit(prompt, asked))).length, 6, "the next one has a lane of its own");
  await streams.close(); // which the counts have settled after
  assert.deepEqual([streams.running, streams.waiting], [0, 0]);
});

Deno.test("NF4 read in 4 bits: streams give generate's tokens", async () => {
  const [device] = await devices(), folder = join(referenceFolder("llama_nf4"), "model");
  const model = decodeIn(await loadModel(folder, { device }), { bits: 4 });
  const long = Array.from({ length: 200 }, (_, i) => 5 + i % 90);
  const prompts = [[1, 15, 72, 91], long, [5, 9, 33]], asked = { maxNewTokens: 12, eosTokenIds: [] };
  const expected = [];
  for (const prompt of prompts) expected.push(await generate(model, prompt, asked));
  const streams = openStreams(model, { maxStreams: 4, maxLength: 250 });
  const answers = await Promise.all(prompts.map((prompt) => ids(streams.submit(prompt, asked))));
  await streams.close();
  assert.deepEqual(answers, expected);
});

Deno.test("log-probabilities are the model's own", async () => {
  const model = await tinyModel(), streams = openStreams(model, { maxStreams: 1, maxLength: 64 });
  const prompt = model.tokenizer!.encode("What is a bond?");
  const [first] = await Array.fromAsync(
    streams.submit(prompt, { maxNewTokens: 1, logprobs: 3, temperature: 0.1, logitBias: new Map([[9, 50]]) }),
  );
  await streams.close();
  const { data, shape } = await logits(model, prompt), row = data.subarray((shape[0] - 1) * shape[1]);
  const sum = row.reduce((sum, value) => sum + Math.exp(value), 0);
  const expected = [...row].map((value) => value - Math.log(sum));
  assert.equal(first.token, 9);
  assert.ok(Math.abs(first.logprob! - expected[9]) < 1e-4);
  const best = [...expected].sort((a, b) => b - a).slice(0, 3);
  first.top!.forEach(({ token, logprob }, i) => {
    assert.ok(Math.abs(logprob - best[i]) < 1e-4 && Math.abs(logprob - expected[token]) < 1e-4);
  });
});

Deno.test("a constraint decides what comes, and when it ends", async () => {
  const model = await tinyModel(), streams = openStreams(model, { maxStreams: 2, maxLength: 64 });
  const wanted = [31, 700, 5], prompt = model.tokenizer!.encode("Who?");
  const sequence: ConstraintSource = {
    start() {
      let at = 0;
      return {
        mask: () => {
          const mask = new Uint32Array(48);
          mask[wanted[at] >>> 5] = 1 << (wanted[at] & 31);
          return mask;
        },
        accept: (token) => assert.equal(token, wanted[at++]),
        get done() {
          return at === wanted.length;
        },
      };
    },
  };
  const asked = [0, 1, 2].map((temperature) => streams.submit(prompt, { temperature, constraint: sequence }));
  for (const answer of await Promise.all(asked.map(ids))) assert.deepEqual(answer, wanted);
  const none = { start: () => ({ mask: () => new Uint32Array(48), accept() {}, done: false }) };
  assert.deepEqual(await ids(streams.submit(prompt, { constraint: none })), []);
  await streams.close();
});

Deno.test("each request chooses its adapter", async () => {
  const device = await openDevice({ backend: "cpu", threads: 1 });
  const base = await loadModel(join(referenceFolder("llama_tied"), "model"), { device });
  const model = await loadAdapter(base, join(referenceFolder("llama_tied"), "adapter"), { name: "tuned" });
  for (const [name, tensor] of model.adapters.get("tuned")!.parameters) {
    const [values] = await device.read(tensor);
    if (name.includes("lora_B")) device.update(tensor, values.map((value) => 10 * value)); // so that it shows
  }
  const prompt = [1, 15, 72, 91], options = { maxNewTokens: 12, eosTokenIds: [] };
  const alone = await generate(useAdapter(model, undefined), prompt, options);
  const tuned = await generate(model, prompt, options);
  assert.notDeepEqual(alone, tuned);
  const streams = openStreams(model, { maxStreams: 4, maxLength: 64 });
  const asked = [null, "tuned", undefined, null].map((adapter) =>
    ids(streams.submit(prompt, { ...options, adapter }))
  );
  assert.deepEqual(await Promise.all(asked), [alone, tuned, tuned, alone]);
  await refused("it", () => streams.submit(prompt, { adapter: "none" }), /no adapter "none"/);
  await streams.close();
});

Deno.test("adapters of other ranks, scales and modules answer as alone, over one copy of the weights", async () => {
  const device = await openDevice({ backend: "cpu", threads: 1 });
  const base = await loadModel(join(referenceFolder("llama_tied"), "model"), { device });
  const kinds = [
    { name: "a", r: 2, alpha: 6, targetModules: ["q_proj"] },
    { name: "b", r: 5, alpha: 5, targetModules: ["v_proj", "down_proj"], useRslora: true },
  ];
  const model = kinds.reduce(
    (model, options, i) => attachLoRA(model, { ...options, quiet: true, seed: i }),
    base,
  );
  for (const { parameters } of model.adapters.values()) {
    let k = 0;
    for (const tensor of parameters.values()) {
      device.update(tensor, (tensor.storage as Float32Array).map(() => 0.3 * Math.sin(++k)));
    }
  }
  const prompt = [1, 15, 72, 91], options = { maxNewTokens: 12, eosTokenIds: [] };
  const names = [null, "a", "b"], expected = [];
  for (const name of names) {
    expected.push(await generate(useAdapter(model, name ?? undefined), prompt, options));
  }
  assert.equal(new Set(expected.map(String)).size, 3);
  const before = device.memory().live, streams = openStreams(model, { maxStreams: 3, maxLength: 64 });
  const asked = names.map((adapter) => ids(streams.submit(prompt, { ...options, adapter })));
  assert.deepEqual(await Promise.all(asked), expected);
  await streams.close();
  assert.equal(device.memory().live, before);
});

Deno.test("T5 answers several questions side by side", async () => {
  const device = await openDevice({ backend: "cpu", threads: 1 });
  const model = await loadModel(join(referenceFolder("t5_gated_untied"), "model"), { device });
  const prompts = [[17, 42, 1], [5, 9, 33, 1], [8, 1]], options = { maxNewTokens: 6, eosTokenIds: [] };
  const expected = await generate(model, prompts, options);
  const streams = openStreams(model, { maxStreams: 2, maxLength: 64 });
  assert.deepEqual(
    await Promise.all(prompts.map((prompt) => ids(streams.submit(prompt, options)))),
    expected,
  );
  await streams.close();
});

Deno.test("what cannot be is refused at once", async () => {
  const model = await tinyModel();
  await refused("it", () => openStreams(model, { maxStreams: 0 }), /maxStreams is 0/);
  await refused("it", () => openStreams(model, { maxLength: 1e6 }), /512 positions/);
  await refused("it", () => openStreams(model, { maxStreams: 1e9 }), /free: lower maxStreams or maxLength/);
  const streams = openStreams(model, { maxLength: 8 });
  await refused("it", () => streams.submit([]), /empty/);
  await refused("it", () => streams.submit([1e6]), /token id/);
  await refused("it", () => streams.submit(Array(8).fill(5)), /8 tokens; there is room for 8/);
  await refused("it", () => streams.submit([5], { temperature: -1 }), /temperature is -1/);
  await refused("it", () => streams.submit([5], { topP: 0 }), /topP is 0/);
  await refused("it", () => streams.submit([5], { logprobs: 21 }), /logprobs is 21/);
  await refused("it", () => streams.submit([5], { logitBias: new Map([[1e6, 1]]) }), /logitBias/);
  await streams.close();
});
