// Reads the glossary (terms.txt) and gives each term the grammar it needs: article, plural, capital, verb.

import source from "./terms.txt" with { type: "text" };

export type RiskLevel = "low" | "medium" | "high";

/** One entry of the glossary; every text about the term is built from these parts. */
export interface Term {
  name: string;
  /** With its article, as the subject or object of a sentence: "a bond", "gold". */
  a: string;
  plural: string;
  /** What kind of thing it is: "investment", "ratio", "tax"... */
  kind: string;
  users: string;
  /** What its users do with it, in the plural ("use"), and the participle ("used"). */
  verb: string;
  participle: string;
  /** A noun phrase that completes "a bond is ...". */
  is: string;
  /** A verb phrase that completes "investors use a bond to ...". */
  to: string;
  /** A noun phrase: an example. */
  example: string;
  /** A predicate that completes "it ...". */
  note: string;
  risk?: { level: RiskLevel; why: string };
}

const participles: Record<string, string> = {
  use: "used",
  watch: "watched",
  study: "studied",
  handle: "handled",
  charge: "charged",
  pay: "paid",
  ignore: "ignored",
  consult: "consulted",
};
const verbOfKind: Record<string, string> = {
  profession: "consult",
  institution: "use",
  event: "use",
  risk: "watch",
};

/** "a" or "an" before a name, by its first letter. */
export function withArticle(name: string): string {
  return `${/^[aeiou]/i.test(name) ? "an" : "a"} ${name}`;
}

/** The text with a capital first letter. */
export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** "a", "a and b", "a, b and c". */
export function list(items: readonly string[], joint = "and"): string {
  return items.length < 2 ? items.join("") : `${items.slice(0, -1).join(", ")} ${joint} ${items.at(-1)}`;
}

/** Kinds in the plural: "taxes", "strategies". */
export function pluralOf(name: string): string {
  if (/[^aeiou]y$/.test(name)) return `${name.slice(0, -1)}ies`;
  return /(s|x|ch|sh)$/.test(name) ? `${name}es` : `${name}s`;
}

// Kinds of one group may overlap (a bond is an investment and also a loan); kinds of two groups never do.
const kindGroups = [
  ["profession"],
  ["report"],
  ["investment", "fund", "account", "asset", "contract", "loan", "debt", "insurance"],
  ["ratio", "measure", "income", "cost", "payment", "tax"],
  ["event", "strategy"],
  ["market", "institution"],
  ["risk"],
  ["rule"],
];

/** True when nothing can be of both kinds, so that "is not a tax but a report" is safe to say. */
export function differInKind(a: string, b: string): boolean {
  return kindGroups.findIndex((group) => group.includes(a)) !==
    kindGroups.findIndex((group) => group.includes(b));
}

function parseTerm(entry: string): Term {
  const [head, ...lines] = entry.split("\n");
  const [names, kind, who, level] = head.split(" : ");
  const [name, plural] = names.replace("~", "").split("/");
  const mass = names.startsWith("~");
  const named = Object.keys(participles).find((verb) => who.endsWith(` ${verb}`));
  const verb = named ?? verbOfKind[kind] ?? "use";
  const fields = new Map(lines.map((line) => [line.split(" ", 1)[0], line.slice(line.indexOf(" ") + 1)]));
  const field = (key: string) => {
    const value = fields.get(key);
    if (value === undefined) throw new Error(`terms.txt, ${name}: no line '${key}'`);
    return value;
  };
  return {
    name,
    a: mass ? name : withArticle(name),
    plural: plural ?? (mass ? name : pluralOf(name)),
    kind,
    users: named ? who.slice(0, -named.length - 1) : who,
    verb,
    participle: participles[verb],
    is: field("is"),
    to: field("to"),
    example: field("eg"),
    note: field("it"),
    ...(level ? { risk: { level: level as RiskLevel, why: field("why") } } : {}),
  };
}

/** All entries, in the order of the file. */
export const terms: readonly Term[] = source.replaceAll("\r", "").trim().split(/\n\n+/).slice(1).map(
  parseTerm,
);
