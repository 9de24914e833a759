// A small vocabulary for the tests of constraints: every byte, and pieces such as real vocabularies have; walks under a mask.
import type { Constraint } from "../lib/generate/constraint.ts";
import type { Tokenizer } from "../lib/text/tokenizer.ts";
import type { Random } from "../examples/tiny/random.ts";

const PIECES = [
  ...'{" ":  ", "} [" "] }, ], [] {} ":" "," ": ": \\n \\\\ \\u \\u00 null true false 10 12 00 0. 1e .5 -1 2026- -0'
    .split(" "),
  ..."risk Risk name High Low None entity a ab abc bc the and state of der die yes no id key items value"
    .split(" "),
  ...' the| a| risk|  |    |\n  |\n|\t|, |: |: {|: ["|...|é|ß|分析|分|风险|😀|€ |\u00e9"|分"'.split("|"),
];
const encoder = new TextEncoder();

/** Byte-level, with half characters as tokens; ids 0 to 255 are the bytes, the last one is EOS. */
export function toyTokenizer(options: { stripsSpace?: boolean } = {}): Tokenizer & { bytes: Uint8Array[] } {
  const bytes = [
    ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
    ...PIECES.map((piece) => encoder.encode(piece)),
    ...[[0xe5, 0x88], [0x86, 0xe6], [0x22, 0xe5], [0xf0, 0x9f], [0x98, 0x80, 0x22]].map((half) =>
      Uint8Array.from(half)
    ),
    encoder.encode("a"), // twice in the vocabulary
    Uint8Array.of(), // no text at all
    encoder.encode("</s>"),
  ];
  const eosId = bytes.length - 1;
  return {
    bytes,
    vocabSize: bytes.length,
    eosId,
    eosIds: [eosId],
    specialIds: [eosId],
    addsBos: false,
    addsEos: false,
    encode: () => [],
    decode(ids) {
      const all = Array.from(ids).filter((id) => id !== eosId).flatMap((id) => [...bytes[id]]);
      const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(all));
      return options.stripsSpace ? text.replace(/^ /, "") : text;
    },
    applyChatTemplate: () => "",
    tokenBytes: (id) => bytes[id],
  };
}

/** The ids in a mask. */
export function allowed(mask: Uint32Array | undefined, size: number): number[] {
  return Array.from({ length: size }, (_, id) => id).filter((id) => isAllowed(mask, id));
}

export const isAllowed = (mask: Uint32Array | undefined, id: number): boolean =>
  mask === undefined || (mask[id >> 5] >>> (id & 31) & 1) === 1;

/** An answer of random tokens under the mask, at most `most`; throws where a mask is empty. */
export function randomAnswer(constraint: Constraint, size: number, most: number, random: Random): number[] {
  const answer: number[] = [];
  while (!constraint.done && answer.length < most) {
    const ids = allowed(constraint.mask(), size);
    if (ids.length === 0) throw new Error(`a dead end behind ${answer}`);
    const token = ids[random.int(0, ids.length - 1)];
    constraint.accept(token);
    answer.push(token);
  }
  return answer;
}

/** Cuts bytes into random tokens. */
export function anyTokens(tokens: readonly Uint8Array[], text: string, random: Random): number[] {
  const bytes = encoder.encode(text), cut: number[] = [];
  for (let at = 0; at < bytes.length;) {
    const fitting = tokens.flatMap((token, id) =>
      id < tokens.length - 1 && token.length > 0 && token.every((byte, i) => bytes[at + i] === byte)
        ? [id]
        : []
    );
    const id = fitting[random.int(0, fitting.length - 1)];
    cut.push(id);
    at += tokens[id].length;
  }
  return cut;
}

/** Whether every token is in its mask, and the text may end behind the last. */
export function accepts(constraint: Constraint, tokens: readonly number[], eosId: number): boolean {
  for (const token of tokens) {
    if (constraint.done || !isAllowed(constraint.mask(), token)) return false;
    constraint.accept(token);
  }
  return isAllowed(constraint.mask(), eosId);
}

/** Whether a text, byte by byte, is a whole answer: quicker than `accepts`, as only the last mask is made. */
export function isWhole(constraint: Constraint, text: string, eosId: number): boolean {
  try {
    for (const byte of encoder.encode(text)) constraint.accept(byte);
  } catch {
    return false;
  }
  return isAllowed(constraint.mask(), eosId);
}
