// The real Transformers.js on a folder that exportONNX wrote, without a network: greedy tokens and texts.
import {
  AutoModelForCausalLM,
  AutoModelForSeq2SeqLM,
  AutoTokenizer,
  env,
  pipeline,
  Tensor,
} from "@huggingface/transformers";
import { basename, dirname } from "@std/path";

env.allowRemoteModels = false;

export type JsDtype = "fp32" | "fp16" | "q8" | "q4";

export interface TransformersJs {
  /** Greedy tokens after each prompt, all in one batch, filled up as the tokenizer does it; an EOS does not end them. */
  greedy(texts: readonly string[], count: number): Promise<number[][]>;
  /** Greedy tokens after one prompt's ids; an EOS ends them. */
  greedyIds(ids: readonly number[], count: number): Promise<number[]>;
  /** What its pipeline answers. */
  text(prompt: string, count: number): Promise<string>;
  close(): Promise<void>;
}

// deno-lint-ignore no-explicit-any
type Loose = any; // its own types are of unions that no call fits

export async function openTransformersJs(
  folder: string,
  { dtype, encoderDecoder }: { dtype?: JsDtype; encoderDecoder: boolean },
): Promise<TransformersJs> {
  env.localModelPath = dirname(folder) + "/";
  // One thread: the models are small.
  const session_options = { intraOpNumThreads: 1, interOpNumThreads: 1 };
  const name = basename(folder), settings = { dtype, local_files_only: true, session_options };
  const tokenizer: Loose = await AutoTokenizer.from_pretrained(name, settings);
  const kind = encoderDecoder ? AutoModelForSeq2SeqLM : AutoModelForCausalLM;
  const model: Loose = await kind.from_pretrained(name, settings);
  const task = encoderDecoder ? "text2text-generation" : "text-generation";
  let answer: Loose;
  const behind = (output: Tensor, prompt: number): number[][] =>
    output.tolist().map((row: bigint[]) => row.slice(encoderDecoder ? 1 : prompt).map(Number));
  return {
    async greedy(texts, count) {
      tokenizer.padding_side = encoderDecoder ? "right" : "left";
      const inputs = tokenizer([...texts], { padding: true });
      const options = { max_new_tokens: count, do_sample: false, eos_token_id: [] };
      return behind(await model.generate({ ...inputs, ...options }), inputs.input_ids.dims[1]);
    },
    async greedyIds(ids, count) {
      const whole = (values: readonly number[]) =>
        new Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);
      const inputs = { input_ids: whole(ids), attention_mask: whole(ids.map(() => 1)) };
      const output = await model.generate({ ...inputs, max_new_tokens: count, do_sample: false });
      return behind(output, ids.length)[0];
    },
    async text(prompt, count) {
      answer ??= await pipeline(task, name, settings);
      const options = { max_new_tokens: count, do_sample: false };
      const [{ generated_text }] = await answer(
        prompt,
        encoderDecoder ? options : { ...options, return_full_text: false },
      );
      return generated_text;
    },
    async close() {
      await model.dispose();
      await answer?.dispose();
    },
  };
}
