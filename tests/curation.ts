// Holding a curation of Reddit posts against what the straight Python run (tests/reference/reddit.py) gives for the same rows.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { curate, type Curated } from "../lib/data/curate.ts";
import { cleanReddit } from "../lib/data/reddit/clean.ts";
import { financeEntities } from "../lib/data/reddit/entities.ts";
import { answerFaults } from "../lib/data/reddit/faults.ts";
import { textComplexity, textQuality } from "../lib/data/reddit/quality.ts";
import { financeRelevance, topicSimilarity } from "../lib/data/reddit/relevance.ts";
import { redditSteps } from "../lib/data/reddit/steps.ts";
import { isProfane, spokenKinds } from "../lib/data/reddit/tone.ts";
import type { Row } from "../lib/data/row.ts";
import { similarTexts } from "../lib/data/tfidf.ts";

/** What Python gives for one row. */
interface Scores {
  row: number;
  quality: number;
  complexity: number;
  relevance: number;
  entities: number;
  entityScore: number;
  similarity: number;
  kinds: string[];
  profane: boolean;
  faults: string[];
  characters: number;
  cleaned: string;
  unmarked: string;
}

/** The file that tests/reference/reddit.py writes. */
export interface CurationReference {
  rows: number;
  steps: { step: string; after: number; kept: number[] }[];
  scores: Scores[];
  cosines: [number, number, number][];
}

export async function curationReference(name: string): Promise<CurationReference> {
  return JSON.parse(await Deno.readTextFile(new URL(`./reference/reddit/${name}.json`, import.meta.url)));
}

const digest = (text: string) => createHash("sha256").update(text).digest("hex").slice(0, 16);

/** Every step keeps the same rows as in Python; gives what was curated. */
export function checkSteps(rows: Iterable<Row>, reference: CurationReference): Curated {
  const curated = curate(rows, redditSteps());
  assert.deepEqual(
    curated.stages.map(({ after }) => after),
    reference.steps.map(({ after }) => after),
  );
  const wentAt = new Map(curated.dropped.map(({ row, step }) => [row, step]));
  reference.steps.forEach(({ step, kept }, i) => {
    const stays = new Set(kept);
    const before = i === 0
      ? Array.from({ length: reference.rows }, (_, row) => row)
      : reference.steps[i - 1].kept;
    for (const row of before) {
      const here = wentAt.get(row) === curated.stages[i].step;
      assert.equal(here, !stays.has(row), `row ${row} at the step of ${step}`);
    }
  });
  return curated;
}

/** Every score of every row is Python's; gives the largest difference. */
export function checkScores(rows: readonly Row[], { scores }: CurationReference): number {
  let largest = 0;
  const near = (actual: number, wanted: number, what: string) => {
    largest = Math.max(largest, Math.abs(actual - wanted));
    assert.ok(Math.abs(actual - wanted) < 1e-12, `${what}: ${actual}, not ${wanted}`);
  };
  for (const wanted of scores) {
    const where = `row ${wanted.row}`, { body } = rows[wanted.row];
    const answer = cleanReddit(body), entities = financeEntities(answer);
    assert.equal(digest(answer), wanted.cleaned, `${where}: ${answer}`);
    assert.equal(
      digest(cleanReddit(body, { editLines: "unmark" })),
      wanted.unmarked,
      `${where}, marks alone`,
    );
    assert.equal([...answer].length, wanted.characters, where);
    near(textQuality(answer), wanted.quality, `${where}, quality`);
    near(textComplexity(answer), wanted.complexity, `${where}, complexity`);
    near(financeRelevance(answer), wanted.relevance, `${where}, relevance`);
    near(topicSimilarity(answer), wanted.similarity, `${where}, similarity`);
    assert.equal(entities.length, wanted.entities, `${where}: ${JSON.stringify(entities)}`);
    const weight = entities.reduce((sum, entity) => sum + entity.weight, 0) / Math.max(1, entities.length);
    near(weight, wanted.entityScore, `${where}, entities`);
    assert.deepEqual(spokenKinds(answer), wanted.kinds, where);
    assert.equal(isProfane(answer), wanted.profane, where);
    assert.deepEqual(answerFaults(answer), wanted.faults, where);
  }
  return largest;
}

/** The cosines of all cleaned rows above a threshold are scikit-learn's; gives how many there are. */
export function checkCosines(rows: readonly Row[], reference: CurationReference, threshold: number): number {
  const texts = reference.scores.map(({ row }) => cleanReddit(rows[row].body));
  const found = similarTexts(texts, { threshold });
  assert.deepEqual(
    found.map(({ first, second }) => [first, second]),
    reference.cosines.map(([first, second]) => [first, second]),
  );
  found.forEach(({ similarity }, i) => {
    assert.ok(Math.abs(similarity - reference.cosines[i][2]) < 1e-12, `pair ${i}: ${similarity}`);
  });
  return found.length;
}
