// Prose that sets two terms side by side: what each is, of which kind, who uses it, how risky it is.

import { sentence } from "./definitions.ts";
import type { Random } from "./random.ts";
import { differInKind, pluralOf, type RiskLevel, type Term, terms, withArticle } from "./terms.ts";

const rank: Record<RiskLevel, number> = { low: 0, medium: 1, high: 2 };
const risky = terms.filter((term) => term.risk);

/** Negative when `a` carries less risk than `b`, positive when more. */
export function compareRisk(a: Term, b: Term): number {
  return rank[a.risk!.level] - rank[b.risk!.level];
}

const joints = (left: string, right: string): string[] => [
  `${left}, while ${right}`,
  `${left}, but ${right}`,
  `${left}; ${right}`,
  `${left}, whereas ${right}`,
  `${left}, and ${right}`,
  `on the one hand ${left}, and on the other hand ${right}`,
];

/** What the two are, in one sentence. */
function whatTheyAre(random: Random, a: Term, b: Term): string {
  return random.pick([
    ...joints(`${a.a} is ${a.is}`, `${b.a} is ${b.is}`),
    `the difference between ${a.a} and ${b.a} is clear: ${a.a} is ${a.is}, while ${b.a} is ${b.is}`,
    `one should not confuse ${a.a} with ${b.a}, since ${a.a} is ${a.is} and ${b.a} is ${b.is}`,
    `unlike ${a.a}, which is ${a.is}, ${b.a} is ${b.is}`,
  ]);
}

function kinds(random: Random, a: Term, b: Term): string {
  if (a.kind === b.kind) {
    return random.pick([
      `both ${a.a} and ${b.a} are ${pluralOf(a.kind)}`,
      `like ${a.a}, ${b.a} is a kind of ${a.kind}`,
      `${a.a} and ${b.a} belong to the same group, the ${pluralOf(a.kind)}`,
    ]);
  }
  return random.pick([
    ...joints(`${a.a} is a kind of ${a.kind}`, `${b.a} is a kind of ${b.kind}`),
    ...(differInKind(a.kind, b.kind)
      ? [
        `${a.a} is not ${withArticle(b.kind)} but ${withArticle(a.kind)}`,
        `${a.a} is ${withArticle(a.kind)}, not ${withArticle(b.kind)}`,
      ]
      : []),
  ]);
}

function uses(random: Random, a: Term, b: Term): string {
  return random.pick([
    ...joints(`${a.users} ${a.verb} ${a.a} to ${a.to}`, `${b.users} ${b.verb} ${b.a} to ${b.to}`),
    ...joints(`${a.a} is ${a.participle} by ${a.users}`, `${b.a} is ${b.participle} by ${b.users}`),
  ]);
}

function risks(random: Random, a: Term, b: Term): string {
  if (compareRisk(a, b) === 0) {
    return random.pick([
      `${a.a} and ${b.a} both carry ${a.risk!.level} risk`,
      `${a.a} is about as risky as ${b.a}, since both carry ${a.risk!.level} risk`,
    ]);
  }
  const [safe, bold] = compareRisk(a, b) < 0 ? [a, b] : [b, a];
  return random.pick([
    ...joints(`${a.a} carries ${a.risk!.level} risk`, `${b.a} carries ${b.risk!.level} risk`),
    `${bold.a} is riskier than ${safe.a}, because ${bold.risk!.why}`,
    `${safe.a} is safer than ${bold.a}, because ${safe.risk!.why}`,
    `${bold.a} is riskier than ${safe.a}: the first carries ${bold.risk!.level} risk, the second ${
      safe.risk!.level
    } risk`,
    `those who find ${bold.a} too risky may prefer ${safe.a}`,
  ]);
}

/** A paragraph of two or three sentences on two terms: of all, or half of the time of those whose risk is known. */
export function comparisonText(random: Random, all: readonly Term[] = terms): string {
  const pool = random.chance(0.5) ? risky : all;
  const [a, b] = random.shuffle(pool).slice(0, 2);
  const parts = [whatTheyAre, kinds, uses, ...(a.risk && b.risk ? [risks, risks] : [])];
  const count = random.int(1, 3);
  return [...new Set(random.shuffle(parts))].slice(0, count).map((part) => sentence(part(random, a, b))).join(
    " ",
  );
}
