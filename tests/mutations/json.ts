// JSON answers: a note on a risk, one field of it changed.
import { jsonRows } from "../../lib/metrics/json.ts";
import { type Changed, chooser, type Control, controlOf } from "./control.ts";

function note(seed: number) {
  const { pick, whole, chance } = chooser(seed);
  return {
    entity: pick(["Acme", "Bolt", "Core", "Dyne"]),
    risk: pick(["High", "Medium", "Low"]),
    score: whole(0, 100) / 100,
    listed: chance(0.5),
    money: { amount: whole(0, 1e6), currency: pick(["USD", "EUR"]) },
    causes: ["rates", ...["debt", "fraud", "drought", "strike"].filter(() => chance(0.5))],
  };
}
type Note = ReturnType<typeof note>;

const CHANGES: [string, (note: Note) => unknown][] = [
  ["text", (note) => ({ ...note, entity: `${note.entity} Inc` })],
  ["label", (note) => ({ ...note, risk: note.risk === "Low" ? "High" : "Low" })],
  ["case of a label", (note) => ({ ...note, risk: note.risk.toUpperCase() })],
  ["number", (note) => ({ ...note, score: note.score + 0.01 })],
  ["sign", (note) => ({ ...note, money: { ...note.money, amount: -note.money.amount - 1 } })],
  ["nested text", (note) => ({ ...note, money: { ...note.money, currency: "GBP" } })],
  ["flag", (note) => ({ ...note, listed: !note.listed })],
  ["element gone", (note) => ({ ...note, causes: note.causes.slice(1) })],
  ["element more", (note) => ({ ...note, causes: [...note.causes, "war"] })],
  ["element twice", (note) => ({ ...note, causes: [...note.causes, "rates"] })],
  ["field gone", ({ risk: _, ...note }) => note],
  ["field more", (note) => ({ ...note, advice: "sell" })],
  ["number as text", (note) => ({ ...note, score: String(note.score) })],
  ["null", (note) => ({ ...note, entity: null })],
];

export async function jsonControls(): Promise<Control[]> {
  const gold = Array.from({ length: 200 }, (_, i) => note(i));
  const items = gold.map((item, i): Changed => {
    const [kind, change] = CHANGES[i % CHANGES.length];
    return { kind, gold: JSON.stringify(item), changed: JSON.stringify(change(item)) };
  });
  const identity = await jsonRows(gold.map((item) => `Answer:\n${JSON.stringify(item)}`), gold);
  if (!identity.every(({ exact, fieldAccuracy }) => exact && fieldAccuracy === 1)) {
    throw new Error("right answers are not scored right");
  }
  const rows = await jsonRows(items.map(({ changed }) => changed), gold);
  return [controlOf("JSON, exact", items, rows.map(({ exact }) => exact))];
}
