// What a model may write, made certain: JSON of a schema, texts of a pattern, or one of some choices.

import { UserError } from "../errors.ts";
import type { ConstraintSource } from "../generate/constraint.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { ANY, type CharSet, charsOf, intersect } from "./charset.ts";
import { type Characters, createCharacters } from "./characters.ts";
import { constraintSource } from "./constraint.ts";
import type { Frame } from "./frame.ts";
import { createFrames, type Frames } from "./frames.ts";
import { createMachine } from "./machine.ts";
import { patternTerm } from "./pattern.ts";
import { schemaNode } from "./schema.ts";
import { checkSize } from "./schema_size.ts";
import { createTerms, type Term, type Terms } from "./terms.ts";
import { type Vocabulary, vocabularyOf } from "./vocabulary.ts";

/** Options of {@linkcode jsonSchemaConstraint}. */
export interface JSONConstraintOptions {
  /**
   * Most characters of white space (spaces, tabs, line ends) at each place where JSON may have some; default 32, so that
   * indented JSON is possible and endless white space is not. 0 is JSON without any.
   */
  whitespace?: number;
  /** A regular expression of what stands before the JSON, such as "<think>[^<]*</think>\\n" for a model that thinks first. */
  prefix?: string;
}

/**
 * Answers are JSON that fulfils a schema, whatever the model would rather write. Fields may come in any order, texts in any
 * spelling of JSON (escapes too). What the schema leaves open stays open: without `additionalProperties: false` an object
 * may have more fields, without `type` a value is anything.
 *
 * Understood are type, enum, const; properties, required, additionalProperties, minProperties (for closed objects),
 * maxProperties; items, prefixItems, minItems, maxItems; pattern, minLength, maxLength, format (date, time, date-time, email,
 * hostname, ipv4, uuid); minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf (1, 0.1, 0.01 and so on); anyOf,
 * oneOf (of alternatives that exclude each other), allOf, and $ref inside the schema, recursive too. Integers are written
 * without point or exponent, numbers with at most 21 digits before and 25 behind the point, texts without lone surrogates.
 *
 * At any maxNewTokens the JSON is whole: near the limit only what can still be finished may come, and a limit under the shortest
 * answer is refused. Only what stops an answer from outside cuts it: a `signal`, or `eosTokenIds` that are not the tokenizer's.
 *
 * @param tokenizer the model's, with bytes for its tokens (all but WordPiece)
 * @param schema a JSON Schema (2020-12, and what 2019-09 and 7 share with it)
 * @returns what `generate`'s and `openStreams`' `constraint` takes; compiled once, it serves any number of answers
 * @throws UserError for a keyword or pattern that is not supported, with its place; for a schema that no value fulfils, or one
 *   too large to follow (nested over 400 deep, an object with over 1,000 properties, a pattern with endless states, which may
 *   show only while an answer is made); and for a tokenizer that cannot write JSON (FLAN-T5's has no braces)
 *
 * @example
 * ```ts
 * import { generate, jsonSchemaConstraint, loadModel } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 *
 * const model = await loadModel("examples/tiny/model");
 * const constraint = await jsonSchemaConstraint(model.tokenizer!, {
 *   type: "object",
 *   properties: { risk: { enum: ["High", "Low"] }, score: { type: "integer", minimum: 0, maximum: 10 } },
 *   required: ["risk", "score"],
 *   additionalProperties: false,
 * });
 * const { risk, score } = JSON.parse(await generate(model, "What is the risk?", { constraint, maxNewTokens: 64 }));
 * assert.ok(["High", "Low"].includes(risk) && Number.isInteger(score) && score >= 0 && score <= 10);
 * ```
 */
export function jsonSchemaConstraint(
  tokenizer: Tokenizer,
  schema: Record<string, unknown> | boolean,
  options: JSONConstraintOptions = {},
): Promise<ConstraintSource> {
  return Promise.resolve().then(() => {
    const { whitespace = 32, prefix } = options;
    if (!(Number.isSafeInteger(whitespace) && whitespace >= 0)) {
      throw new UserError(`whitespace is ${whitespace}; it must be a whole number of at least 0.`);
    }
    checkSize(schema);
    const given = structuredClone(schema);
    return sourceOf("jsonSchemaConstraint", tokenizer, (vocabulary) => {
      const { alphabet } = vocabulary;
      const plain = automaton(alphabet), strings = automaton(canEscape(alphabet) ? ANY : alphabet);
      const frames = createFrames({ plain: plain.characters, string: strings.characters }, whitespace);
      let shapes = 0;
      const node = schemaNode(given, {
        plain,
        strings,
        ending(kind, state) {
          const text = (kind === "plain" ? plain : strings).characters.shortest(state);
          return kind === "plain" ? text : JSON.stringify(text).slice(1);
        },
        needs(characters) {
          const missing = [...characters].find((one) => intersect(charsOf(one), alphabet).length === 0);
          if (missing === undefined) return;
          throw new UserError(
            `jsonSchemaConstraint: the tokenizer has no token for ${missing}, which JSON needs here.`,
          );
        },
        nextId: () => shapes++,
      });
      const before = prefix === undefined
        ? []
        : [patternFrame("jsonSchemaConstraint", prefix, plain, frames)];
      return { frames, first: [frames.value(node), ...before], automata: [plain, strings] };
    });
  });
}

