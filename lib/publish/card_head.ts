// The head of a model card: YAML as the Hub reads it (its model card specification), for search, badges and tables.
import type { Evaluated } from "../evaluate/evaluation.ts";
import { isHubName } from "../hub/names.ts";
import type { CardFacts } from "./card.ts";
import { withoutPlace } from "./card_parts.ts";

/** The Hub's names of metrics, by what scores are called here. */
const METRICS: readonly [RegExp, string][] = [
  [/rouge/i, "rouge"],
  [/^bleu/i, "bleu"],
  [/^chrf/i, "chrf"],
  [/^accuracy/i, "accuracy"],
  [/f1/i, "f1"],
  [/exact match/i, "exact_match"],
  [/perplexity/i, "perplexity"],
  [/loss/i, "loss"],
];

const metricOf = (name: string): string =>
  METRICS.find(([pattern]) => pattern.test(name))?.[1] ??
    name.toLowerCase().replace(/[^a-z0-9]+/g, "_").replace(/^_|_$/g, "");

/** Licences that the Hub has a short name for go by it; others are "other", with name and link. */
const KNOWN_LICENCE =
  /^(apache-2\.0|mit|openrail\w*|bigscience-[\w.-]+|creativeml-openrail-m|afl-3\.0|artistic-2\.0|bsl-1\.0|bsd[\w-]*|c-uda|cc0-1\.0|cc(-by[\w-]*)?(-[234]\.[05])?|cdla-[\w.-]+|wtfpl|ecl-2\.0|epl-[12]\.0|etalab-2\.0|eupl-1\.[12]|agpl-3\.0|gfdl|gpl(-[23]\.0)?|lgpl[\w.-]*|isc|intel-research|lppl-1\.3c|ms-pl|apple-[\w-]+|mpl-2\.0|odc-by|odbl|osl-3\.0|postgresql|ofl-1\.1|ncsa|unlicense|zlib|pddl|lgpl-lr|deepfloyd-if-license|fair-noncommercial-research-license|h-research|llama[\d.]+|gemma|grok2-community|unknown|other)$/;

/** What the Hub calls the way from the base. */
const RELATION = { adapter: "adapter", model: "finetune", gguf: "quantized" } as const;

/** The fields of the head, in the order in which the Hub's own cards have them. */
export function cardHead(facts: CardFacts): Record<string, unknown> {
  const { base, kind, run, licence, options } = facts;
  const datasets = facts.datasets.filter((name) => isHubName(name) && name.includes("/"));
  const metrics = [...new Set(run?.evaluated?.measures.map(({ name }) => metricOf(name)))];
  return {
    ...(options.language ? { language: options.language } : {}),
    ...licenceFields(licence),
    ...(kind === "gguf" ? {} : { library_name: kind === "adapter" ? "peft" : "transformers" }),
    ...(base ? { base_model: base, base_model_relation: RELATION[kind] } : {}),
    pipeline_tag: "text-generation",
    ...(datasets.length > 0 ? { datasets } : {}),
    tags: tagsOf(facts),
    ...(metrics.length > 0 ? { metrics } : {}),
    ...(run?.evaluated && run.evaluated.measures.length > 0
      ? { "model-index": [modelIndex(facts, run.evaluated)] }
      : {}),
  };
}

function licenceFields(licence: string | undefined): Record<string, string> {
  if (licence === undefined) return {};
  if (KNOWN_LICENCE.test(licence)) return { license: licence };
  const isLink = /^https?:/.test(licence);
  return {
    license: "other",
    license_name: isLink ? "see-link" : licence.toLowerCase().replace(/\s+/g, "-"),
    ...(isLink ? { license_link: licence } : {}),
  };
}

function tagsOf({ base, kind, adapter, run, options }: CardFacts): string[] {
  const quantised = kind === "adapter" && run?.settings?.["full-precision"] === false;
  return [
    "fintune",
    "finance",
    ...(kind === "adapter" ? [adapter?.use_dora ? "dora" : "lora"] : []),
    ...(quantised ? ["qlora"] : []),
    ...(kind === "gguf" ? ["gguf"] : []),
    ...(base ? [`base_model:${RELATION[kind]}:${base}`] : []),
    ...options.tags ?? [],
  ];
}

/** The tuned model's numbers in the form that Papers with Code gave the Hub. */
function modelIndex({ repo, datasets }: CardFacts, { models, measures }: Evaluated) {
  const tuned = models.at(-1)!, [data] = datasets;
  const rounded = (value: number) => Number(value.toPrecision(6));
  return {
    name: repo.split("/").at(-1),
    results: [{
      task: { type: "text-generation", name: "Text Generation" },
      dataset: {
        name: data ? `${withoutPlace(data)}, held-out rows` : "held-out rows",
        type: data && isHubName(data) ? data : "private",
      },
      metrics: measures.map(({ name, values }) => ({
        type: metricOf(name),
        name,
        value: rounded(values[tuned].value),
      })),
    }],
  };
}
