// Numbers between bounds as patterns of their decimal digits.

import { UserError } from "../errors.ts";
import { patternTerm } from "./pattern.ts";
import type { Term, Terms } from "./terms.ts";

/** Bounds of a number; both inclusive ones belong to it. */
export interface Bounds {
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
}

/** JavaScript writes integers out up to 21 digits, and needs up to 25 behind the point before it writes an exponent. */
const WHOLE = "(?:0|[1-9]\\d{0,20})", FRACTION = "(?:\\.\\d{1,25})?";
/** With one digit before the point no exponent up to here goes beyond the largest number. */
const EXPONENT = "(?:[0-9]|[1-9]\\d|[12]\\d\\d|30[0-7])",
  NEGATIVE = "(?:[0-9]|[1-9]\\d|[12]\\d\\d|3[01]\\d|32[0-4])";
/** Exponents as JavaScript writes them: for numbers of at least 1e21, and for those under 1e-6 that are not read as 0. */
const LARGE = "e\\+(?:2[1-9]|[3-9]\\d|[12]\\d\\d|30[0-7])",
  SMALL = "e-(?:[7-9]|[1-9]\\d|[12]\\d\\d|3[01]\\d|32[0-3])";

/**
 * Numbers as JSON writes them. Without bounds any exponent that a number can have; between bounds only exponents of numbers
 * that JavaScript itself writes with one. Integers are written without a point.
 *
 * @param integer only whole numbers
 * @param decimals at most so many digits behind the point (multipleOf 0.01 is 2)
 */
export function numberTerm(terms: Terms, integer: boolean, bounds: Bounds, decimals: number = 25): Term {
  const pattern = (source: string) => patternTerm(terms, source, true);
  const fraction = decimals < 25 ? decimals === 0 ? "" : `(?:\\.\\d{1,${decimals}})?` : FRACTION;
  const shape = pattern(`-?${WHOLE}${integer ? "" : fraction}`);
  const low = lowest(bounds), high = highest(bounds);
  const exponents = integer || decimals < 25 ? terms.none : pattern(exponentForms(low, high));
  if (!low && !high) return terms.or(shape, exponents);
  const rightOf = (bound: Bound | undefined, side: 1 | -1): Term => {
    if (!bound) return terms.all;
    const value = bound.value * side;
    if (Math.abs(value) >= BEYOND) return value > 0 ? terms.none : terms.all;
    const near = value !== 0 && Math.abs(value) < FINEST ? { value: 0, strict: value > 0 } : bound;
    return pattern(side > 0 ? atLeast(near) : atMost(near));
  };
  return terms.or(terms.and(shape, rightOf(low, 1), rightOf(high, -1)), exponents);
}

/** Numbers written with at most 21 digits are under this, and with 25 behind the point 0 or not under that. */
const BEYOND = 1e21, FINEST = 1e-25;

/** A bound, and whether the number itself is outside. */
interface Bound {
  value: number;
  strict: boolean;
}

function lowest({ minimum, exclusiveMinimum }: Bounds): Bound | undefined {
  return strictest(minimum, exclusiveMinimum, (a, b) => a > b, 1);
}

function highest({ maximum, exclusiveMaximum }: Bounds): Bound | undefined {
  return strictest(maximum, exclusiveMaximum, (a, b) => a < b, -1);
}

// A text a hair beside an exclusive bound is read as the bound itself. So the next number that exists is the bound, except
// beside 0, where that has hundreds of digits and no text of ours is read as 0 that is not.
function strictest(
  inclusive: number | undefined,
  exclusive: number | undefined,
  beyond: (a: number, b: number) => boolean,
  direction: 1 | -1,
): Bound | undefined {
  for (const bound of [inclusive, exclusive]) {
    if (bound !== undefined && !Number.isFinite(bound)) throw new UserError(`${bound} is no bound`);
  }
  const next = exclusive === undefined || exclusive === 0 ? exclusive : nextNumber(exclusive, direction);
  if (next === undefined || inclusive !== undefined && beyond(inclusive, next)) {
    return inclusive === undefined ? undefined : { value: inclusive, strict: false };
  }
  return { value: next, strict: exclusive === 0 };
}

/** The number beside another one (not 0). */
function nextNumber(value: number, direction: 1 | -1): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  view.setBigInt64(0, view.getBigInt64(0) + (value > 0 === direction > 0 ? 1n : -1n));
  return view.getFloat64(0);
}

