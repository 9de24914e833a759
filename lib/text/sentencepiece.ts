// SentencePiece's tokenizer.model: its protobuf read, and said as a tokenizer.json, so that one library tokenizes all.

import { Buffer } from "node:buffer";
import { UserError } from "../errors.ts";
import type { JsonObject } from "./files.ts";

/** What a tokenizer.model holds, in the form of tokenizer.json and tokenizer_config.json. */
export interface TokenizerFiles {
  json: JsonObject;
  config: JsonObject;
}

/** One token. */
export interface Piece {
  text: string;
  score: number;
  /** 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte. */
  type: number;
}

/** What a SentencePiece model says. */
export interface PieceModel {
  pieces: Piece[];
  unigram: boolean;
  byteFallback: boolean;
  unkId: number;
  bosId: number;
  eosId: number;
  padId: number;
  charsmap: Uint8Array;
  dummyPrefix: boolean;
  removeSpaces: boolean;
}

/**
 * Reads a SentencePiece model (BPE or Unigram), as Transformers converts it. `config` is tokenizer_config.json: its
 * `add_bos_token` and `add_eos_token` decide what is added around a text; without them a BPE model (Llama's, Mistral's,
 * Gemma's) gets its BOS, and a Unigram model without one (T5's) its EOS.
 */
export function readSentencePiece(bytes: Uint8Array, config: JsonObject, path: string): TokenizerFiles {
  return sentencePieceFiles(readModel(bytes, path), config);
}

/** A model in the form of tokenizer.json. */
export function sentencePieceFiles(model: PieceModel, config: JsonObject): TokenizerFiles {
  const { pieces, unigram } = model;
  const name = (id: number) => pieces[id]?.text;
  const special = {
    bos: name(model.bosId),
    eos: name(model.eosId),
    unk: name(model.unkId),
    pad: name(model.padId),
  };
  const addBos = config.add_bos_token ?? (!unigram && special.bos !== undefined);
  const addEos = config.add_eos_token ?? (unigram && special.bos === undefined && special.eos !== undefined);
  return {
    json: {
      version: "1.0",
      added_tokens: pieces.flatMap(({ text, type }, id) => {
        const special = type === 2 || type === 3;
        // A user's symbol with a space in it never stands so in a text: merges lead to it.
        return special || type === 4 && !text.includes("▁")
          ? [{ id, content: text, special, normalized: false }]
          : [];
      }),
      normalizer: normalizer(model),
      // Whole texts for BPE, words for Unigram.
      pre_tokenizer: unigram
        ? { type: "Metaspace", replacement: "▁", prepend_scheme: "never", split: true }
        : null,
      post_processor: postProcessor(
        addBos && special.bos !== undefined ? [special.bos, model.bosId] : undefined,
        addEos && special.eos !== undefined ? [special.eos, model.eosId] : undefined,
      ),
      decoder: {
        type: "Sequence",
        decoders: [
          { type: "Replace", pattern: { String: "▁" }, content: " " },
          { type: "ByteFallback" },
          { type: "Fuse" },
          ...model.dummyPrefix ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : [],
        ],
      },
      model: unigram ? unigramModel(model) : bpeModel(model, special.unk),
    },
    config: {
      bos_token: special.bos,
      eos_token: special.eos,
      unk_token: special.unk,
      pad_token: special.pad,
      ...config,
    },
  };
}

function unigramModel({ pieces, unkId, byteFallback }: PieceModel): JsonObject {
  const vocab = pieces.map(({ text, score }) => [text, score]);
  return { type: "Unigram", vocab, unk_id: unkId, byte_fallback: byteFallback };
}

// SentencePiece merges the pair whose piece has the highest score; Rust's library takes the first merge of its list.
function bpeModel({ pieces, byteFallback }: PieceModel, unk: string | undefined): JsonObject {
  const vocab = Object.fromEntries(pieces.map(({ text }, id) => [text, id]));
  const usable = new Map(
    pieces.flatMap(({ text, type }, id) => type === 1 || type === 4 ? [[text, id]] : []),
  );
  const order = [...usable.values()].sort((a, b) => pieces[b].score - pieces[a].score || a - b);
  const merges = order.flatMap((id) => splitsOf(pieces[id].text, usable));
  return { type: "BPE", vocab, merges, unk_token: unk, fuse_unk: true, byte_fallback: byteFallback };
}

/** All ways to put a token together from two others, those of low ids first. */
export function splitsOf(token: string, ids: ReadonlyMap<string, number>): [string, string][] {
  const found: [string, string, number, number][] = [];
  for (let at = 1; at < token.length; at++) {
    const left = token.slice(0, at), first = ids.get(left);
    if (first === undefined) continue;
    const right = token.slice(at), second = ids.get(right);
    if (second !== undefined) found.push([left, right, first, second]);
  }
  return found.sort((a, b) => a[2] - b[2] || a[3] - b[3]).map(([left, right]) => [left, right]);
}

