// How prompts of streams are read: long ones in parts between the others' tokens, equal ones once; counted in tokens, not in time.
import assert from "node:assert/strict";
import { generate } from "../lib/generate/generate.ts";
import { openStreams, type TokenStreams } from "../lib/generate/streams.ts";
import { nextChunk, readAtOnce, type Row } from "../lib/generate/streams_rows.ts";
import type { StreamOptions } from "../lib/generate/streams_settings.ts";
import { parseConfig } from "../lib/models/config.ts";
import { initModel } from "../lib/models/init.ts";
import type { Model } from "../lib/models/model.ts";
import { counting } from "./counting.ts";
import { devices } from "./devices.ts";

const config = parseConfig({
  model_type: "llama",
  vocab_size: 96,
  hidden_size: 64,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 4096,
  initializer_range: 0.25,
});

const prompt = (length: number, kind: number) =>
  Array.from({ length }, (_, i) => (7 * kind + i * i + 5 * i) % 96);

/** Asks, notes each token's sender in `order`, and gives the answer. */
async function ask(
  streams: TokenStreams,
  { name, ids, ...options }: StreamOptions & { name: string; ids: number[] },
  order: string[],
): Promise<number[]> {
  const answer: number[] = [];
  for await (const { token } of streams.submit(ids, { eosTokenIds: [], ...options })) {
    order.push(name);
    answer.push(token);
  }
  return answer;
}

Deno.test("a prompt of 2,000 tokens lets others go on after each part, and a short one overtakes it", async () => {
  const [cpu] = await devices(), { device, runs } = counting(cpu);
  const model: Model = await initModel(config, { device, seed: 3 });
  const long = prompt(2000, 1), short = prompt(30, 2), options = { eosTokenIds: [], maxNewTokens: 40 };
  const asked = [prompt(10, 3), prompt(20, 4), long, short];
  const expected: number[][] = [];
  for (const ids of asked) expected.push(await generate(model, ids, options));
  runs.length = 0;

  const streams = openStreams(model, { maxStreams: 4, maxLength: 2100 }), order: string[] = [];
  const others = [0, 1].map((i) => ask(streams, { name: "other", ids: asked[i], ...options }, order));
  while (order.length < 6) await new Promise((resolve) => setTimeout(resolve));
  const before = order.length;
  const rest = ["long", "short"].map((name, i) =>
    ask(streams, { name, ids: asked[2 + i], ...options }, order)
  );
  assert.deepEqual(await Promise.all([...others, ...rest]), expected);
  const parts = Math.ceil(2000 / readAtOnce), waited = order.slice(before, order.indexOf("long"));
  const tokens = waited.filter((name) => name === "other").length;
  assert.equal(parts, 8);
  // Each of the two after all parts but the last; the short prompt was one chunk more.
  assert.ok(tokens >= 2 * (parts - 1) && tokens <= 2 * (parts + 2), `${tokens}`);
  assert.ok(waited.filter((name) => name === "short").length >= parts - 2);
  assert.equal(Math.max(...runs), readAtOnce);
  assert.equal(streams.promptTokens, 10 + 20 + 2000 + 30);
  await streams.close();
});

for (const device of await devices()) {
  Deno.test(`${device.backend}: two long prompts take turns, and answer as alone`, async () => {
    const model = await initModel(config, { device, seed: 3 });
    const asked = [prompt(700, 1), prompt(12, 2), prompt(600, 5)],
      options = { maxNewTokens: 6, eosTokenIds: [] };
    const expected: number[][] = [];
    for (const ids of asked) expected.push(await generate(model, ids, options));
    const before = device.memory().live, streams = openStreams(model, { maxStreams: 3, maxLength: 800 });
    const leaving = new AbortController(); // one leaves in the middle of its prompt
    const left = ask(streams, { name: "", ids: prompt(750, 6), signal: leaving.signal }, []);
    const answers = asked.map((ids) => ask(streams, { name: "", ids, ...options }, []));
    while (streams.promptTokens === 0) await new Promise((resolve) => setTimeout(resolve));
    leaving.abort();
    assert.deepEqual(await Promise.all(answers), expected);
    assert.deepEqual(await left, []);
    await streams.close();
    assert.equal(device.memory().live, before);
  });

  Deno.test(`${device.backend}: a prompt asked twelve times is read once`, async () => {
    const model = await initModel(config, { device, seed: 3 }), ids = prompt(300, 1), other = prompt(40, 2);
    const drawn = { temperature: 1, seed: 5, eosTokenIds: [] };
    const lengths = Array.from({ length: 12 }, (_, i) => i < 4 ? 5 : 2 + i % 5);
    const expected = await generate(model, lengths.map(() => ids), {
      ...drawn,
      maxNewTokens: 7,
      batchSize: 12,
    });
    const [between] = await generate(model, [other], { maxNewTokens: 9, eosTokenIds: [] });
    // Four answers at a time: some begin together, some from a row that goes on, some from one that has just ended.
    const streams = openStreams(model, { maxStreams: 4, maxLength: 400 });
    const answers = lengths.map((maxNewTokens, streamId) =>
      ask(streams, { name: "", ids, ...drawn, maxNewTokens, streamId }, [])
    );
    const one = ask(streams, { name: "", ids: other, maxNewTokens: 9 }, []);
    const found = await Promise.all(answers);
    found.forEach((answer, i) => assert.deepEqual(answer, expected[i].slice(0, lengths[i]), `answer ${i}`));
    assert.deepEqual(await one, between);
    assert.equal(streams.promptTokens, 300 + 40);
    assert.ok(new Set(found.map(String)).size > 8);
    await streams.close();
  });
}

Deno.test("what is read next: whole prompts together, a long one in parts, each at its place", () => {
  const row = (length: number, read: number = 0): Row => ({
    prompt: prompt(length, 1),
    streams: [],
    read,
    held: {},
  });
  const rows = [row(4), row(25, 10), row(5), row(3)];
  const [a, long, b, c] = rows,
    of = (line: Row[]) => {
      const { isPart, slots, ends } = nextChunk(line, rows, 10);
      return [isPart, slots.length, slots[0].position, ends.map(({ place, stream }) => [place, stream])];
    };
  assert.deepEqual(of([a, b, c]), [false, 9, 0, [[3, 0], [8, 2]]]);
  assert.deepEqual(of([a, long]), [false, 4, 0, [[3, 0]]]);
  assert.deepEqual(of([long, a]), [true, 10, 10, []]);
  long.read = 20;
  assert.deepEqual(of([long, a]), [true, 5, 20, [[4, 1]]]);
});
