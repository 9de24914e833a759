// ROUGE, BLEU and chrF: a sentence about a quarter, one fact of it changed. Wrong is what scores below the identity.
import { corpusBleu } from "../../lib/metrics/bleu.ts";
import { chrfScore } from "../../lib/metrics/chrf.ts";
import { sentenceBleu } from "../../lib/metrics/bleu.ts";
import { rougeRows } from "../../lib/metrics/rouge.ts";
import { type Changed, chooser, type Control, controlOf } from "./control.ts";

const COMPANIES = ["Acme", "Bolt Motors", "Core Foods", "Dyne", "Elm Bank"];
const CAUSES = ["rates were cut", "demand was weak", "a strike closed two plants", "costs were passed on"];

function quarter(seed: number) {
  const { pick, other, whole, chance } = chooser(seed);
  const company = pick(COMPANIES);
  return {
    company,
    rival: other(COMPANIES, company),
    verb: pick(["beat", "trailed", "matched"]),
    quarter: pick(["first", "second", "third", "fourth"]),
    year: whole(2010, 2024),
    item: pick(["revenue", "profit", "debt"]),
    direction: pick(["rose", "fell"]),
    percent: whole(11, 99) / 10,
    amount: whole(20, 900),
    unit: pick(["million", "billion"]),
    currency: pick(["dollars", "euros", "yen"]),
    cause: pick(CAUSES),
    sign: chance(0.3) ? "-" : "",
    margin: whole(1, 30),
    outlook: pick(["raised", "cut", "kept"]),
  };
}
type Quarter = ReturnType<typeof quarter>;

const write = (q: Quarter): string =>
  `${q.company} ${q.verb} ${q.rival} in the ${q.quarter} quarter of ${q.year}: ${q.item} ${q.direction} ` +
  `${q.percent} percent to ${q.amount} ${q.unit} ${q.currency}, as ${q.cause}. ` +
  `The margin was ${q.sign}${q.margin} percent, and the outlook was ${q.outlook}.`;

const CHANGES: [string, (q: Quarter, choose: ReturnType<typeof chooser>) => string][] = [
  ["company", (q, { other }) => write({ ...q, company: other([...COMPANIES, "Fir Oil"], q.company) })],
  ["companies swapped", (q) => write({ ...q, company: q.rival, rival: q.company })],
  ["verb", (q, { other }) => write({ ...q, verb: other(["beat", "trailed", "matched"], q.verb) })],
  [
    "quarter",
    (q, { other }) => write({ ...q, quarter: other(["first", "second", "third", "fourth"], q.quarter) }),
  ],
  ["year", (q) => write({ ...q, year: q.year + 1 })],
  ["item", (q, { other }) => write({ ...q, item: other(["revenue", "profit", "debt"], q.item) })],
  ["direction", (q) => write({ ...q, direction: q.direction === "rose" ? "fell" : "rose" })],
  ["percent", (q) => write({ ...q, percent: Math.round(10 * q.percent + 1) / 10 })],
  ["point moved", (q) => write({ ...q, percent: Math.round(10 * q.percent) })],
  ["amount", (q) => write({ ...q, amount: q.amount + 7 })],
  ["unit", (q) => write({ ...q, unit: q.unit === "million" ? "billion" : "million" })],
  ["currency", (q, { other }) => write({ ...q, currency: other(["dollars", "euros", "yen"], q.currency) })],
  ["cause", (q, { other }) => write({ ...q, cause: other(CAUSES, q.cause) })],
  ["sign", (q) => write({ ...q, sign: q.sign ? "" : "-" })],
  ["margin", (q) => write({ ...q, margin: q.margin + 1 })],
  ["outlook", (q, { other }) => write({ ...q, outlook: other(["raised", "cut", "kept"], q.outlook) })],
  ["negation", (q) => write(q).replace("The margin was", "The margin was not")],
  ["clause dropped", (q) => write(q).replace(/, as [^.]*\./, ".")],
  ["clause added", (q) => write(q).replace(/\.$/, " after a loss.")],
  ["basis points", (q) => write(q).replace(" percent to", " basis points to")],
];

/** 200 sentences, each kind of change ten times. */
export function changedTexts(): Changed[] {
  return Array.from({ length: 200 }, (_, i) => {
    const item = quarter(i), [kind, change] = CHANGES[i % CHANGES.length];
    return { kind, gold: write(item), changed: change(item, chooser(1000 + i)) };
  });
}

export function textControls(): Control[] {
  const items = changedTexts();
  const rouge = rougeRows(items.map(({ changed }) => changed), items.map(({ gold }) => gold));
  const each = (score: (changed: string, gold: string) => number, whole: number) =>
    items.map(({ changed, gold }) => score(changed, gold) >= whole);
  return [
    ...(["rouge1", "rouge2", "rougeL", "rougeLsum"] as const).map((kind) =>
      controlOf(kind, items, rouge.map((row) => row[kind].fmeasure >= 1))
    ),
    controlOf("sentence BLEU", items, each(sentenceBleu, 1)),
    controlOf("corpus BLEU", items, each((changed, gold) => corpusBleu([changed], [gold]).score, 100 - 1e-9)),
    controlOf("chrF", items, each((changed, gold) => chrfScore([changed], [gold]), 100 - 1e-9)),
  ];
}
