// What an embedded model is made of: the small models that the examples run on without network are each one recipe, which
// examples/pretrain.ts follows and which the tests check the kept files against.

import { fromFileUrl } from "@std/path";
import { type Model, type Row, UserError } from "@fintune/fintune";
import { tokenizerFiles, type TokenizerOptions, trainBpe } from "./tiny/bpe.ts";

/** A model to be made from nothing: a generator of text, a configuration, a folder. */
export interface EmbeddedModel {
  /** Where it lies, from the repository's root. */
  folder: string;
  /** Hugging Face's config.json: family, sizes, vocabulary. In half precision a parameter takes two bytes. */
  config: Record<string, unknown> & { vocab_size: number; max_position_embeddings: number };
  /** The text: documents without end, the same for the same seed. */
  documents(seed: number): Iterable<string>;
  /** Decides text and first weights. */
  seed: number;
  /** How many tokens of text it is trained on. */
  tokens: number;
  /** How many characters the tokenizer learns from; default 2,000,000. Fewer for text without spaces, whose pieces are long. */
  tokenizerCharacters?: number;
  /** About as many characters as the tokenizer makes one token of. */
  charactersPerToken: number;
  /** Its special tokens and its chat template, where they are not the tiny Llama's. */
  tokenizer?: TokenizerOptions;
  /** Peak learning rate; default 3e-3. */
  learningRate?: number;
  /** Sets first weights that should not be random. */
  begin?(model: Model): void | Promise<void>;
  /** For an encoder-decoder: what the encoder reads of a document, and what the decoder is to write. */
  split?(document: string): { question: string; answer: string };
}

/** The folder of an embedded model, "finsight/model", wherever the program was started. (A notebook's cells have no import.meta.) */
export const embeddedFolder = (path: string): string => fromFileUrl(new URL(path, import.meta.url));

/** The first documents of a text, up to about `characters` characters in all. */
export function firstDocuments(documents: Iterable<string>, characters: number): string[] {
  const taken: string[] = [];
  let length = 0;
  for (const document of documents) {
    if (length >= characters) break;
    taken.push(document);
    length += document.length;
  }
  return taken;
}

/** The tokenizer's files, by name, learnt from the first characters of the model's text. */
export function embeddedTokenizer(model: EmbeddedModel): Record<string, string> {
  const { vocab_size, max_position_embeddings } = model.config;
  const text = firstDocuments(model.documents(model.seed), model.tokenizerCharacters ?? 2e6);
  return tokenizerFiles(
    trainBpe(text, vocab_size, model.tokenizer),
    max_position_embeddings,
    model.tokenizer,
  );
}

/** The documents that it is trained on, as rows: plain text, or what is read and what is written. */
export function pretrainingRows(model: EmbeddedModel, tokens: number): Row[] {
  const text = firstDocuments(model.documents(model.seed), tokens * model.charactersPerToken);
  return text.map((document) => model.split ? model.split(document) : { question: "", answer: document });
}

/** The recipe that a module exports as `recipe`. */
export async function loadRecipe(path: string): Promise<EmbeddedModel> {
  const { recipe } = await import(new URL(path, `file://${Deno.cwd()}/`).href);
  if (recipe) return recipe;
  throw new UserError(`${path} exports no recipe; see examples/tiny/recipe.ts.`);
}
