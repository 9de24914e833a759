// What stands on the machine's stack: a text that is being written, a value that is to begin, an object or an array with
// something open inside. A frame says for each byte by which frames it is replaced.

import type { Characters, CharState, Freedom } from "./characters.ts";
import {
  type ArrayShape,
  elementAt,
  missingMembers,
  type Node,
  type ObjectShape,
  shortestMember,
} from "./shapes.ts";
import { FREE } from "./vocabulary.ts";

export interface Frame {
  readonly id: number;
  /** It may be over here: the next byte can be the frame's below. */
  readonly closing: boolean;
  /** The ways to go on with a byte: the frames that replace this one, the innermost last; none: it is over. */
  step(byte: number): readonly (readonly Frame[])[];
  /** The shortest bytes with which it ends, as U+0000 to U+00FF. */
  finish(): string;
  /** At least as many bytes as `finish` gives, without the work. */
  bound(): number;
  /** How many free characters it takes, whichever they are. */
  freedom?(): Freedom;
}

export interface Frames {
  /** A text as it stands (`plain`), or the inside of a JSON string with its closing quote. */
  text(kind: "plain" | "string", state: CharState): Frame;
  value(node: Node): Frame;
  /** One space may stand before it: decoding leaves it out, so that the text's own space is the second. */
  behindSpace(inner: Frame): Frame;
}

/** Half a character: nothing, some bytes of UTF-8, or some of an escape (\\n, \\u00e9, two for characters beyond U+FFFF). */
type Half =
  | { kind: "none" }
  | { kind: "bytes"; code: number; left: number; least: number }
  | { kind: "escape" }
  | { kind: "hex"; unit: number; digits: number; high: number }
  | { kind: "second" | "secondU"; high: number };

const NONE: Half = { kind: "none" };
const ESCAPED: Record<number, number | undefined> = {
  0x22: 0x22,
  0x2f: 0x2f,
  0x5c: 0x5c,
  0x62: 8,
  0x66: 12,
  0x6e: 10,
  0x72: 13,
  0x74: 9,
};
/** Bytes with which half a character can be finished; a short escape comes before \\u. */
const FINISHING = [...'"nrtbf/\\u0123456789abcdef'].map((one) => one.charCodeAt(0)).concat(
  Array.from({ length: 64 }, (_, i) => 0x80 + i),
);
const isSpace = (byte: number) => byte === 32 || byte === 10 || byte === 13 || byte === 9;

