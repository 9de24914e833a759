// A model card (README.md) written from a run: what it is, how good, how to use it, how it was made, whose it is, what it cannot.
import type { Row } from "../data/row.ts";
import { isHubName } from "../hub/names.ts";
import { HUB_PAGE, licenceOf } from "./licences.ts";
import type { RunFolder } from "../report/page.ts";
import { renderPNG } from "../report/render.ts";
import { plotRun } from "../report/run_chart.ts";
import { cardHead } from "./card_head.ts";
import { dataPart, resultsPart, runSentence, settingsPart, withoutPlace } from "./card_parts.ts";
import { usePart } from "./card_use.ts";

/** What a card should say that the run does not know. */
export interface CardOptions {
  /** First heading. Default: the repository's name. */
  title?: string;
  /** A sentence or more on what the model is for. */
  description?: string;
  /** Licence of what is published, by the Hub's short name, or a link. Default: that of the base, where its page says it. */
  license?: string;
  /** Languages by their codes, such as "en". */
  language?: string[];
  /** Data sets by their names on the Hub. Default: what the run was given, where that is such a name. */
  datasets?: string[];
  /** Further tags. */
  tags?: string[];
  /** What else the model cannot, or must not be used for. */
  limits?: string;
}

/** What a card is written from. */
export interface CardFacts {
  /** "owner/name" */
  repo: string;
  kind: "adapter" | "model" | "gguf";
  /** The base's name on the Hub. */
  base?: string;
  /** T5 and its like. */
  encoderDecoder: boolean;
  /** adapter_config.json */
  adapter?: Row;
  /** What the run's folder holds. */
  run?: RunFolder;
  /** Names of the data sets, on the Hub or not. */
  datasets: readonly string[];
  /** Of what is published. */
  licence?: string;
  options: CardOptions;
}

/** A card and its picture. */
export interface Card {
  text: string;
  /** The curves, as PNG; absent where the run has none. */
  picture?: Uint8Array<ArrayBuffer>;
}

/** The picture's name in the repository. */
export const PICTURE = "training.png";

/**
 * Writes the card.
 *
 * @param licences what pages on the Hub say: of the base, of each data set
 */
export async function writeCard(facts: CardFacts, licences: ReadonlyMap<string, string>): Promise<Card> {
  const { stringify } = await import("yaml");
  const picture = await drawn(facts.run);
  const head = stringify(cardHead(facts), { lineWidth: 0 });
  const parts: [string, string | undefined][] = [
    ["Results", resultsPart(facts)],
    ["How to use it", usePart(facts)],
    ["Training", trainingPart(facts, picture !== undefined)],
    ["Data", dataText(facts)],
    ["Licences", licencesPart(facts, licences)],
    ["Limits", limitsPart(facts)],
  ];
  const body = parts.filter(([, part]) => part).map(([title, part]) => `## ${title}\n\n${part}\n`);
  const title = facts.options.title ?? facts.repo.split("/").at(-1);
  return { text: `---\n${head}---\n\n# ${title}\n\n${openingOf(facts)}\n\n${body.join("\n")}`, picture };
}

async function drawn(run: RunFolder | undefined): Promise<Uint8Array<ArrayBuffer> | undefined> {
  if (!run?.log.some(({ kind }) => kind === "step" || kind === "evaluation")) return undefined;
  return new Uint8Array(await renderPNG(await plotRun(run.log, { title: "" })));
}

const link = (name: string, kind: "model" | "dataset") =>
  isHubName(name) && name.includes("/")
    ? `[${name}](${HUB_PAGE}/${kind === "dataset" ? "datasets/" : ""}${name})`
    : withoutPlace(name);

function openingOf(facts: CardFacts): string {
  const { kind, base, datasets, adapter, options } = facts;
  const what = kind === "adapter"
    ? `A LoRA adapter (rank ${adapter?.r ?? "?"})`
    : `A language model${kind === "gguf" ? " as GGUF" : ""}`;
  const of = base ? ` ${kind === "adapter" ? "for" : "made from"} ${link(base, "model")}` : "";
  const on = datasets.length > 0 ? ` on ${datasets.map((name) => link(name, "dataset")).join(", ")}` : "";
  return `${what}${of}, fine-tuned with fintune${on}.${
    options.description ? ` ${options.description}` : ""
  }\n\n> What it writes is no financial advice. It can be wrong, out of date or made up.`;
}

function trainingPart(facts: CardFacts, hasPicture: boolean): string | undefined {
  const parts = [
    hasPicture ? `![Loss and what explains it, by step](${PICTURE})` : undefined,
    runSentence(facts),
    settingsPart(facts),
  ];
  return parts.filter((part) => part !== undefined).join("\n\n") || undefined;
}

function dataText(facts: CardFacts): string | undefined {
  const named = facts.datasets.map((name) => link(name, "dataset")).join(", ");
  const parts = [named ? `Trained on ${named}.` : undefined, dataPart(facts)];
  return parts.filter((part) => part !== undefined).join("\n\n") || undefined;
}

function licencesPart({ base, datasets, licence }: CardFacts, licences: ReadonlyMap<string, string>): string {
  const line = (what: string, name: string, kind: "model" | "dataset") =>
    `- ${what} ${link(name, kind)}: ${
      licences.get(licenceOf(kind, name)) ??
        "not stated here; look at where it comes from before you use or share this"
    }`;
  return [
    `- This repository: ${licence ?? "not stated"}`,
    ...(base ? [line("The base", base, "model")] : []),
    ...datasets.map((name) => line("The data", name, "dataset")),
  ].join("\n") + "\n\nWho uses the model keeps to all of them.";
}

function limitsPart({ run, options, kind }: CardFacts): string {
  const rows = run?.evaluated?.rows;
  return [
    "- It is no financial, legal or tax advice, and not made to decide over money, credit or people.",
    "- It makes up names, numbers and sources, and knows nothing of after its training: check every figure.",
    rows === undefined
      ? "- It was not evaluated on held-out rows: nothing is known of how good its answers are."
      : `- Its scores are of ${
        formatRows(rows)
      } like those it was trained on; on other questions it may do worse.`,
    kind === "adapter"
      ? "- What its base says wrongly or unfairly, it says too; tuning on few rows can also make it forget."
      : "- What its base and its data say wrongly or unfairly, it says too.",
    ...(options.limits ? [`- ${options.limits}`] : []),
  ].join("\n");
}

const formatRows = (rows: number) => rows === 1 ? "one row" : `${rows.toLocaleString("en-US")} rows`;
