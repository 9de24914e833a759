// Constraints: random answers under the masks are always valid, valid documents always pass, masks are those of trying every
// token, patterns are JavaScript's. On a small vocabulary; tests/shared has the real tokenizers.

import assert from "node:assert/strict";
import { type Schema, Validator } from "@cfworker/json-schema";
import { choiceConstraint, jsonSchemaConstraint, regexConstraint } from "../lib/grammar/grammar.ts";
import { drawFrom } from "../examples/tiny/random.ts";
import {
  accepts,
  allowed,
  anyTokens,
  isAllowed,
  isWhole,
  randomAnswer,
  toyTokenizer,
} from "./grammar_toy.ts";
import { CASES, REFUSED } from "./grammar_schemas.ts";

const toy = toyTokenizer(), { vocabSize, bytes } = toy, eosId = toy.eosId!;
const validatorOf = (schema: unknown) => {
  const draft = /draft-07/.test(JSON.stringify(schema)) ? "7" : "2020-12";
  return new Validator(structuredClone(schema) as Schema, draft);
};

Deno.test("1,000 random answers from 50 schemas: all end before the limit, parse, and fulfil the schema", async () => {
  const random = drawFrom(1);
  let answers = 0;
  for (const { name, schema } of CASES) {
    const source = await jsonSchemaConstraint(toy, schema), validator = validatorOf(schema);
    for (let i = 0; i < 20; i++, answers++) {
      const most = random.int(60, 110), ids = randomAnswer(source.start(most), vocabSize, most, random);
      const text = toy.decode(ids);
      const { valid, errors } = validator.validate(JSON.parse(text));
      assert.ok(valid, `${name}: ${text}: ${JSON.stringify(errors)}`);
    }
  }
  assert.ok(answers >= 1000, `${answers}`);
});

Deno.test("every valid document passes, however it is laid out and cut into tokens; no invalid one does", async () => {
  const random = drawFrom(2);
  for (const { name, schema, valid, invalid } of CASES) {
    const source = await jsonSchemaConstraint(toy, schema), validator = validatorOf(schema);
    for (const value of valid) {
      assert.ok(validator.validate(value).valid, `${name}: ${JSON.stringify(value)} is not valid`);
      for (const text of layouts(value)) {
        for (let i = 0; i < 2; i++) {
          const tokens = anyTokens(bytes, text, random);
          assert.ok(accepts(source.start(), tokens, eosId), `${name}: ${text} as ${tokens}`);
        }
      }
    }
    for (const value of invalid) {
      assert.ok(!validator.validate(value).valid, `${name}: ${JSON.stringify(value)} is valid`);
      const text = JSON.stringify(value);
      assert.ok(!accepts(source.start(), anyTokens(bytes, text, random), eosId), `${name}: ${text}`);
    }
  }
});

