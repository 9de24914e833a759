// Prose around the worked calculations, and the small tables (times, percent) that they rest on.

import { sentence } from "./definitions.ts";
import { householdSums } from "./household_sums.ts";
import { drawFirm, drawPeople } from "./names.ts";
import type { Random } from "./random.ts";
import { businessSums, type Sum, type SumKind } from "./sums.ts";

export const sumKinds: readonly SumKind[] = [...businessSums, ...householdSums];

/** Who the numbers belong to, as the kind asks: a firm or a person. */
export function drawSum(random: Random, kind: SumKind): Sum & { who: string } {
  const who = kind.about === "firm" ? drawFirm(random).name : drawPeople(random, 1)[0];
  return { who, ...kind.draw(random, who) };
}

/** The working in words: "2 divided by 40 is 5 percent". */
function inWords(working: string): string {
  return working.replaceAll(" / ", " divided by ").replaceAll(" x ", " times ").replaceAll(" - ", " minus ")
    .replaceAll(" + ", " plus ").replaceAll(" = ", " is ");
}

/** A worked calculation of one to four sentences. */
export function calculationText(random: Random, kinds: readonly SumKind[] = sumKinds): string {
  const kind = random.pick(kinds);
  const sum = drawSum(random, kind);
  const given = random.pick(sum.given);
  const working = random.chance(0.15) ? inWords(sum.working) : sum.working;
  const { rule, wanted } = kind;
  const result = random.chance(0.3)
    ? sum.result.replace(`${wanted} `, `${wanted} of ${sum.who} `)
    : sum.result;
  const told = random.pick([
    () => [given, `${working}, so ${result}`],
    () => [given, `${working}, so ${result}`],
    () => [given, `to find ${wanted}, one computes ${working}, so ${result}`],
    () => [given, working, `so ${result}`],
    () => [`suppose that ${given}`, `then ${working}, so ${result}`],
    () => [`when ${given}, ${working}, so ${result}`],
    () => [given, `${wanted} follows at once: ${working}, so ${result}`],
    () => [`${given}, and we look for ${wanted}`, `${working}, so ${result}`],
    () => [`if ${given}, then ${working}`, `this means that ${result}`],
  ])();
  const ruled = random.pick([
    () => told,
    () => told,
    () => [rule, ...told],
    () => [`remember that ${rule}`, ...told],
    () => [...told, `for ${rule}`],
    () => [`this is about ${wanted}`, ...told],
  ])();
  return ruled.map(sentence).join(" ");
}

/** A stretch of a table: "7 x 3 = 21, 7 x 4 = 28", or the same for divisions and percentages. */
export function tableText(random: Random): string {
  const base = random.int(2, 12), from = random.int(1, 8);
  const steps = Array.from({ length: random.int(4, 6) }, (_, i) => from + i);
  const [name] = drawPeople(random, 1);
  const lines = random.pick([
    () => steps.map((step) => `${base} x ${step} = ${base * step}`),
    () => steps.map((step) => `${10 * base} x ${step} = ${10 * base * step}`),
    () => steps.map((step) => `${base * step} / ${base} = ${step}`),
    () => steps.map((step) => `${base} percent of ${100 * step} is ${base * step}`),
    () => steps.map((step) => `${10 * base + step} - ${10 * base} = ${step}`),
    () => steps.map((step) => `${5 * (base + step)} - ${5 * base} = ${5 * step}`),
  ])().join(", ");
  return random.pick([
    `${name} practises small sums: ${lines}.`,
    `Sums to know by heart: ${lines}.`,
    `A clerk should know that ${lines}.`,
    `${name} fills a page with sums. ${lines}.`,
    `Here are some easy steps: ${lines}.`,
  ]);
}
