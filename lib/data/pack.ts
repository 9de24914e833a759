// From a dataset to batches: tokenizing every row once, and forming the same batches in either layout.

import { UserError } from "../errors.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { type Batch, type Example, exampleOf, IGNORED, type Layout, layOut, positionsOf } from "./batch.ts";
import { Dataset } from "./dataset.ts";
import type { Prompt } from "./prompt.ts";
import { permutation } from "./random.ts";
import { atRow, type Row } from "./row.ts";
import { type TokenizedRow, tokenizeRow } from "./tokenize_row.ts";

/** Options of {@linkcode packBatches} and {@linkcode padBatches}. */
export interface BatchOptions {
  /** The model's tokenizer; not needed where the rows are token ids. */
  tokenizer?: Tokenizer;
  /** How a row becomes text; not needed where the rows are token ids. */
  prompt?: Prompt;
  /** Tokens of a row beyond this are cut off. Default 512. */
  maxLength?: number;
  /** Rows of one optimizer step. Default 8. */
  batchSize?: number;
  /** Train the answer only, not the question (default false: the whole text, as the recipes do). */
  completionOnly?: boolean;
}

/** Tokenized rows in batches of `batchSize` rows; iterating lays them out one at a time. */
export interface Batches extends Iterable<Batch> {
  /** Number of batches: rows / batchSize, rounded up. */
  readonly length: number;
  /** Number of rows in the batches. */
  readonly rows: number;
  /** Rows of a batch; the last may have fewer. */
  readonly batchSize: number;
  /** Whether rows lie behind one another or are padded to the longest. */
  readonly layout: Layout;
  /** The rows' tokens, in the order of the batches. */
  readonly examples: readonly Example[];
  /** All tokens that are not padding. */
  readonly tokens: number;
  /** Share of the positions that are tokens, in this layout. */
  readonly fill: number;
  /** The same share, were every batch padded to its longest row. */
  readonly paddedFill: number;
  /** Rows cut at maxLength. */
  readonly truncated: number;
  /** Rows left out because no trained token of theirs lies within maxLength. */
  readonly dropped: number;
  /** The same rows in batches of another order, which the seed alone decides: an epoch of its own for every seed. */
  shuffle(seed: number): Batches;
  /** A line that says all this. */
  toString(): string;
}

/**
 * Tokenizes every row once and forms batches of `batchSize` rows whose rows lie behind one another: hardly a position is
 * padding, and loss and gradients are those of the rows alone. Each text gets BOS once (where the model's tokenizer adds
 * it) and EOS at its end (unless the chat template ends it), and is cut at `maxLength`.
 *
 * @param dataset rows for the prompt, or token ids ({ inputIds, labels })
 * @param options see {@linkcode BatchOptions}
 * @throws UserError for no rows, a row without the prompt's field, a missing tokenizer or prompt, or when no row has a
 *   trained token within maxLength
 *
 * @example
 * ```ts
 * import { Dataset, financeQA, loadTokenizer, packBatches } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 *
 * const rows = new Dataset([
 *   { instruction: "What is a bond?", output: "A loan to a company." },
 *   { instruction: "What is a share?", output: "A part of a company." },
 *   { instruction: "What is interest?", output: "The price of a loan." },
 * ]);
 * const tokenizer = await loadTokenizer("tests/reference/tiny_tokenizer");
 * const batches = packBatches(rows, { tokenizer, prompt: financeQA, batchSize: 2 });
 * assert.deepEqual([...batches].map((batch) => batch.rows), [[0, 1], [2]]);
 * ```
 */
export function packBatches(dataset: Iterable<Row>, options: BatchOptions = {}): Batches {
  return formBatches(dataset, options, "packed");
}

/**
 * As {@linkcode packBatches}, but every row is padded to the longest of its batch: the layout of most other trainers. Which
 * rows make a batch, how many batches there are, and the loss are the same.
 *
 * @param dataset rows for the prompt, or token ids ({ inputIds, labels })
 * @param options see {@linkcode BatchOptions}
 * @throws UserError as packBatches
 *
 * @example
 * ```ts
 * import { padBatches } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const batches = padBatches([{ inputIds: [1, 5, 2] }, { inputIds: [1, 2] }, { inputIds: [1, 6, 7, 2] }], { batchSize: 2 });
 * assert.deepEqual([...batches].map((batch) => batch.inputIds.length), [6, 4]);
 * assert.equal(batches.fill, 9 / 10);
 * ```
 */
export function padBatches(dataset: Iterable<Row>, options: BatchOptions = {}): Batches {
  return formBatches(dataset, options, "padded");
}

