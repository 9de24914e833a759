// At which tokens an answer ends: what a GGUF file can say of it, what llama.cpp knows by itself, and what is left.
import type { Model } from "../models/model.ts";
import type { MetadataReader } from "./metadata_reader.ts";
import { array, type Metadata, u32 } from "./values.ts";

/** Texts of tokens at which llama.cpp stops in any case (special_eog_ids in llama-vocab.cpp). */
export const KNOWN_ENDS: ReadonlySet<string> = new Set([
  ...["<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>"],
  ...["<end_of_turn>", "<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]"],
  ...["<|end_of_text|>", "<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>", "[e~["],
  "<｜end▁of▁sentence｜>",
]);

/** Ollama's key: all ends in one list, which llama.cpp does not look at. */
const ALL = "tokenizer.ggml.eos_token_ids";
const NAMED = ["eos", "eot", "eom"].map((name) => `tokenizer.ggml.${name}_token_id`);

/**
 * llama.cpp keeps one end of a text, one of a turn and one of a message, and stops at each. Where there are more than three,
 * those go first whose text it does not know; what then is left is told.
 *
 * @param tokens the text of every token, as the file has it
 */
export function endTokens(
  { name, config, generation, tokenizer }: Model,
  tokens: readonly string[],
): Metadata {
  const all = [tokenizer?.eosId, ...tokenizer?.eosIds ?? [], ...generation.eosTokenIds];
  const ends = [...new Set(all)].filter((id) => id !== undefined && id < config.vocabSize) as number[];
  const [eos, ...others] = ends, unknown = others.filter((id) => !KNOWN_ENDS.has(tokens[id]));
  const first = ends.length > NAMED.length ? [...new Set([eos, ...unknown, ...others])] : ends;
  const named = first.slice(0, NAMED.length), lost = unknown.filter((id) => !named.includes(id));
  if (lost.length > 0) {
    const texts = lost.map((id) => `${JSON.stringify(tokens[id] ?? "")} (${id})`).join(", ");
    console.warn(
      `${name}: llama.cpp will not stop at ${texts}, as a GGUF file names it three ends only (here ${
        named.join(", ")
      }); ` +
        "Ollama does, with the Modelfile of modelfile().",
    );
  }
  const entries: Metadata = new Map(named.map((id, i) => [NAMED[i], u32(id)]));
  return ends.length > 1 ? entries.set(ALL, array("i32", ends)) : entries;
}

/** All that end a text. */
export function endIds(read: MetadataReader): number[] {
  const [eos, ...others] = NAMED.map((key) => read.number(key));
  const all = [eos, ...read.list<number>(ALL, "number") ?? [], ...others];
  return [...new Set(all)].filter((id) => id !== undefined && Number.isInteger(id) && id >= 0) as number[];
}
