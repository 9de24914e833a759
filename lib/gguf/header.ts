// Numbers, texts and lists of a GGUF file's header, each checked against what is left of the file before memory is taken for it.
import { UserError } from "../errors.ts";
import {
  getScalar,
  type GgufScalar,
  type GgufValue,
  valueBytes,
  type ValueType,
  valueTypes,
} from "./values.ts";

/** Thrown where the bytes at hand end before the file does. */
export class NeedsMore extends Error {}

/** Reads the header from its beginning. */
export interface HeaderReader {
  u32(): number;
  /** A number of 64 bits that is exact as a number of JavaScript. */
  u64(): number;
  /** How many there are: at most so many, each of at least so many bytes in the file. */
  count(what: string, bytes: number, most: number): number;
  text(what: string): string;
  /** A value with its type before it. */
  value(key: string): GgufValue;
  /** Bytes read so far. */
  position(): number;
}

/** A reader over the first bytes of a file of the given size. */
export function headerReader(bytes: Uint8Array, size: number, path: string): HeaderReader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true }); // tokens may be parts of characters: replaced, not refused
  let at = 0;
  const taken = (length: number): number => {
    if (length > size - at) {
      throw new UserError(
        `${path} is truncated or damaged: at byte ${at} it should go on for ${length} more.`,
      );
    }
    if (at + length > bytes.length) throw new NeedsMore();
    at += length;
    return at - length;
  };
  const scalar = (type: Exclude<ValueType, "array">, key: string): GgufScalar =>
    type === "string" ? reader.text(key) : getScalar(view, taken(valueBytes[type]), type);
  const typeOf = (key: string): ValueType => {
    const number = reader.u32(), type = valueTypes[number];
    if (type) return type;
    throw new UserError(`${path}: ${JSON.stringify(key)} has a value of the unknown type ${number}.`);
  };
  const reader: HeaderReader = {
    u32: () => view.getUint32(taken(4), true),
    u64() {
      const value = view.getBigUint64(taken(8), true);
      if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
      throw new UserError(`${path} is damaged: ${value} at byte ${at - 8} is no possible size.`);
    },
    count(what, each, most) {
      const count = reader.u64();
      if (count > most) {
        throw new UserError(`${path} is damaged: ${count} ${what} are more than any model has.`);
      }
      if (count * each <= size - at) return count;
      throw new UserError(
        `${path} is truncated or damaged: it should have ${count} ${what}, more than fit into it.`,
      );
    },
    text(what) {
      const length = reader.u64();
      if (length > MOST_TEXT) {
        throw new UserError(`${path} is damaged: ${JSON.stringify(what)} is a text of ${length} bytes.`);
      }
      const start = taken(length);
      return decoder.decode(bytes.subarray(start, start + length));
    },
    value(key) {
      const type = typeOf(key);
      if (type !== "array") return { type, value: scalar(type, key) };
      const of = typeOf(key);
      if (of === "array") throw new UserError(`${path}: ${JSON.stringify(key)} is a list of lists.`);
      const count = reader.count(`values in ${JSON.stringify(key)}`, valueBytes[of], MOST_VALUES);
      const value: GgufScalar[] = [];
      for (let i = 0; i < count; i++) value.push(scalar(of, key));
      return { type, of, value };
    },
    position: () => at,
  };
  return reader;
}

/** No key, token or chat template is longer. */
const MOST_TEXT = 1 << 24;

/** No vocabulary and no list of merges is longer. */
const MOST_VALUES = 1 << 22;