/** A value as JSON.stringify, as Python's json.dumps, and indented writes it; with escapes for all but ASCII. */
function layouts(value: unknown): string[] {
  const compact = JSON.stringify(value);
  const ascii = compact.replace(
    /[^\x20-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return [compact, JSON.stringify(value, null, 2), JSON.stringify(value, null, "\t"), ascii];
}

Deno.test("documents of random answers pass as JSON.stringify writes them", async () => {
  const random = drawFrom(3);
  for (const { name, schema } of CASES) {
    const source = await jsonSchemaConstraint(toy, schema);
    for (let i = 0; i < 4; i++) {
      const value = JSON.parse(toy.decode(randomAnswer(source.start(80), vocabSize, 80, random)));
      const text = JSON.stringify(value);
      if (text.includes("\\ud")) continue; // half of a surrogate pair
      assert.ok(accepts(source.start(), anyTokens(bytes, text, random), eosId), `${name}: ${text}`);
    }
  }
});

Deno.test("a mask is what trying every token says", async () => {
  const random = drawFrom(4);
  for (const { name, schema } of CASES) {
    const source = await jsonSchemaConstraint(toy, schema);
    const answer = randomAnswer(source.start(120), vocabSize, 16, random);
    for (const length of [0, random.int(0, answer.length), answer.length]) {
      const begun = () => {
        const constraint = source.start();
        for (const token of answer.slice(0, length)) constraint.accept(token);
        return constraint;
      };
      const mask = begun().mask();
      const tried = bytes.map((_, id) => {
        try {
          begun().accept(id);
          return id;
        } catch {
          return -1;
        }
      }).filter((id) => id >= 0);
      assert.deepEqual(
        allowed(mask, vocabSize),
        tried,
        `${name} behind ${toy.decode(answer.slice(0, length))}`,
      );
    }
  }
});

Deno.test("what is not supported is refused with keyword and place", async () => {
  for (const [schema, says] of REFUSED) {
    await assert.rejects(
      async () => await jsonSchemaConstraint(toy, schema as Record<string, unknown>),
      (error: Error) => error.name === "UserError" && says.test(error.message),
      `${JSON.stringify(schema)} ${says}`,
    );
  }
});

const PATTERNS = [
  "a+b*",
  "^a",
  "a$",
  "^$",
  "(?:^|,)x(?:,|$)",
  "(?!ab)a.",
  "^(?=.*[A-Z])(?=.*\\d).{3,}$",
  "a{2,4}|b",
  "[^a-c]x",
  "(a|b)*abb",
  "^(?!.*foo).*$",
  "\\d{2}-\\w",
  "(a?){3}b",
  "\\p{Lu}.",
  "^(a|^b)c",
  "(^a)?b",
  "a|",
  "(?:a(?=b)|c)b",
  "[\\w-]+@",
  "-?(?:0|[1-9]\\d*)",
  "\\u{61}\\x62\\cA?",
  "[\\s\\S]{2}",
  ".\\n",
  "[^]a",
  "[]|ab",
  "(?<n>a)b|\\/",
  "(?:ab){2,}?",
  "\\S\\D\\W",
  "[\\]\\-a]+",
  "é|分+",
];

Deno.test("patterns match what JavaScript's RegExp matches: 30 patterns, 9,000 texts", async () => {
  const random = drawFrom(5), letters = [..."abcxyfo,AB1-2 é@_0\n分/\u0001"];
  for (const pattern of PATTERNS) {
    const schema = await jsonSchemaConstraint(toy, { type: "string", pattern });
    const whole = await regexConstraint(toy, pattern).catch(() => undefined);
    const anywhere = new RegExp(pattern, "u"), all = new RegExp(`^(?:${pattern})$`, "u");
    for (let i = 0; i < 150; i++) {
      const text = Array.from({ length: random.int(0, 6) }, () => random.pick(letters)).join("");
      const found = isWhole(schema.start(), JSON.stringify(text), eosId);
      assert.equal(found, anywhere.test(text), `${pattern} in ${JSON.stringify(text)}`);
      const matches = whole !== undefined && isWhole(whole.start(), text, eosId);
      assert.equal(matches, all.test(text), `${pattern} as ${JSON.stringify(text)}`);
    }
    for (let i = 0; whole && i < 20; i++) {
      const text = toy.decode(randomAnswer(whole.start(30), vocabSize, 30, random));
      assert.ok(all.test(text), `${pattern} gave ${JSON.stringify(text)}`);
    }
  }
});

Deno.test("bounds of numbers: 6,000 comparisons", async () => {
  const random = drawFrom(6);
  const draw = () => {
    const x = (random.next() - 0.5) * 10 ** random.int(0, 5);
    return random.chance(0.5) ? Math.round(x) : Number(x.toFixed(random.int(0, 4)));
  };
  for (let i = 0; i < 120; i++) {
    const [low, high] = [draw(), draw()].sort((a, b) => a - b), integer = random.chance(0.3);
    const schema = {
      type: integer ? "integer" : "number",
      ...random.chance(0.7) && { [random.pick(["minimum", "exclusiveMinimum"])]: low },
      ...random.chance(0.7) && { [random.pick(["maximum", "exclusiveMaximum"])]: high },
    };
    const validator = validatorOf(schema);
    const source = await jsonSchemaConstraint(toy, schema).catch(() => undefined); // nothing lies between
    for (let k = 0; k < 50; k++) {
      const between = low + (high - low) * random.next(), power = 10 ** random.int(-20, 20);
      const value = random.pick([
        low,
        high,
        draw(),
        between,
        Math.round(between),
        power,
        -power,
        low + 1,
        high - 1,
        low - 1e-12,
      ]);
      const text = JSON.stringify(value);
      if (integer && /[.e]/.test(text)) continue;
      const expected = validator.validate(JSON.parse(text)).valid;
      const found = source !== undefined && isWhole(source.start(), text, eosId);
      assert.equal(found, expected, `${text} by ${JSON.stringify(schema)}`);
    }
  }
});

Deno.test("choices: all of them, to the letter, and nothing else", async () => {
  const choices = ["positive", "neutral", "negative", "neg", " é", "分析"], random = drawFrom(7);
  const source = await choiceConstraint(toy, choices);
  const found = new Set(
    Array.from({ length: 200 }, () => toy.decode(randomAnswer(source.start(), vocabSize, 50, random))),
  );
  assert.deepEqual([...found].sort(), [...choices].sort());
  const constraint = source.start();
  for (const token of new TextEncoder().encode("neg")) constraint.accept(token);
  assert.ok(!constraint.done && isAllowed(constraint.mask(), eosId)); // "neg" may end, or become "negative"
  constraint.accept(eosId);
  assert.ok(constraint.done);
  await assert.rejects(() => choiceConstraint(toy, []), /needs a list of at least one text/);
});

Deno.test("the limit: shorter ones are refused, at the limit the answer has just ended", async () => {
  const schema = {
    type: "object",
    properties: { text: { type: "string" } },
    required: ["text"],
    additionalProperties: false,
  };
  const source = await jsonSchemaConstraint(toy, schema), random = drawFrom(8);
  assert.throws(
    () => source.start(2),
    /The shortest answer that is allowed takes \d+ tokens, and maxNewTokens is 2: raise it/,
  );
  const shortest = Array.from({ length: 20 }, (_, most) => most).find((most) => {
    try {
      return source.start(most);
    } catch {
      return false;
    }
  })!;
  assert.ok(shortest <= 9, `${shortest}`); // {"text":""} has eleven bytes
  for (let most = shortest; most < 40; most++) {
    for (let i = 0; i < 10; i++) {
      const ids = randomAnswer(source.start(most), vocabSize, most, random);
      assert.equal(typeof JSON.parse(toy.decode(ids)).text, "string");
    }
  }
});

Deno.test("white space is bounded, and can be forbidden", async () => {
  const schema = { type: "array", items: { type: "null" } }, space = new TextEncoder().encode(" ")[0];
  const run = async (whitespace?: number) => {
    const constraint = (await jsonSchemaConstraint(toy, schema, { whitespace })).start();
    constraint.accept("[".charCodeAt(0));
    let count = 0;
    for (; isAllowed(constraint.mask(), space); count++) constraint.accept(space);
    return count;
  };
  assert.deepEqual([await run(), await run(3), await run(0)], [32, 3, 0]);
});

Deno.test("a prefix stands before the JSON, and the space that decoding strips is not the text's", async () => {
  const stripping = toyTokenizer({ stripsSpace: true }), random = drawFrom(9);
  const source = await jsonSchemaConstraint(stripping, { const: 1 }, {
    prefix: "<think>[^<]{0,9}</think>\\n",
  });
  for (let i = 0; i < 50; i++) {
    const text = stripping.decode(randomAnswer(source.start(60), vocabSize, 60, random));
    assert.match(text, /^<think>[^<]{0,9}<\/think>\n\s*1$/u);
  }
  const choice = await choiceConstraint(stripping, ["a", " b"]);
  const found = new Set(
    Array.from({ length: 60 }, () => stripping.decode(randomAnswer(choice.start(), vocabSize, 9, random))),
  );
  assert.deepEqual([...found].sort(), [" b", "a"]);
});

Deno.test("a vocabulary without braces writes no objects, one without a character escapes it", async () => {
  const without = (missing: string) => {
    const some = toyTokenizer();
    const name = (id: number) => new TextDecoder().decode(some.bytes[id]);
    return {
      ...some,
      tokenBytes: (id: number) =>
        [...missing].some((one) => name(id).includes(one)) ? undefined : some.bytes[id],
    };
  };
  await assert.rejects(
    () => jsonSchemaConstraint(without("{"), { type: "object" }),
    /has no token for \{, which JSON needs/,
  );
  const source = await jsonSchemaConstraint(without("z"), { enum: ["az"] }), random = drawFrom(10);
  assert.equal(JSON.parse(toy.decode(randomAnswer(source.start(), vocabSize, 60, random))), "az");
  await assert.rejects(
    () => choiceConstraint(without("z"), ["z"]),
    /no text that is allowed and that the tokenizer can write/,
  );
  const none = { ...toy, tokenBytes: undefined };
  await assert.rejects(() => choiceConstraint(none, ["b"]), /WordPiece/);
});
