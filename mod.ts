/**
 * fintune: LoRA and QLoRA fine-tuning on finance data, for Deno. This file re-exports the public names.
 *
 * @module
 */
export { UserError } from "./lib/errors.ts";
export { Dataset, type SplitOptions } from "./lib/data/dataset.ts";
export type { Row } from "./lib/data/row.ts";
export { loadDataset, type LoadOptions } from "./lib/data/load.ts";
export { seededRandom } from "./lib/data/random.ts";
export { alpaca, chat, financeQA, type Prompt, type TextPart } from "./lib/data/prompt.ts";
export { type Batch, batchOf, type Example, type Layout, type TokenRow } from "./lib/data/batch.ts";
export { type Batches, type BatchOptions, packBatches, padBatches } from "./lib/data/pack.ts";
export { loadTokenizer, type Tokenizer } from "./lib/text/tokenizer.ts";
export type { Message } from "./lib/text/chat_template.ts";
