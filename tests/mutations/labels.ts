// Labels in free text: an answer that names the right one, changed so that it no longer does.
import { findLabel } from "../../lib/metrics/classification.ts";
import { type Changed, chooser, type Control, controlOf } from "./control.ts";

const LABELS = ["negative", "neutral", "positive"];
const FORMS: ((label: string) => string)[] = [
  (label) => label,
  (label) => `${label[0].toUpperCase()}${label.slice(1)}.`,
  (label) => `The sentiment of this news is ${label}.`,
  (label) => `Answer: **${label}**`,
  (label) => `I would call it ${label}, as profits were in line with what was hoped for.`,
  (label) => `{"sentiment": "${label}"}`,
];

/** From the right label and how it was said to a wrong answer. */
const CHANGES: [string, (label: string, say: (label: string) => string, other: string) => string][] = [
  ["another label", (_, say, other) => say(other)],
  ["negated", (label) => `It is not ${label}.`],
  ["negated, and another", (label, _, other) => `Not ${label} but ${other}.`],
  ["no longer", (label, say, other) => say(other) + ` It was ${label} before.`],
  ["another one first", (label, _, other) => `${other}/${label}`],
  ["cut off", (label, say) => say(label.slice(0, -3))],
  ["inside a word", (label, say) => say(`non${label}ly`)],
  ["another word", (_, say) => say("mixed")],
  ["nothing", () => ""],
  ["an error page", () => "<html><body>503 Service Unavailable</body></html>"],
];

export function labelControls(): Control[] {
  const items = Array.from({ length: 200 }, (_, i) => {
    const { pick, other } = chooser(i), label = pick(LABELS), say = pick(FORMS);
    const [kind, change] = CHANGES[i % CHANGES.length];
    const item: Changed = { kind, gold: say(label), changed: change(label, say, other(LABELS, label)) };
    return { label, item };
  });
  for (const { label, item } of items) {
    if (findLabel(item.gold, LABELS) !== label) throw new Error(`${item.gold} is not found to be ${label}`);
  }
  const right = items.map(({ label, item }) => findLabel(item.changed, LABELS) === label);
  return [controlOf("label in free text", items.map(({ item }) => item), right)];
}
