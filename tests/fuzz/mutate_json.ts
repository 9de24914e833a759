// Mutations of JSON that leave it JSON: a value, a type, a key or a size changes somewhere in the tree.
import { below, chance, pick, type Random } from "./random.ts";

type Json = unknown;
type Container = Record<string, Json> | Json[];

const NUMBERS = [
  0,
  1,
  -1,
  2,
  3,
  7,
  0.5,
  -0.5,
  1e-320,
  255,
  65536,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32,
  2 ** 40,
  2 ** 53,
  1e308,
];
const TEXTS = [
  "",
  " ",
  "\u0000",
  "x".repeat(3000),
  "𝕏\uD800",
  "null",
  "__proto__",
  "../..",
  "{{",
  "\n",
  "(a+)+$",
  "%s",
];
const KEYS = ["__proto__", "constructor", "toString", "length", "", "0", "hasOwnProperty", "x".repeat(300)];
/** Stands for a value nested so deep that recursion would end in a stack overflow; only the text can hold it. */
const DEEP = "\u0001deep\u0001";

/** The JSON text of a value with one to three changes; keys are sometimes written twice. */
export function mutateJson(value: Json, random: Random, most = 3): string {
  const root: Json[] = [structuredClone(value)];
  for (let left = 1 + below(random, most); left > 0; left--) mutateOnce(root, random);
  let text = JSON.stringify(root[0]) ?? "null";
  if (text.includes(JSON.stringify(DEEP))) {
    const depth = pick(random, [100, 10_000, 50_000]);
    const [open, close] = pick(random, [["[", "]"], ['{"a":', "}"]]);
    text = text.replaceAll(JSON.stringify(DEEP), () => `${open.repeat(depth)}1${close.repeat(depth)}`);
  }
  if (chance(random, 0.05)) {
    text = text.replace(/^\{"([^"]+)":/, (all, key) => `{"${key}":null,${all.slice(1)}`);
  }
  return text;
}

/** Changes one place, weighted towards the outer levels: there the decisions lie. */
function mutateOnce(root: Json[], random: Random): void {
  let parent: Container = root, key = "0";
  while (true) {
    const inside = (parent as Record<string, Json>)[key];
    if (typeof inside !== "object" || inside === null || chance(random, 0.25)) break;
    const keys = Object.keys(inside);
    if (keys.length === 0) break;
    parent = inside as Container;
    key = pick(random, keys);
  }
  change(parent, key, random);
}

function change(parent: Container, key: string, random: Random): void {
  const value = (parent as Record<string, Json>)[key];
  const put = (fresh: Json, at = key) =>
    // "__proto__" too becomes a field
    void Object.defineProperty(parent, at, {
      value: fresh,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  switch (below(random, 9)) {
    case 0: // gone
      if (Array.isArray(parent)) parent.splice(Number(key), 1);
      else delete parent[key];
      return;
    case 1: // under another name
      if (Array.isArray(parent)) return put(DEEP);
      delete parent[key];
      put(value, pick(random, KEYS));
      return;
    case 2: // twice
      if (Array.isArray(parent)) parent.splice(Number(key), 0, value);
      else put(value, key + "_");
      return;
    case 3: // another place's value
      put(pick(random, Object.values(parent)));
      return;
    case 4:
      put(pick(random, [null, true, false, [], {}, [value], { a: value }, [[]], DEEP]));
      return;
    default:
      put(nudged(value, random));
  }
}

function nudged(value: Json, random: Random): Json {
  if (typeof value === "number") {
    return chance(random, 0.5)
      ? pick(random, NUMBERS)
      : pick(random, [value + 1, value - 1, -value, value * 2, value / 2, value + 0.5, String(value)]);
  }
  if (typeof value === "string") {
    const at = below(random, value.length + 1);
    return pick(random, [
      pick(random, TEXTS),
      value.slice(0, at),
      value.slice(at),
      value + value,
      value.slice(0, at) + pick(random, TEXTS) + value.slice(at),
      at,
    ]);
  }
  if (typeof value === "boolean") return pick(random, [!value, null, 1, "true"]);
  return pick(random, [...NUMBERS, ...TEXTS, null, true]);
}
