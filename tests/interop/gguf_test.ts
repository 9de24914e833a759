// The real llama.cpp (0.5.0, npm's prebuilt libraries) on files that exportGGUF writes: the same logits, tokens, answers and
// perplexity, for every family; adapters; its own quantised files read here.
import assert from "node:assert/strict";
import { fromFileUrl, join } from "@std/path";
import { generalText } from "../../lib/evaluate/general_text.ts";
import { generate } from "../../lib/generate/generate.ts";
import { KNOWN_ENDS } from "../../lib/gguf/ends.ts";
import { exportGGUF } from "../../lib/gguf/export.ts";
import { exportLoraGGUF } from "../../lib/gguf/lora.ts";
import { loadModel } from "../../lib/models/load.ts";
import type { Model } from "../../lib/models/model.ts";
import { loadAdapter } from "../../lib/peft.ts";
import { logits } from "../../lib/train/inspect.ts";
import { readCases, readExpected, referenceFolder } from "../references.ts";
import { closeLlamaCpp, type LlamaCpp, openLlamaCpp, quantizeFile } from "./llama_cpp.ts";

const temporary = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => {
  closeLlamaCpp();
  Deno.removeSync(temporary, { recursive: true });
});
const example = (name: string) => fromFileUrl(new URL(`../../examples/${name}`, import.meta.url));
const test = (name: string, fn: () => Promise<void>) => Deno.test({ name, fn, sanitizeResources: false });

/** llama.cpp's T5 has its furthest distance built in: here and there the same one. */
function withLlamaDistance(model: Model): Model {
  const { encoderDecoder } = model.config;
  if (!encoderDecoder) return model;
  return {
    ...model,
    config: { ...model.config, encoderDecoder: { ...encoderDecoder, relativeAttentionMaxDistance: 128 } },
  };
}

function largest(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let worst = 0;
  for (let i = 0; i < a.length; i++) worst = Math.max(worst, Math.abs(a[i] - b[i]));
  return worst;
}

// GELU is a table of float16 in ggml: there Gemma's logits differ.
const decoders = {
  llama_tied: 2e-5,
  llama_rope3: 2e-5,
  llama_headdim: 2e-5,
  qwen2_bias: 2e-5,
  qwen3_norm: 2e-5,
  mistral_window: 2e-5,
  gemma_scaled: 5e-3,
};
for (const [name, tolerance] of Object.entries(decoders)) {
  test(`${name}: llama.cpp's logits are transformers', with and without the adapter`, async () => {
    const base = await loadModel(join(referenceFolder(name), "model"));
    const tuned = await loadAdapter(base, join(referenceFolder(name), "adapter"));
    const path = join(temporary, `${name}.gguf`), lora = join(temporary, `${name}-lora.gguf`);
    await exportGGUF(base, path, { type: "f32" });
    await exportLoraGGUF(tuned, lora);
    const expected = await readExpected(name), { rows } = await readCases(name);
    const { vocabSize, slidingWindow } = base.config;
    for (const kind of ["logits", "adapterLogits"]) {
      const llama = openLlamaCpp(path, kind === "logits" ? {} : { lora });
      for (const [i, { inputIds }] of rows.entries()) {
        const ids = inputIds.slice(0, slidingWindow ?? inputIds.length); // llama.cpp has no window
        const wanted = expected.get(`${kind}.${i}`)!;
        llama.logits(ids).forEach((row, t) => {
          const difference = largest(row, wanted.subarray(t * vocabSize, (t + 1) * vocabSize));
          assert.ok(difference < tolerance, `${kind}, row ${i}, token ${t}: ${difference}`);
        });
      }
      llama.close();
    }
  });
}

test("T5: llama.cpp's logits are this library's, of v1.0's form and of v1.1's", async () => {
  const questions = [[5, 17, 33, 8, 2], [...Array(90).keys()].map((i) => 3 + i), [9, 2]];
  for (const folder of [join(referenceFolder("t5_tied"), "model"), example("sql/model")]) {
    const model = withLlamaDistance(await loadModel(folder)), path = join(temporary, "t5.gguf");
    await exportGGUF(model, path, { type: "f32", overwrite: true });
    const llama = openLlamaCpp(path), { headScale, decoderStartTokenId } = model.config.encoderDecoder!;
    for (const question of questions) {
      const answer = [decoderStartTokenId, ...question.slice(0, 40)];
      const { data } = await logits(model, question, { decoderInputIds: answer });
      const scaled = data.map((value) => value / headScale); // v1.0's scale is not in llama.cpp
      const difference = largest(llama.logits(answer, question).flatMap((row) => [...row]), scaled);
      console.log(`T5, ${question.length} tokens: logits differ by ${difference}`);
      assert.ok(difference < 5e-3 / headScale, `${difference}`);
    }
    llama.close();
  }
});

/** Texts that the small models were made for, and others. */
const talks: Record<string, string[]> = {
  "tiny/model": ["What is a bond?", "What does the central bank do?", "Explain compound interest."],
  "finsight/model": ["What is a bond?", "How do I save for retirement?"],
  "qwen2_risk/model": ["公司今年亏损，债务上升。", "What is the risk?"],
  "fingpt/model/gemma": ["What is the sentiment of this news? Profit rose 12 % in 2023.", "What is a bond?"],
  "fingpt/model/mistral": ["What is the sentiment of this news? Profit fell.", "A bond"],
  "sql/model": ["How many heads are older than 56?", "List the names of all banks."],
};
const texts = [
  "What is a bond?",
  "  Two spaces, a tab\t and\n\n\nlines; 1,234.5 % of EUR 100m don't",
  "Zürich: 你好，世界 🚀 ½ x²",
  "### Answer: it's THE end...\n",
];

