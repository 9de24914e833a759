// What stands on the machine's stack: a text that is being written, a value that is to begin, an object or an array with
// something open inside. A frame says for each byte by which frames it is replaced.

import type { Characters, CharState } from "./characters.ts";
import { type Frame, NO_WAY, OVER, type Ways } from "./frame.ts";
import { ESCAPED, firstByte, type Half, hexDigit, nextByte, NONE, type Within } from "./halves.ts";
import {
  type ArrayShape,
  elementAt,
  missingMembers,
  type Node,
  type ObjectShape,
  openProperties,
  shortestMember,
} from "./shapes.ts";
import { FREE } from "./vocabulary.ts";

export interface Frames {
  /** A text as it stands (`plain`), or the inside of a JSON string with its closing quote. */
  text(kind: "plain" | "string", state: CharState): Frame;
  value(node: Node): Frame;
  /** One space may stand before it: decoding leaves it out, so that the text's own space is the second. */
  behindSpace(inner: Frame): Frame;
}

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
  const known = new Map<string, Frame>(),
    wholes = { plain: new Map<CharState, Frame>(), string: new Map<CharState, Frame>() };
  const frame = (key: string, make: () => Omit<Frame, "id" | "alone">): Frame => {
    let found = known.get(key);
    if (!found) {
      const alone: Frame[][] = [[]];
      known.set(key, found = { id: known.size, alone, ...make() });
      alone[0].push(found);
    }
    return found;
  };

  /** Asked for with every byte of a text, so without making a key. */
  const text = (kind: "plain" | "string", state: CharState): Frame => {
    let found = wholes[kind].get(state);
    if (!found) wholes[kind].set(state, found = textAt(kind, state, NONE));
    return found;
  };
  const textAt = (kind: "plain" | "string", state: CharState, half: Half): Frame =>
    frame(`${kind} ${state.id} ${Object.values(half).join(" ")}`, () => {
      const chars = characters[kind], whole = half === NONE;
      const after = (code: number): Ways => {
        const next = chars.next(state, code);
        return next ? text(kind, next).alone : NO_WAY;
      };
      /** Goes on with half a character, if it can become one between lo and hi. */
      const within: Within = (next, ...ranges) => {
        if (!ranges.some(([lo, hi]) => chars.reaches(state, lo, hi))) return NO_WAY;
        const [lo, hi] = ranges[0];
        if (next.kind === "bytes" && hi - lo + 1 === 64 ** next.left) {
          const only = chars.onlyAfter(state, lo, hi);
          if (only) return textAt(kind, only, { kind: "any", left: next.left }).alone;
        }
        return textAt(kind, state, next).alone;
      };
      return {
        closing: kind === "plain" && whole && state.accepts,
        bound: () => 6 * state.least + (kind === "string" ? 1 : 0) + (whole ? 0 : 12),
        step(byte) {
          switch (half.kind) {
            case "none":
              if (kind === "string") {
                if (byte === 0x22) return state.accepts ? OVER : NO_WAY;
                if (byte === 0x5c) return within({ kind: "escape" }, [0, 0x10ffff]);
                if (byte < 32) return NO_WAY;
              }
              return byte < 0x80 ? after(byte) : firstByte(byte, within);
            case "bytes":
              return byte >> 6 === 2 ? nextByte(half, byte, within, after) : NO_WAY;
            case "any":
              if (byte >> 6 !== 2) return NO_WAY;
              return (half.left === 1
                ? text(kind, state)
                : textAt(kind, state, { kind: "any", left: half.left - 1 })).alone;
            case "escape": {
              const code = ESCAPED[byte];
              if (code !== undefined) return after(code);
              return byte === 0x75
                ? within({ kind: "hex", unit: 0, digits: 0, high: 0 }, [0, 0x10ffff])
                : NO_WAY;
            }
            case "hex":
              return hexDigit(half, byte, within, after);
            case "second":
              return byte === 0x5c ? textAt(kind, state, { kind: "secondU", high: half.high }).alone : NO_WAY;
            case "secondU":
              return byte === 0x75
                ? textAt(kind, state, { kind: "hex", unit: 0, digits: 0, high: half.high }).alone
                : NO_WAY;
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
        likeness(depth) {
          const set = whole ? chars.openTo(state, depth) : undefined;
          return set && `${kind} ${set}`;
        },
      };
    });

  const value = (node: Node, spaces = 0): Frame =>
    frame(`value ${node.id} ${spaces}`, () => ({
      closing: false,
      bound: () => toBytes(node.shortest!).length,
      step(byte) {
        if (isSpace(byte)) return spaces < whitespace ? value(node, spaces + 1).alone : NO_WAY;
        return node.shapes.flatMap((shape): readonly (readonly Frame[])[] => {
          switch (shape.kind) {
            case "plain":
              return text("plain", shape.start).step(byte);
            case "string":
              return byte === 0x22 ? [[text("string", shape.start)]] : NO_WAY;
            case "object":
              return byte === 0x7b ? [[object(shape, { phase: "open", seen: 0n, count: 0 })]] : NO_WAY;
            case "array":
              return byte === 0x5b ? [[array(shape, "open", 0)]] : NO_WAY;
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
      const counted = shape.least > 0 || shape.most < Infinity, next = counted ? count + 1 : 0;
      let lacking: string[] | undefined;
      const missing = () => lacking ??= missingMembers(shape, seen, count) ?? [];
      /** Where so many members are enough that only required ones can come, others cannot. */
      const open = () => {
        const left = openProperties(shape, seen), must = left.filter(([, { required }]) => required);
        const more = !counted || count + 1 + must.length <= shape.most;
        return { properties: more ? left : must, others: more ? shape.others : undefined };
      };
      const members = () => {
        const { properties, others } = open();
        const ways = properties.map(([i, { key, node }]) => [
          object(shape, { phase: "colon", seen: seen | 1n << BigInt(i), count: next, pending: node }),
          text("string", key),
        ]);
        if (!others) return ways;
        return [...ways, [
          object(shape, { phase: "colon", seen, count: next, pending: others.node }),
          text("string", others.keys),
        ]];
      };
      const finish = () => {
        const needed = missing(), list = needed.join(",");
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
          if (isSpace(byte)) return spaces < whitespace ? object(shape, inside, spaces + 1).alone : NO_WAY;
          switch (phase) {
            case "open":
            case "next":
              if (byte === 0x7d && phase === "open") return missing().length === 0 ? OVER : NO_WAY;
              return byte === 0x22 ? members() : NO_WAY;
            case "colon":
              return byte === 0x3a
                ? [[object(shape, { phase: "after", seen, count }), value(pending!)]]
                : NO_WAY;
            case "after":
              if (byte === 0x7d) return missing().length === 0 ? OVER : NO_WAY;
              if (byte !== 0x2c) return NO_WAY;
              return open().properties.length > 0 || open().others
                ? object(shape, { phase: "next", seen, count }).alone
                : NO_WAY;
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
          if (isSpace(byte)) {
            return spaces < whitespace ? array(shape, phase, length, spaces + 1).alone : NO_WAY;
          }
          if (byte === 0x5d) return length >= shape.least ? OVER : NO_WAY;
          if (!next) return NO_WAY;
          if (phase === "after") return byte === 0x2c ? [[within(), value(next)]] : NO_WAY;
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
        step: (byte) => byte === 32 ? inner.alone : inner.step(byte),
        finish: () => inner.finish().replace(/^ /, "  "),
      })),
  };
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