// The space in front comes even before spaces; Metaspace would spare those.
function normalizer({ charsmap, removeSpaces, dummyPrefix }: PieceModel): JsonObject {
  const normalizers = [
    ...charsmap.length > 0
      ? [{ type: "Precompiled", precompiled_charsmap: Buffer.from(charsmap).toString("base64") }]
      : [],
    ...removeSpaces
      ? [
        { type: "Replace", pattern: { Regex: " {2,}" }, content: " " },
        { type: "Replace", pattern: { Regex: "(?<![\\s\\S]) | (?![\\s\\S])" }, content: "" }, // ^ and $ mean lines
      ]
      : [],
    ...dummyPrefix
      ? [{ type: "Replace", pattern: { Regex: "(?<![\\s\\S])(?=[\\s\\S])" }, content: "▁" }]
      : [],
    { type: "Replace", pattern: { String: " " }, content: "▁" },
  ];
  return { type: "Sequence", normalizers };
}

function postProcessor(
  bos: [string, number] | undefined,
  eos: [string, number] | undefined,
): JsonObject | null {
  const tokens = [bos, eos].filter((token) => token !== undefined);
  if (tokens.length === 0) return null;
  const item = ([id]: [string, number]) => ({ SpecialToken: { id, type_id: 0 } });
  const single = [
    ...bos ? [item(bos)] : [],
    { Sequence: { id: "A", type_id: 0 } },
    ...eos ? [item(eos)] : [],
  ];
  const special_tokens = Object.fromEntries(
    tokens.map(([name, id]) => [name, { id: name, ids: [id], tokens: [name] }]),
  );
  return { type: "TemplateProcessing", single, pair: single, special_tokens };
}

function readModel(bytes: Uint8Array, path: string): PieceModel {
  const pieces: Piece[] = [];
  const model: PieceModel = {
    pieces,
    unigram: true,
    byteFallback: false,
    unkId: 0,
    bosId: 1,
    eosId: 2,
    padId: -1,
    charsmap: new Uint8Array(),
    dummyPrefix: true,
    removeSpaces: true,
  };
  let kind = 1;
  for (const [field, value] of fields(bytes, path)) {
    if (field === 1 && value instanceof Uint8Array) pieces.push(pieceOf(value, path));
    if (field === 2 && value instanceof Uint8Array) {
      for (const [name, given] of fields(value, path)) {
        if (typeof given !== "number") continue;
        if (name === 3) kind = given;
        if (name === 35) model.byteFallback = given !== 0;
        const id = ({ 40: "unkId", 41: "bosId", 42: "eosId", 43: "padId" } as const)[name];
        if (id !== undefined) model[id] = given | 0; // -1: none
      }
    }
    if (field === 3 && value instanceof Uint8Array) {
      for (const [name, given] of fields(value, path)) {
        if (name === 2 && given instanceof Uint8Array) model.charsmap = given;
        if (name === 3) model.dummyPrefix = given !== 0;
        if (name === 4) model.removeSpaces = given !== 0;
      }
    }
  }
  if (pieces.length === 0) throw new UserError(`${path} holds no pieces: it is no SentencePiece model.`);
  if (kind !== 1 && kind !== 2) {
    throw new UserError(
      `${path} is a SentencePiece model of words or characters (BPE and Unigram are known).`,
    );
  }
  model.unigram = kind === 1;
  return model;
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true }); // a piece may be U+FEFF itself

function pieceOf(bytes: Uint8Array, path: string): Piece {
  const piece: Piece = { text: "", score: 0, type: 1 };
  for (const [field, value] of fields(bytes, path)) {
    if (field === 1 && value instanceof Uint8Array) piece.text = decoder.decode(value);
    if (field === 2 && value instanceof Uint8Array) {
      piece.score = new DataView(value.slice().buffer).getFloat32(0, true);
    }
    if (field === 3 && typeof value === "number") piece.type = value;
  }
  return piece;
}

/** The fields of a protobuf message: numbers (of 32 bits, the rest is dropped), and bytes for all else. */
function* fields(bytes: Uint8Array, path: string): Generator<[field: number, value: number | Uint8Array]> {
  const broken = () => new UserError(`${path} is broken, or no SentencePiece model: fetch the file again.`);
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = bytes[at++];
      if (byte === undefined) throw broken();
      if (shift < 32) value |= (byte & 127) << shift;
      if (byte < 128) return value >>> 0;
    }
    throw broken();
  };
  const taken = (length: number) => {
    if (length > bytes.length - at) throw broken();
    return bytes.subarray(at, at += length);
  };
  while (at < bytes.length) {
    const key = varint();
    const wire = key & 7;
    if (wire === 0) yield [key >>> 3, varint()];
    else if (wire === 1) yield [key >>> 3, taken(8)];
    else if (wire === 2) yield [key >>> 3, taken(varint())];
    else if (wire === 5) yield [key >>> 3, taken(4)];
    else throw broken();
  }
}
