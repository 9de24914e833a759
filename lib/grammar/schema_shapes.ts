// What one joined schema allows, type by type: strings and numbers as automata of their characters, objects and arrays with the
// nodes of their parts.

import { UserError } from "../errors.ts";
import { isObject } from "../text/files.ts";
import { ANY } from "./charset.ts";
import type { Characters } from "./characters.ts";
import { FORMATS } from "./formats.ts";
import { type Bounds, numberTerm } from "./numbers.ts";
import { patternTerm } from "./pattern.ts";
import { onlyLists, typeOf } from "./schema_join.ts";
import type { Located, Plain } from "./schema_plain.ts";
import type { Ending, Node, ObjectShape, Shape } from "./shapes.ts";
import type { Term, Terms } from "./terms.ts";

/** What shapes are built with. */
export interface Builder {
  /** The automata of JSON's strings, and of all that stands outside them. */
  strings: { terms: Terms; characters: Characters };
  plain: { terms: Terms; characters: Characters };
  ending: Ending;
  /** Refuses a schema whose values need a character that the tokenizer cannot write. */
  needs(characters: string): void;
  /** A number that no other shape has. */
  nextId(): number;
  /** The node of values that fulfil all of these schemas. */
  node(schemas: readonly Located[]): Node;
  /** Whether a listed value fulfils the rest of what is said. */
  fits(value: unknown): boolean;
}

export function shapesOf(plain: Plain, builder: Builder): Shape[] {
  const { types } = plain;
  if (plain.values) return valueShapes(fittingValues(plain, plain.values, builder), builder);
  const { terms } = builder.plain, atoms: Term[] = [];
  if (types.includes("integer")) {
    atoms.push(numberOf(plain, terms, !types.includes("number")));
  }
  if (types.includes("boolean")) atoms.push(terms.texts(["true", "false"]));
  if (types.includes("null")) atoms.push(terms.text("null"));
  return [
    ...plainShape(atoms, builder),
    ...types.includes("string") ? stringShape(stringTerm(plain, builder.strings.terms), builder) : [],
    ...types.includes("object") ? [objectShape(plain, builder)] : [],
    ...types.includes("array") ? [arrayShape(plain, builder)] : [],
  ];
}

/** Each value is held against the schemas, which looks through the list each time, only where more is said than types. */
function fittingValues(plain: Plain, values: readonly unknown[], { fits }: Builder): readonly unknown[] {
  if (onlyLists(plain)) return values.filter((value) => plain.types.includes(typeOf(value)));
  if (values.length <= MOST_ASKED) return values.filter(fits);
  throw new UserError(
    `The schema lists more than ${MOST_ASKED} values at ${plain.place} and says more about them: take that out.`,
  );
}
const MOST_ASKED = 2000;
/** All that an object does not have yet are followed side by side while a name is written. */
const MOST_PROPERTIES = 1000;

function plainShape(atoms: Term[], { plain }: Builder): Shape[] {
  const start = plain.characters.start(plain.terms.or(...atoms));
  return start ? [{ kind: "plain", start }] : [];
}

function stringShape(term: Term, { strings, needs }: Builder): Shape[] {
  const start = strings.characters.start(term);
  if (start) needs('"');
  return start ? [{ kind: "string", start }] : [];
}

function stringTerm({ patterns, formats, lows, highs }: Plain, terms: Terms): Term {
  const { minLength = 0 } = lows, { maxLength = Infinity } = highs;
  if (minLength > maxLength) return terms.none;
  const length = minLength === 0 && maxLength === Infinity
    ? terms.all
    : terms.repeat(terms.set(ANY), minLength, maxLength);
  return terms.and(
    length,
    ...patterns.map(({ pattern, place }) => placed(place, () => patternTerm(terms, pattern, false))),
    ...formats.map(({ format, place }) => {
      const source = Object.hasOwn(FORMATS, format) ? FORMATS[format] : undefined;
      if (source !== undefined) return patternTerm(terms, source, true);
      throw new UserError(
        `The schema's format ${JSON.stringify(format)} at ${place} is not supported: use ${
          Object.keys(FORMATS).join(", ")
        }, or a pattern.`,
      );
    }),
  );
}

/** Whether a text is as patterns and formats say; other formats than ours are notes on values that are listed. */
export function matching(
  { terms, characters }: Builder["strings"],
): (text: string, plain: Plain) => boolean {
  return (text, { patterns, formats, ...plain }) => {
    const known = formats.filter(({ format }) => Object.hasOwn(FORMATS, format));
    if (patterns.length + known.length === 0) return true;
    const wanted = stringTerm({ ...plain, patterns, formats: known }, terms);
    return characters.start(terms.and(terms.text(text), wanted)) !== undefined;
  };
}