interface Shared {
  name: string;
  layout: Layout;
  batchSize: number;
  maxLength: number;
  truncated: number;
  dropped: number;
}

function formBatches(dataset: Iterable<Row>, options: BatchOptions, layout: Layout): Batches {
  const { maxLength = 512, batchSize = 8 } = options;
  checkWhole("maxLength", maxLength, 2);
  checkWhole("batchSize", batchSize, 1);
  const name = dataset instanceof Dataset ? dataset.name : "the rows";
  const tokens = reader(options);
  const examples: Example[] = [];
  let [index, truncated, dropped] = [0, 0, 0];
  for (const row of dataset) {
    const { inputIds, labels = inputIds } = atRow(name, index, () => tokens(row));
    const cut = { inputIds: inputIds.slice(0, maxLength), labels: labels.slice(0, maxLength) };
    if (cut.labels.slice(1).every((label) => label === IGNORED)) dropped++;
    else {
      examples.push({
        inputIds: Int32Array.from(cut.inputIds),
        labels: Int32Array.from(cut.labels),
        row: index,
      });
      if (inputIds.length > maxLength) truncated++;
    }
    index++;
  }
  if (index === 0) throw new UserError(`${name} has no rows: there is nothing to make batches of.`);
  if (examples.length === 0) {
    throw new UserError(
      `${name}: no row has a trained token within maxLength ${maxLength}, the questions alone fill it; raise maxLength.`,
    );
  }
  if (dropped > 0) {
    console.warn(
      `${name}: ${dropped} of ${index} rows left out: no trained token within maxLength ${maxLength}.`,
    );
  }
  return batchesOf(examples, { name, layout, batchSize, maxLength, truncated, dropped });
}

/** The function that makes token ids of a row. */
function reader({ tokenizer, prompt, completionOnly = false }: BatchOptions): (row: Row) => TokenizedRow {
  return (row) => {
    if (row.inputIds !== undefined) {
      const { inputIds, labels } = exampleOf(row as Example, 0);
      return { inputIds: [...inputIds], labels: [...labels] };
    }
    if (!tokenizer) {
      throw new UserError(
        "text needs a tokenizer, and the model folder has no tokenizer.json; give { tokenizer }, or rows of inputIds.",
      );
    }
    if (!prompt) {
      throw new UserError("text needs a prompt that renders rows; give { prompt }, for example financeQA.");
    }
    if (tokenizer.eosId === undefined) {
      throw new UserError(
        "the tokenizer names no eos_token, so no answer could be taught to end; add it to tokenizer_config.json.",
      );
    }
    return tokenizeRow(row, prompt, tokenizer, completionOnly);
  };
}

function batchesOf(examples: readonly Example[], shared: Shared): Batches {
  const { name, layout, batchSize, maxLength, truncated, dropped } = shared;
  const starts = Array.from({ length: Math.ceil(examples.length / batchSize) }, (_, i) => i * batchSize);
  const groups = () => starts.values().map((start) => examples.slice(start, start + batchSize));
  const tokens = examples.reduce((sum, example) => sum + example.inputIds.length, 0);
  const fillAs = (as: Layout) => {
    const sizes = groups().map((group) => positionsOf(group.map((example) => example.inputIds.length), as));
    return tokens / sizes.reduce((sum, size) => sum + size, 0);
  };
  const [fill, paddedFill] = [fillAs(layout), fillAs("padded")];
  return {
    length: starts.length,
    rows: examples.length,
    batchSize,
    layout,
    examples,
    tokens,
    fill,
    paddedFill,
    truncated,
    dropped,
    [Symbol.iterator]: () => groups().map((group) => layOut(group, layout)),
    shuffle: (seed) => batchesOf(Array.from(permutation(examples.length, seed), (i) => examples[i]), shared),
    toString: () =>
      [
        `${name}: ${count(examples.length, "row")} in ${
          count(starts.length, "batch", "es")
        } of ${batchSize}, ${count(tokens, "token")}`,
        layout === "packed"
          ? `packed ${percent(fill)} full (padded to the longest: ${percent(paddedFill)})`
          : `padded to the longest: ${percent(fill)} full`,
        ...truncated > 0 ? [`${count(truncated, "row")} cut at ${maxLength} tokens`] : [],
        ...dropped > 0 ? [`${count(dropped, "row")} left out: no trained token within ${maxLength}`] : [],
      ].join("; "),
  };
}

function count(value: number, word: string, plural: string = "s"): string {
  return `${value.toLocaleString("en-US")} ${word}${value === 1 ? "" : plural}`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function checkWhole(name: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least) {
    throw new UserError(`${name} is ${value}: give a whole number of at least ${least}.`);
  }
}
