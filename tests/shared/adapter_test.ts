// An adapter that somebody trained with PEFT 0.18 on Qwen2.5-0.5B: its configuration and every tensor are understood.
import assert from "node:assert/strict";
import { join } from "@std/path";
import { openDevice } from "../../lib/engine/open.ts";
import { UserError } from "../../lib/errors.ts";
import { parseConfig } from "../../lib/models/config.ts";
import { activeAdapter, type Model } from "../../lib/models/model.ts";
import { loadAdapter, saveAdapter } from "../../lib/peft.ts";

const shared = Deno.env.get("FINTUNE_SHARED") ?? "../shared";
const folder = join(shared, "weights", "peft_lora_qwen2.5-0.5b_finance");

/** The sizes of Qwen2.5-0.5B; an adapter is checked against them alone, so that no weights are needed. */
const sizes = {
  model_type: "qwen2",
  vocab_size: 151936,
  hidden_size: 896,
  intermediate_size: 4864,
  num_hidden_layers: 24,
  num_attention_heads: 14,
  num_key_value_heads: 2,
  tie_word_embeddings: true,
};

const bare = async (fields: Record<string, unknown> = {}): Promise<Model> => ({
  name: "Qwen/Qwen2.5-0.5B",
  config: parseConfig({ ...sizes, ...fields }),
  device: await openDevice({ backend: "cpu" }),
  weights: new Map(),
  generation: { eosTokenIds: [] },
  adapters: new Map(),
});

Deno.test("an adapter from PEFT 0.18: loaded, and saved again byte for byte", async () => {
  const model = await loadAdapter(await bare(), folder);
  const { config, parameters } = activeAdapter(model)!;
  assert.deepEqual(config, {
    r: 8,
    alpha: 16,
    dropout: 0.1,
    targetModules: ["q_proj", "v_proj"],
    useRslora: false,
    useDora: false,
    bias: "none",
    initLoraWeights: true,
  });
  assert.equal(parameters.size, 24 * 4);
  assert.equal(parameters.values().reduce((sum, { shape: [a, b] }) => sum + a * b, 0), 540_672);
  const copy = await Deno.makeTempDir();
  await saveAdapter(model, copy);
  const file = "adapter_model.safetensors";
  assert.deepEqual(await Deno.readFile(join(copy, file)), await Deno.readFile(join(folder, file)));
  await Deno.remove(copy, { recursive: true });
});

Deno.test("the same adapter on another size is refused", async () => {
  const model = await bare({ hidden_size: 1024, num_attention_heads: 16 });
  await assert.rejects(
    loadAdapter(model, folder),
    (error) => error instanceof UserError && /the adapter is for another model\.$/.test(error.message),
  );
});
