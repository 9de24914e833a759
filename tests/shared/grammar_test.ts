// The bytes of every token of real tokenizers against what decoding says; constraints on their vocabularies.

import assert from "node:assert/strict";
import { jsonSchemaConstraint, regexConstraint } from "../../lib/grammar/grammar.ts";
import { loadEncoding, loadTokenizer, type Tokenizer } from "../../lib/text/tokenizer.ts";
import { jsonScores } from "../../lib/metrics/json.ts";
import { drawFrom } from "../../examples/tiny/random.ts";
import { riskSchema } from "../../examples/qwen2_risk/rows.ts";
import { isAllowed, randomAnswer } from "../grammar_toy.ts";

const SHARED = Deno.env.get("FINTUNE_SHARED") ?? "../shared";
const load = async (name: string) =>
  (name === "cl100k_base"
    ? await loadEncoding(name)
    : await loadTokenizer(`${SHARED}/tokenizers/${name}`)) as Tokenizer;
const FOLDERS = ["smollm2", "qwen2.5", "llama2", "tinyllama", "mistral-v0.3", "flan-t5", "cl100k_base"];
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

for (const name of FOLDERS) {
  Deno.test(`${name}: the bytes of every token are what decoding gives between two others`, async () => {
    const tokenizer = await load(name), special = new Set(tokenizer.specialIds);
    const [x] = tokenizer.encode("x", { addSpecialTokens: false }).slice(-1),
      edge = tokenizer.tokenBytes!(x)!;
    const differing: string[] = [];
    let compared = 0;
    for (let id = 0; id < tokenizer.vocabSize; id++) {
      const bytes = tokenizer.tokenBytes!(id);
      if (!bytes || special.has(id) || id === tokenizer.unkId) continue;
      const expected = utf8.decode(Uint8Array.from([...edge, ...bytes, ...edge]));
      const found = tokenizer.decode([x, id, x]);
      if (found !== expected && found !== expected.trimStart()) {
        differing.push(`${id} ${JSON.stringify([found, expected])}`);
      }
      compared++;
    }
    assert.deepEqual(differing, name === "flan-t5" ? differing.filter(cleanedUp) : []);
    assert.ok(compared > tokenizer.vocabSize - 1000, `${compared} of ${tokenizer.vocabSize}`);
  });
}

/** FLAN-T5's configuration asks decoding to take spaces away in front of punctuation. */
const cleanedUp = (text: string) => / (?:[.,!?']|n't|'m|'s|'ve|'re)/.test(text);

for (const name of ["smollm2", "qwen2.5", "llama2", "mistral-v0.3", "cl100k_base"]) {
  Deno.test(`${name}: ten random answers decode to valid JSON; what it encodes passes token by token`, async () => {
    const tokenizer = await load(name), random = drawFrom(1);
    const withEos = tokenizer.eosIds.length > 0 ? tokenizer : { ...tokenizer, eosIds: [100257] };
    const source = await jsonSchemaConstraint(withEos, riskSchema);
    const answers = Array.from({ length: 10 }, () => {
      return tokenizer.decode(randomAnswer(source.start(96), tokenizer.vocabSize, 96, random));
    });
    const { validRate, parseRate } = await jsonScores(answers, answers.map((text) => JSON.parse(text)), {
      schema: riskSchema,
    });
    assert.deepEqual([parseRate, validRate], [1, 1]);
    const value = {
      entity: "英伟达 (NVDA)",
      sentiment: "Positive",
      risk: "Low",
      reasoning: 'Umsatz +8 % – "gut"\\\n😀',
    };
    for (
      const text of [JSON.stringify(value), JSON.stringify(value, null, 2), JSON.stringify(value, null, 4)]
    ) {
      const constraint = source.start();
      for (const token of tokenizer.encode(text, { addSpecialTokens: false })) {
        assert.ok(
          isAllowed(constraint.mask(), token),
          `${JSON.stringify(tokenizer.decode([token]))} of ${text}`,
        );
        constraint.accept(token);
      }
      assert.ok(constraint.done);
    }
    const date = await regexConstraint(withEos, "\\d{4}-\\d{2}-\\d{2}");
    assert.match(
      tokenizer.decode(randomAnswer(date.start(), tokenizer.vocabSize, 20, random)),
      /^\d{4}-\d\d-\d\d$/,
    );
  });
}

Deno.test("flan-t5 has no braces: objects are refused, a pattern is not", async () => {
  const tokenizer = await load("flan-t5"), random = drawFrom(2);
  await assert.rejects(
    () => jsonSchemaConstraint(tokenizer, riskSchema),
    /the tokenizer has no token for \{/,
  );
  const source = await regexConstraint(tokenizer, "SELECT [a-z]{1,8} FROM [a-z]{1,8}");
  assert.match(
    tokenizer.decode(randomAnswer(source.start(), tokenizer.vocabSize, 40, random)),
    /^SELECT [a-z]+ FROM [a-z]+$/,
  );
});