/** @param whitespace most characters of white space between two parts of a JSON text */
export function createFrames(
  characters: Record<"plain" | "string", Characters>,
  whitespace: number,
): Frames {
  const known = new Map<string, Frame>();
  const frame = (key: string, make: () => Omit<Frame, "id">): Frame => {
    let found = known.get(key);
    if (!found) known.set(key, found = { id: known.size, ...make() });
    return found;
  };

  const text = (kind: "plain" | "string", state: CharState, half: Half = NONE): Frame =>
    frame(`${kind} ${state.id} ${Object.values(half).join(" ")}`, () => {
      const chars = characters[kind], whole = half === NONE;
      const after = (code: number): Frame[][] => {
        const next = chars.next(state, code);
        return next ? [[text(kind, next)]] : [];
      };
      /** Goes on with half a character, if it can become one between lo and hi. */
      const within = (next: Half, ...ranges: [lo: number, hi: number][]): Frame[][] =>
        ranges.some(([lo, hi]) => chars.reaches(state, lo, hi)) ? [[text(kind, state, next)]] : [];
      return {
        closing: kind === "plain" && whole && state.accepts,
        bound: () => 6 * state.least + (kind === "string" ? 1 : 0) + (whole ? 0 : 12),
        step(byte) {
          switch (half.kind) {
            case "none":
              if (kind === "string") {
                if (byte === 0x22) return state.accepts ? [[]] : [];
                if (byte === 0x5c) return within({ kind: "escape" }, [0, 0x10ffff]);
                if (byte < 32) return [];
              }
              return byte < 0x80 ? after(byte) : firstByte(byte, within);
            case "bytes":
              return byte >> 6 === 2 ? nextByte(half, byte, within, after) : [];
            case "escape": {
              const code = ESCAPED[byte];
              if (code !== undefined) return after(code);
              return byte === 0x75 ? within({ kind: "hex", unit: 0, digits: 0, high: 0 }, [0, 0x10ffff]) : [];
            }
            case "hex":
              return hexDigit(half, byte, within, after);
            case "second":
              return byte === 0x5c ? [[text(kind, state, { kind: "secondU", high: half.high })]] : [];
            case "secondU":
              return byte === 0x75
                ? [[text(kind, state, { kind: "hex", unit: 0, digits: 0, high: half.high })]]
                : [];
          }
        },
        finish() {
          if (whole) return endOf(kind, chars.shortest(state));
          for (const byte of FINISHING) {
            const next = this.step(byte)[0]?.[0];
            if (next) return String.fromCharCode(byte) + next.finish();
          }
          return ""; // cannot be: half characters are there only where they can be finished
        },
        freedom: whole ? () => chars.freedom(state, FREE) : undefined,
      };
    });

  const value = (node: Node, spaces = 0): Frame =>
    frame(`value ${node.id} ${spaces}`, () => ({
      closing: false,
      bound: () => toBytes(node.shortest!).length,
      step(byte) {
        if (isSpace(byte)) return spaces < whitespace ? [[value(node, spaces + 1)]] : [];
        return node.shapes.flatMap((shape): readonly (readonly Frame[])[] => {
          switch (shape.kind) {
            case "plain":
              return text("plain", shape.start).step(byte);
            case "string":
              return byte === 0x22 ? [[text("string", shape.start)]] : [];
            case "object":
              return byte === 0x7b ? [[object(shape, { phase: "open", seen: 0n, count: 0 })]] : [];
            case "array":
              return byte === 0x5b ? [[array(shape, "open", 0)]] : [];
          }
        });
      },
      finish: () => toBytes(node.shortest!),
    }));

  interface Inside {
    /** Behind the brace, behind a comma, behind a key, behind a value. */
    phase: "open" | "next" | "colon" | "after";
    seen: bigint;
    /** Members so far; counted only where their number is limited. */
    count: number;
    /** The open key's value. */
    pending?: Node;
  }
  const object = (shape: ObjectShape, inside: Inside, spaces = 0): Frame => {
    const { phase, seen, count, pending } = inside;
    return frame(`object ${shape.id} ${phase} ${seen} ${count} ${pending?.id} ${spaces}`, () => {
      const missing = missingMembers(shape, seen, count);
      const counted = shape.least > 0 || shape.most < Infinity;
      const members = () => {
        const open = shape.properties.flatMap(({ key, node }, i) => {
          const bit = 1n << BigInt(i), next = counted ? count + 1 : 0;
          if (seen & bit || missingMembers(shape, seen | bit, next) === undefined) return [];
          return [[
            object(shape, { phase: "colon", seen: seen | bit, count: next, pending: node }),
            text("string", key),
          ]];
        });
        const { others } = shape, next = counted ? count + 1 : 0;
        if (!others || missingMembers(shape, seen, next) === undefined) return open;
        return [...open, [
          object(shape, { phase: "colon", seen, count: next, pending: others.node }),
          text("string", others.keys),
        ]];
      };
      const finish = () => {
        const needed = missing ?? [], list = needed.join(",");
        if (phase === "open") return toBytes(`${list}}`);
        if (phase === "after") return toBytes(`${needed.map((one) => `,${one}`).join("")}}`);
        if (phase === "colon") {
          return `:${toBytes(pending!.shortest!)}${object(shape, { phase: "after", seen, count }).finish()}`;
        }
        return toBytes(`${needed.length > 0 ? list : shortestMember(shape, seen)}}`);
      };
      return {
        closing: false,
        bound: () => finish().length,
        finish,
        step(byte) {
          if (isSpace(byte)) return spaces < whitespace ? [[object(shape, inside, spaces + 1)]] : [];
          switch (phase) {
            case "open":
            case "next":
              if (byte === 0x7d && phase === "open") return missing?.length === 0 ? [[]] : [];
              return byte === 0x22 ? members() : [];
            case "colon":
              return byte === 0x3a ? [[object(shape, { phase: "after", seen, count }), value(pending!)]] : [];
            case "after":
              if (byte === 0x7d) return missing?.length === 0 ? [[]] : [];
              return byte === 0x2c && members().length > 0
                ? [[object(shape, { phase: "next", seen, count })]]
                : [];
          }
        },
      };
    });
  };

  const array = (shape: ArrayShape, phase: "open" | "after", length: number, spaces = 0): Frame =>
    frame(`array ${shape.id} ${phase} ${length} ${spaces}`, () => {
      // Lengths above all limits are one.
      const limit = Math.max(shape.first.length, shape.least, shape.most < Infinity ? shape.most : 0) + 1;
      const next = length < shape.most ? elementAt(shape, length) : undefined;
      const within = () => array(shape, "after", Math.min(length + 1, limit));
      const finish = () => {
        const missing = Array.from({ length: Math.max(shape.least - length, 0) }, (_, i) => {
          return elementAt(shape, length + i)!.shortest!;
        });
        return toBytes(`${phase === "open" || missing.length === 0 ? "" : ","}${missing.join(",")}]`);
      };
      return {
        closing: false,
        bound: () => finish().length,
        finish,
        step(byte) {
          if (isSpace(byte)) return spaces < whitespace ? [[array(shape, phase, length, spaces + 1)]] : [];
          if (byte === 0x5d) return length >= shape.least ? [[]] : [];
          if (!next) return [];
          if (phase === "after") return byte === 0x2c ? [[within(), value(next)]] : [];
          return value(next).step(byte).map((frames) => [within(), ...frames]);
        },
      };
    });

  return {
    text: (kind, state) => text(kind, state),
    value: (node) => value(node),
    behindSpace: (inner) =>
      frame(`space ${inner.id}`, () => ({
        closing: inner.closing,
        bound: () => inner.bound() + 1,
        step: (byte) => byte === 32 ? [[inner]] : inner.step(byte),
        finish: () => inner.finish().replace(/^ /, "  "),
      })),
  };
}

