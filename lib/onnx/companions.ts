// What lies beside a model's weights: its configuration, how it generates, its tokenizer.
import { configJson } from "../models/config_json.ts";
import { generationConfigJson } from "../models/generation_config.ts";
import type { Model } from "../models/model.ts";
import type { Tokenizer } from "../text/tokenizer.ts";

/** Files by name. */
export type Companions = ReadonlyMap<string, string>;

export function companionFiles(model: Model): Companions {
  const { generation, tokenizer, config: { encoderDecoder } } = model;
  const start = encoderDecoder && { decoder_start_token_id: encoderDecoder.decoderStartTokenId };
  const source = tokenizer?.files?.();
  const files = {
    "config.json": configJson(model, "float32"),
    "generation_config.json": { ...generationConfigJson(generation), ...start },
    ...(source
      ? { "tokenizer.json": source.json, "tokenizer_config.json": { ...begun(tokenizer!), ...source.config } }
      : {}),
  };
  return new Map(
    Object.entries(files).map(([name, json]) => [
      name,
      JSON.stringify(json, null, name === "tokenizer.json" ? undefined : 2) + "\n",
    ]),
  );
}

/** Transformers.js' pipelines leave out the token that begins a text, whatever tokenizer.json says, unless this is set. */
const begun = ({ addsBos }: Tokenizer) => addsBos ? { add_bos_token: true } : {};