function exponentForms(low: Bound | undefined, high: Bound | undefined): string {
  if (!low && !high) return `-?\\d(?:\\.\\d{1,25})?[eE](?:\\+?${EXPONENT}|-${NEGATIVE})`;
  const from = low?.value ?? -Infinity, to = high?.value ?? Infinity, mantissa = "[1-9](?:\\.\\d{1,25})?";
  const forms = [
    from <= 0 && to >= 1e-6 && `${mantissa}${SMALL}`,
    from <= -1e-6 && to >= 0 && `-${mantissa}${SMALL}`,
    from <= 1e21 && to === Infinity && `${mantissa}${LARGE}`,
    to >= -1e21 && from === -Infinity && `-${mantissa}${LARGE}`,
  ].filter((form) => form !== false);
  return forms.length === 0 ? "[]" : forms.join("|");
}

/** Patterns below say only which numbers are on the right side; how they are written says another one beside them. */
const REST = "(?:\\.\\d+)?";

function atLeast({ value, strict }: Bound): string {
  if (value < 0) return `-(?:${upTo(-value, strict)})|\\d+${REST}`;
  return value === 0 && !strict ? `-0(?:\\.0+)?|\\d+${REST}` : from(value, strict);
}

function atMost({ value, strict }: Bound): string {
  if (value > 0) return `-\\d+${REST}|${upTo(value, strict)}`;
  return value === 0 && !strict ? `-\\d+${REST}|0(?:\\.0+)?` : `-(?:${from(-value, strict)})`;
}

/** Unsigned numbers that are at least `value`, or above it. */
function from(value: number, strict: boolean): string {
  const [whole, fraction] = digitsOf(value);
  const higher = whole === "0" ? [] : digitsBeside(whole, 1).map((digits) => `${digits}${REST}`);
  const more = whole === "0" ? `[1-9]\\d*${REST}` : `[1-9]\\d{${whole.length},}${REST}`;
  const tail = strict ? "\\d*[1-9]\\d*" : "\\d*";
  const same = fraction === ""
    ? strict ? `\\.${tail}` : REST
    : `\\.(?:${[...fractionsBeside(fraction, 1), `${fraction}${tail}`].join("|")})`;
  return [more, ...higher, `${whole}${same}`].join("|");
}

/** Unsigned numbers that are at most `value` (above 0), or under it. */
function upTo(value: number, strict: boolean): string {
  const [whole, fraction] = digitsOf(value);
  const lower = whole === "0" ? [] : digitsBeside(whole, -1).map((digits) => `${digits}${REST}`);
  const fewer = whole.length > 1 ? [`(?:0|[1-9]\\d{0,${whole.length - 2}})${REST}`] : [];
  const equal = strict ? [] : [`${fraction}0*`];
  const begun = Array.from(fraction, (_, i) => fraction.slice(0, i)).filter((digits) => digits !== "");
  const same = fraction === ""
    ? strict ? [] : [`${whole}(?:\\.0+)?`]
    : [`${whole}(?:\\.(?:${[...fractionsBeside(fraction, -1), ...begun, ...equal].join("|")}))?`];
  return [...lower, ...fewer, ...same].join("|") || "[]";
}

/** Whole numbers of as many digits that are larger (1) or smaller (-1). */
function digitsBeside(digits: string, side: 1 | -1): string[] {
  return Array.from(digits, (digit, i) => {
    const choice = digitsBetween(
      side > 0 ? Number(digit) + 1 : i === 0 && digits.length > 1 ? 1 : 0,
      side > 0 ? 9 : Number(digit) - 1,
    );
    return choice && `${digits.slice(0, i)}${choice}\\d{${digits.length - i - 1}}`;
  }).filter((choice) => choice !== "");
}

/** Digits behind the point that are larger (1) or smaller (-1). */
function fractionsBeside(digits: string, side: 1 | -1): string[] {
  return Array.from(digits, (digit, i) => {
    const choice = side > 0 ? digitsBetween(Number(digit) + 1, 9) : digitsBetween(0, Number(digit) - 1);
    return choice && `${digits.slice(0, i)}${choice}\\d*`;
  }).filter((choice) => choice !== "");
}

const digitsBetween = (from: number, to: number) => from > to ? "" : `[${from}-${to}]`;

/** A number of at least 0 as its digits before and behind the point, without zeros at the end. */
function digitsOf(value: number): [whole: string, fraction: string] {
  const [digits, exponent = "0"] = String(value).split("e"), [whole, fraction = ""] = digits.split(".");
  const shift = Number(exponent), all = whole + fraction, point = whole.length + shift;
  const padded = point <= 0 ? "0".repeat(1 - point) + all : all.padEnd(point, "0");
  const at = Math.max(point, 1);
  return [padded.slice(0, at), padded.slice(at).replace(/0+$/, "")];
}