type Ways = Frame[][];
type Within = (next: Half, ...ranges: [lo: number, hi: number][]) => Ways;

/** UTF-8's first byte says how many follow; what a shorter form could write is refused by `least`. */
function firstByte(byte: number, within: Within): Ways {
  const left = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1;
  if (byte < 0xc2 || byte > 0xf4) return [];
  const code = byte & (0x3f >> left), least = [0x80, 0x800, 0x10000][left - 1];
  const [lo, hi] = following(code, left, least);
  return within({ kind: "bytes", code, left, least }, [lo, hi]);
}

function nextByte(
  half: Half & { kind: "bytes" },
  byte: number,
  within: Within,
  after: (code: number) => Ways,
): Ways {
  const code = half.code << 6 | byte & 0x3f, left = half.left - 1;
  const [lo, hi] = following(code, left, half.least);
  if (lo > hi) return [];
  return left === 0 ? after(code) : within({ ...half, code, left }, [lo, hi]);
}

/** The characters that begin with so much. */
function following(code: number, left: number, least: number): [lo: number, hi: number] {
  return [Math.max(code << 6 * left, least), (code + 1 << 6 * left) - 1];
}

/** \\uXXXX: a character, or one of the two halves of a character beyond U+FFFF. */
function hexDigit(
  { unit, digits, high }: Half & { kind: "hex" },
  byte: number,
  within: Within,
  after: (code: number) => Ways,
): Ways {
  const digit = hexOf(byte);
  if (digit < 0) return [];
  const next = unit * 16 + digit, left = 3 - digits;
  const lo = next * 16 ** left, hi = lo + 16 ** left - 1;
  if (high > 0) { // the second half: U+DC00 to U+DFFF
    const from = Math.max(lo, 0xdc00),
      to = Math.min(hi, 0xdfff),
      base = 0x10000 + (high - 0xd800) * 1024 - 0xdc00;
    if (from > to) return [];
    return left === 0
      ? after(base + lo)
      : within({ kind: "hex", unit: next, digits: digits + 1, high }, [base + from, base + to]);
  }
  const from = Math.max(lo, 0xd800), to = Math.min(hi, 0xdbff);
  const beyond: [number, number][] = from > to
    ? []
    : [[0x10000 + (from - 0xd800) * 1024, 0x10000 + (to - 0xd800) * 1024 + 1023]];
  if (left === 0) return beyond.length > 0 ? within({ kind: "second", high: lo }, ...beyond) : after(lo);
  return within({ kind: "hex", unit: next, digits: digits + 1, high: 0 }, [lo, hi], ...beyond);
}

function hexOf(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const letter = byte | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}

const encoder = new TextEncoder();

/** A text's UTF-8 as U+0000 to U+00FF. */
function toBytes(text: string): string {
  return /^\p{ASCII}*$/u.test(text)
    ? text
    : Array.from(encoder.encode(text), (byte) => String.fromCharCode(byte)).join("");
}

function endOf(kind: "plain" | "string", rest: string): string {
  return toBytes(kind === "plain" ? rest : JSON.stringify(rest).slice(1));
}
