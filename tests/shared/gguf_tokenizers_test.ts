// Real tokenizers in GGUF files: the real llama.cpp, and the file read again here, give the ids of the tokenizer's own files.
import assert from "node:assert/strict";
import { join } from "@std/path";
import { exportGGUF } from "../../lib/gguf/export.ts";
import { loadDataset } from "../../lib/data/load.ts";
import { parseConfig } from "../../lib/models/config.ts";
import { initModel } from "../../lib/models/init.ts";
import { loadModel } from "../../lib/models/load.ts";
import { loadTokenizer } from "../../lib/text/tokenizer.ts";
import { closeLlamaCpp, openLlamaCpp } from "../interop/llama_cpp.ts";

const shared = Deno.env.get("FINTUNE_SHARED") ?? "../shared";
globalThis.addEventListener("unload", closeLlamaCpp);

const sizes = {
  vocab_size: 0,
  hidden_size: 32,
  intermediate_size: 32,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 2,
  head_dim: 16,
  tie_word_embeddings: true,
};
const t5Sizes = {
  d_model: 32,
  d_kv: 16,
  d_ff: 32,
  num_layers: 1,
  num_heads: 2,
  feed_forward_proj: "gated-gelu",
};
const models: Record<string, Record<string, unknown>> = {
  smollm2: { ...sizes, model_type: "llama", vocab_size: 49152 },
  "qwen2.5": { ...sizes, model_type: "qwen2", vocab_size: 151936 },
  tinyllama: { ...sizes, model_type: "llama", vocab_size: 32000 },
  llama2: { ...sizes, model_type: "llama", vocab_size: 32000 },
  "mistral-v0.3": { ...sizes, model_type: "mistral", vocab_size: 32768, sliding_window: null },
  "flan-t5": { ...t5Sizes, model_type: "t5", vocab_size: 32128 },
};

async function realTexts(): Promise<string[]> {
  const answers = await loadDataset(`${shared}/data/finance_alpaca/fiqa_pairs.jsonl`);
  const filings = await loadDataset(`${shared}/data/financial_qa_10k/Financial-QA-10k.csv`);
  const news = await loadDataset(`${shared}/data/fingpt/tfns_test.jsonl`);
  const rows = [...answers.take(80), ...filings.take(60), ...news.take(60)];
  const strings: string[] = JSON.parse(
    await Deno.readTextFile(new URL("../reference/tokenizer_ids/strings.json", import.meta.url)),
  );
  return [
    ...rows.flatMap((row) => Object.values(row).filter((value) => typeof value === "string")),
    ...strings,
  ];
}
const texts = await realTexts();

/**
 * How many of the texts may differ: llama.cpp does not compose characters (NFC) as Qwen's tokenizer does, puts a space before
 * texts that begin with one (as SentencePiece does, but not Mistral's tokenizer.json), and drops spaces at the end (as
 * SentencePiece does, but not T5's tokenizer.json). The file says what llama.cpp does, and is read as it says.
 */
const KNOWN: Record<string, number> = { "qwen2.5": 3, "mistral-v0.3": 18, "flan-t5": 100 };

for (const [name, json] of Object.entries(models)) {
  Deno.test({
    name: `${name}: the ids of ${texts.length} texts in llama.cpp, and read again`,
    sanitizeResources: false,
    async fn() {
      const tokenizer = (await loadTokenizer(`${shared}/tokenizers/${name}`))!;
      const model = await initModel(parseConfig(json), { tokenizer });
      const folder = await Deno.makeTempDir(), path = join(folder, "tokens.gguf");
      await exportGGUF(model, path);
      const read = (await loadModel(path)).tokenizer!, llama = openLlamaCpp(path, { context: 32 });
      const differing = texts.filter((text) => llama.tokenize(text).join() !== tokenizer.encode(text).join());
      const again = texts.filter((text) => read.encode(text).join() !== tokenizer.encode(text).join());
      llama.close();
      await Deno.remove(folder, { recursive: true });
      assert.ok(differing.length <= (KNOWN[name] ?? 0), `llama.cpp: ${differing.length} differ`);
      assert.ok(again.length <= (KNOWN[name] ?? 0), `read again: ${again.length} differ`);
    },
  });
}