/**
 * Answers match a regular expression from beginning to end, as JavaScript's does with the flag `u`. Looking ahead is
 * understood; looking behind, references to groups and \b are not.
 *
 * @param tokenizer the model's, with bytes for its tokens (all but WordPiece)
 * @param pattern the expression's source, or one without flags (`u` and `v`'s common ground)
 * @throws UserError for a pattern that is none, is not supported, or matches no text that the tokenizer can write
 *
 * @example
 * ```ts
 * import { generate, loadModel, regexConstraint } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const model = await loadModel("examples/tiny/model");
 * const constraint = await regexConstraint(model.tokenizer!, "[1-9]\\d{0,2} (?:euros|dollars)");
 * assert.match(await generate(model, "How much?", { constraint }), /^[1-9]\d{0,2} (?:euros|dollars)$/);
 * ```
 */
export function regexConstraint(tokenizer: Tokenizer, pattern: string | RegExp): Promise<ConstraintSource> {
  return Promise.resolve().then(() => {
    const source = typeof pattern === "string" ? pattern : sourceWithoutFlags(pattern);
    return sourceOf("regexConstraint", tokenizer, ({ alphabet }) => {
      const plain = automaton(alphabet), frames = plainFrames(plain);
      return { frames, first: [patternFrame("regexConstraint", source, plain, frames)], automata: [plain] };
    });
  });
}

/**
 * Answers are one of some texts, to the letter.
 *
 * @param tokenizer the model's, with bytes for its tokens (all but WordPiece)
 * @throws UserError without a choice, or where the tokenizer can write none
 *
 * @example
 * ```ts
 * import { choiceConstraint, generate, loadModel } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const model = await loadModel("examples/tiny/model");
 * const constraint = await choiceConstraint(model.tokenizer!, ["positive", "neutral", "negative"]);
 * assert.ok(["positive", "neutral", "negative"].includes(await generate(model, "Shares rose.", { constraint })));
 * ```
 */
export function choiceConstraint(
  tokenizer: Tokenizer,
  choices: readonly string[],
): Promise<ConstraintSource> {
  return Promise.resolve().then(() => {
    if (
      !Array.isArray(choices) || choices.length === 0 ||
      choices.some((one) => typeof one !== "string" || one === "")
    ) {
      throw new UserError("choiceConstraint needs a list of at least one text, none of them empty.");
    }
    const list = choices.map((one) => one.toWellFormed());
    return sourceOf("choiceConstraint", tokenizer, ({ alphabet }) => {
      const plain = automaton(alphabet), frames = plainFrames(plain);
      const first = [textFrame("choiceConstraint", plain.terms.texts(list), plain, frames)];
      return { frames, first, automata: [plain] };
    });
  });
}

function sourceWithoutFlags({ source, flags }: RegExp): string {
  const changing = [...flags].find((flag) => !"dguv".includes(flag));
  if (changing === undefined) return source;
  throw new UserError(
    `regexConstraint: the flag "${changing}" is not supported: write the pattern without it.`,
  );
}

const plainFrames = ({ characters }: Automaton) => createFrames({ plain: characters, string: characters }, 0);

function patternFrame(caller: string, pattern: string, plain: Automaton, frames: Frames): Frame {
  let term: Term;
  try {
    term = patternTerm(plain.terms, pattern, true);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(
      `${caller}: the pattern ${JSON.stringify(pattern)} cannot be used: ${
        error.message.replace(/\.$/, "")
      }.`,
    );
  }
  return textFrame(caller, term, plain, frames);
}

function textFrame(caller: string, term: Term, { characters }: Automaton, frames: Frames): Frame {
  const start = characters.start(term);
  if (!start) {
    throw new UserError(`${caller}: there is no text that is allowed and that the tokenizer can write.`);
  }
  return frames.text("plain", start);
}

function sourceOf(
  caller: string,
  tokenizer: Tokenizer,
  begin: (vocabulary: Vocabulary) => { frames: Frames; first: Frame[]; automata: Automaton[] },
): ConstraintSource {
  if (typeof tokenizer?.decode !== "function") {
    throw new UserError(
      `${caller} needs the model's tokenizer first: the tokenizer of what loadModel gives.`,
    );
  }
  const vocabulary = vocabularyOf(tokenizer);
  return constraintSource(vocabulary, () => {
    const { frames, first, automata } = shallow(caller, () => begin(vocabulary));
    const terms = () => automata.reduce((sum, { terms }) => sum + terms.size, 0), atFirst = terms();
    const machine = createMachine(
      vocabulary.stripsSpace ? [...first.slice(0, -1), frames.behindSpace(first.at(-1)!)] : first,
    );
    return { machine, grown: () => terms() - atFirst > MOST_NEW_TERMS };
  });
}

/** Then the next answer begins with new ones: a pattern may have no end of them. */
const MOST_NEW_TERMS = 50_000;

/** What is nested deeper than the stack, as only an attacker writes it, is a user's mistake too. */
function shallow<T>(caller: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new UserError(`${caller}: what is allowed is too long or nested too deep: make it simpler.`);
  }
}

interface Automaton {
  terms: Terms;
  characters: Characters;
}

function automaton(alphabet: CharSet): Automaton {
  const terms = createTerms(alphabet);
  return { terms, characters: createCharacters(terms) };
}

/** Whether characters without a token can be written in JSON as \u and four digits. */
function canEscape(alphabet: CharSet): boolean {
  const needed = charsOf("\\u0123456789abcdef");
  return intersect(needed, alphabet).join() === needed.join();
}