function perplexityOf(llama: LlamaCpp, rows: number[][]): number {
  let sum = 0, count = 0;
  for (const ids of rows) {
    llama.logits(ids).slice(0, -1).forEach((row, t) => {
      const most = row.reduce((a, b) => Math.max(a, b), -Infinity);
      const total = row.reduce((all, value) => all + Math.exp(value - most), 0);
      sum += Math.log(total) + most - row[ids[t + 1]];
      count++;
    });
  }
  return Math.exp(sum / count);
}

for (const [name, questions] of Object.entries(talks)) {
  test(`${name}: token ids, greedy answers and perplexity in llama.cpp`, async () => {
    const loaded = withLlamaDistance(await loadModel(example(name)));
    const model = { ...loaded, config: { ...loaded.config, slidingWindow: null } }; // see exportGGUF
    const tokenizer = model.tokenizer!, isT5 = model.config.encoderDecoder !== undefined;
    const prompts = questions.map((content) =>
      isT5 ? content : tokenizer.applyChatTemplate([{ role: "user", content }], { addGenerationPrompt: true })
    );
    const answers = await generate(model, prompts, { maxNewTokens: 64, doSample: false });
    const bos = tokenizer.addsBos ? tokenizer.decode([tokenizer.bosId!], { skipSpecialTokens: false }) : "\0";
    const open: Record<string, LlamaCpp> = {};
    for (const type of ["f32", "f16", "q8_0", "q4_0", "q4_k_m"] as const) {
      const path = join(temporary, `example-${type}.gguf`);
      await exportGGUF(model, path, { type, overwrite: true });
      open[type] = openLlamaCpp(path);
    }
    for (const text of [...texts, ...prompts]) {
      const special = !text.startsWith(bos); // llama.cpp adds a second one, this library does not
      assert.deepEqual(open.f32.tokenize(text, { special }), tokenizer.encode(text), text);
    }
    for (const id of model.generation.eosTokenIds) assert.ok(open.f32.isEnd(id), `${id} ends`);
    for (const type of ["f32", "f16"]) {
      for (const [i, prompt] of prompts.entries()) {
        const ids = open[type].greedy(tokenizer.encode(prompt), 64);
        assert.equal(tokenizer.decode(ids).trim(), answers[i].trim(), `${type}: ${prompt}`);
      }
    }
    if (!isT5) {
      const said = prompts.map((prompt, i) => prompt + answers[i]);
      const more = name.startsWith("qwen2") ? [] : generalText.slice(0, 6); // which learnt Chinese
      const rows = [...said, ...more].map((text) => tokenizer.encode(text).slice(0, 512));
      const plain = perplexityOf(open.f32, rows);
      const ratios = ["f16", "q8_0", "q4_0", "q4_k_m"].map((type) => perplexityOf(open[type], rows) / plain);
      console.log(
        `${name}: perplexity ${plain.toFixed(3)}, f16, q8_0, q4_0, q4_k_m times`,
        ...ratios.map((r) => r.toFixed(4)),
      );
      assert.ok(Math.abs(ratios[0] - 1) < 1e-3 && Math.abs(ratios[1] - 1) < 0.01, ratios.join());
    }
    for (const llama of Object.values(open)) llama.close();
  });
}

test("llama.cpp stops at all ends but those that exportGGUF tells of, and at the texts that it is taken to know", async () => {
  const model = await loadModel(example("finsight/model")), tokenizer = model.tokenizer!;
  const files = tokenizer.files!(), path = join(temporary, "ends.gguf"), warn = console.warn;
  const first = 800, added = files.json.added_tokens as { content: string }[];
  // <|end|> and </s> are no ends beside some of the others.
  const late = ["<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "<|tool_response>"];
  const early = [...KNOWN_ENDS].filter((text) => !late.includes(text));
  for (const texts of [early, late]) {
    const fresh = texts.filter((text) => !added.some(({ content }) => content === text));
    const more = fresh.map((content, i) => ({ id: first + i, content, special: true }));
    const json = { ...files.json, added_tokens: [...added, ...more] };
    const ends = [2, 0, ...more.map(({ id }) => id), 1, 300, 301], said: string[] = [];
    console.warn = (line) => said.push(line);
    try {
      await exportGGUF(
        {
          ...model,
          tokenizer: { ...tokenizer, files: () => ({ ...files, json }) },
          generation: { ...model.generation, eosTokenIds: ends },
        },
        path,
        { overwrite: true },
      );
    } finally {
      console.warn = warn;
    }
    const llama = openLlamaCpp(path);
    assert.deepEqual(ends.filter((id) => !llama.isEnd(id)), [301]);
    assert.equal(llama.isEnd(302), false);
    llama.close();
    assert.match(said.join(), /will not stop at "[^"]+" \(301\), as/);
  }
});

test("llama-quantize's own file is read, and its bytes are those that exportGGUF writes", async () => {
  const model = await loadModel(example("tiny/model"));
  const plain = join(temporary, "plain.gguf"),
    theirs = join(temporary, "theirs.gguf"),
    ours = join(temporary, "ours.gguf");
  await exportGGUF(model, plain, { type: "f32" });
  for (const [type, fileType] of [["q8_0", 7], ["q4_0", 2], ["q4_k_m", 15]] as const) {
    quantizeFile(plain, theirs, fileType);
    await exportGGUF(model, ours, { type, overwrite: true });
    const [a, b] = await Promise.all([theirs, ours].map(async (path) => await loadModel(path)));
    for (const [name, weight] of a.weights) {
      const other = b.weights.get(name)!;
      assert.ok(weight.kind === "dense" && other.kind === "dense");
      const [x, y] = await a.device.read(weight.tensor, other.tensor);
      assert.deepEqual(x, y, `${type}: ${name}`);
    }
  }
});