function placed<T>(place: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (error instanceof UserError) {
      throw new UserError(
        `The schema's pattern at ${place} cannot be used: ${error.message.replace(/\.$/, "")}.`,
      );
    }
    throw error;
  }
}

/** multipleOf is supported as a number of decimals: 1, 0.1, 0.01 and so on. */
function numberOf({ lows, highs, multiples }: Plain, terms: Terms, integer: boolean): Term {
  const decimals = multiples.map(({ of, place }) => {
    const digits = /^1e-(\d+)$/.exec(of.toExponential())?.[1] ?? (of === 1 ? "0" : undefined);
    if (digits !== undefined) return Number(digits);
    throw new UserError(
      `The schema's multipleOf ${of} at ${place} is not supported: only 1, 0.1, 0.01 and so on are.`,
    );
  });
  const bounds: Bounds = { ...lows, ...highs };
  return numberTerm(terms, integer || decimals.includes(0), bounds, Math.min(25, ...decimals));
}

function objectShape(
  { properties, required, additional, lows, highs, place }: Plain,
  builder: Builder,
): ObjectShape {
  const { strings, node, needs } = builder, { terms, characters } = strings;
  const { minProperties: least = 0 } = lows, { maxProperties: most = Infinity } = highs;
  const closed = additional.some(({ schema }) => schema === false);
  if (least > required.length && !closed) {
    throw new UserError(
      `The schema's "minProperties" at ${place} is supported only with additionalProperties: false, as a key could come twice.`,
    );
  }
  needs('{}:,"');
  const names = [...new Set([...properties.keys(), ...required])];
  if (names.length > MOST_PROPERTIES) {
    throw new UserError(
      `The schema's object at ${place} has more than ${MOST_PROPERTIES} properties: make it smaller.`,
    );
  }
  const keys = characters.start(terms.not(terms.texts(names)));
  return {
    kind: "object",
    id: builder.nextId(),
    properties: names.flatMap((name) => {
      const key = characters.start(terms.text(name)), must = required.includes(name);
      if (!key && !must) return []; // a tokenizer without backslash that lacks one of its characters
      return [{
        name,
        key: key!,
        node: key ? node(properties.get(name) ?? additional) : node([NEVER]),
        required: must,
      }];
    }),
    ...keys && !closed
      ? { others: { keys, node: node(additional), sample: JSON.stringify(characters.shortest(keys)) } }
      : {},
    least,
    most,
  };
}

const NEVER: Located = { schema: false, place: "nothing" };

function arrayShape({ first, items, lows, highs }: Plain, { node, needs, nextId }: Builder): Shape {
  const { minItems: least = 0 } = lows, { maxItems: most = Infinity } = highs;
  needs("[],");
  return { kind: "array", id: nextId(), first: first.map(node), others: node(items), least, most };
}

/** Values that are given: each as JSON writes it, objects in any order of their fields. */
function valueShapes(values: readonly unknown[], builder: Builder): Shape[] {
  const { strings, plain, nextId, needs } = builder;
  const texts = values.filter((value) => typeof value === "string");
  const others = values.filter((value) =>
    typeof value !== "string" && (typeof value !== "object" || value === null)
  );
  const whole = values.filter((value) => typeof value === "object" && value !== null) as object[];
  return [
    ...texts.length > 0 ? stringShape(strings.terms.texts(texts), builder) : [],
    ...others.length > 0
      ? plainShape([plain.terms.texts(others.map((value) => JSON.stringify(value)))], builder)
      : [],
    ...whole.map((value): Shape => {
      const inner = (one: unknown) => builder.node([constant(one)]);
      if (Array.isArray(value)) {
        needs("[],");
        return {
          kind: "array",
          id: nextId(),
          first: value.map(inner),
          least: value.length,
          most: value.length,
        };
      }
      needs('{}:,"');
      const properties = Object.entries(isObject(value) ? value : {}).flatMap(([name, one]) => {
        const key = strings.characters.start(strings.terms.text(name));
        return key ? [{ name, key, node: inner(one), required: true }] : [];
      });
      return { kind: "object", id: nextId(), properties, least: Object.keys(value).length, most: Infinity };
    }),
  ];
}

const constant = (value: unknown): Located => ({
  schema: { const: value },
  place: `const ${JSON.stringify(value)}`,
});
