// The model card: what it says of a run, what the Hub reads of it, and what it must not give away.
import assert from "node:assert/strict";
import { parse } from "yaml";
import { alpaca } from "../lib/data/prompt.ts";
import { evaluationTable } from "../lib/evaluate/evaluation.ts";
import { withoutPlace } from "../lib/publish/card_parts.ts";
import { type PushOptions, pushToHub } from "../lib/publish/push_to_hub.ts";
import { published, startPushHub } from "./hub_push_server.ts";
import { type HubRepo, variablesFor, withVariables } from "./hub_server.ts";
import { evaluated, writeRun } from "./push_run.ts";

const REPO = "models/acme/finance-lora";
const others: Record<string, HubRepo> = {
  "models/acme/base": { files: {}, cardData: { license: "apache-2.0" } },
  "datasets/gbharti/finance-alpaca": { files: {}, cardData: { license: ["mit"] } },
  "models/acme/own": {
    files: {},
    cardData: {
      license: "other",
      license_name: "acme-licence",
      license_link: "https://acme.example/licence",
    },
  },
};

interface Written {
  card: string;
  // deno-lint-ignore no-explicit-any
  head: any;
  files: Record<string, string | Uint8Array>;
}

/** The card that a run's folder gets. */
async function cardOf(
  options: PushOptions = {},
  { base = "acme/base", data, change }: {
    base?: string;
    data?: string;
    change?: (folder: string) => Promise<void>;
  } = {},
): Promise<Written> {
  await using hub = startPushHub({ ...others });
  const folder = await Deno.makeTempDir(), cache = await Deno.makeTempDir();
  try {
    await writeRun(folder, base, data);
    await change?.(folder);
    await withVariables(
      variablesFor(hub, cache),
      () => pushToHub(folder, "acme/finance-lora", { quiet: true, confirm: () => true, ...options }),
    );
    const card = published(hub, REPO, "README.md");
    const [, head] = /^---\n([\s\S]*?)\n---\n/.exec(card)!;
    return { card, head: parse(head), files: hub.repos[REPO].files };
  } finally {
    for (const path of [folder, cache]) await Deno.remove(path, { recursive: true });
  }
}

Deno.test("the head has what the Hub reads: base, data, licence, library, metrics, results", async () => {
  const { head, files } = await cardOf();
  assert.deepEqual(head, {
    license: "apache-2.0",
    library_name: "peft",
    base_model: "acme/base",
    base_model_relation: "adapter",
    pipeline_tag: "text-generation",
    datasets: ["gbharti/finance-alpaca"],
    tags: ["fintune", "finance", "lora", "qlora", "base_model:adapter:acme/base"],
    metrics: ["rouge", "bleu", "loss"],
    "model-index": [{
      name: "finance-lora",
      results: [{
        task: { type: "text-generation", name: "Text Generation" },
        dataset: { name: "gbharti/finance-alpaca, held-out rows", type: "gbharti/finance-alpaca" },
        metrics: [
          { type: "rouge", name: "ROUGE-L", value: 0.8012 },
          { type: "bleu", name: "BLEU", value: 41.2346 },
          { type: "loss", name: "general loss", value: 3.45 },
        ],
      }],
    }],
  });
  assert.deepEqual(Object.keys(files).sort(), [
    ".gitattributes",
    "README.md",
    "adapter_config.json",
    "adapter_model.safetensors",
    "training.png",
  ]);
  assert.deepEqual([...(files["training.png"] as Uint8Array).subarray(1, 4)], [0x50, 0x4e, 0x47]);
});

Deno.test("the text has results with intervals, use, settings, data, licences, limits", async () => {
  const { card } = await cardOf({
    card: { description: "For questions of households.", limits: "English only." },
  });
  assert.ok(card.includes(evaluationTable(evaluated)), "the table of the evaluation");
  assert.match(card, /\| ROUGE-L +\| 0\.2148 \[0\.1948, 0\.2348\] \| 0\.8012 \[0\.7812, 0\.8212\] \|/);
  assert.match(card, /64 held-out rows .* 95 % intervals \(bootstrap over the rows, 1,000 draws\)/);
  assert.match(card, /Less is better for general loss\./);
  assert.match(card, /^> What it writes is no financial advice\./m);
  assert.match(card, /A LoRA adapter \(rank 8\) for \[acme\/base\]\(https:\/\/huggingface\.co\/acme\/base\)/);
  assert.match(card, /For questions of households\./);
  assert.match(
    card,
    /!\[.*\]\(training\.png\)\n\n20 optimizer steps in 20 s; held-out loss 0\.4000 at first, 0\.2000/,
  );
  assert.match(card, /\| learning-rate +\| 2e-4 +\|/);
  assert.match(card, /\| rows whole \|/);
  assert.match(card, /The base \[acme\/base\].*: apache-2\.0\n- The data \[gbharti.*: mit\n/);
  assert.match(card, /- English only\.\n/);
  // Questions in the form that was trained: the same in both languages.
  const question = JSON.stringify(alpaca.question({ instruction: "What is a bond?" }));
  assert.ok(card.includes(`const question = ${question};`) && card.includes(`tokenizer(${question}, return`));
  assert.match(card, /AutoPeftModelForCausalLM\.from_pretrained\("acme\/finance-lora"\)/);
  assert.match(card, /loadAdapter\(base, "acme\/finance-lora"\)/);
});

Deno.test("the card gives away no rows, no answers and no places of this machine", async () => {
  const change = (folder: string) =>
    Deno.writeTextFile(
      `${folder}/data.json`,
      JSON.stringify([{
        files: [{ file: "/home/alice/clients/a.csv", rows: 3, kind: "x / y" }],
        sources: { train: "C:\\Users\\alice\\b.csv" },
      }]),
    );
  const { card } = await cardOf({}, { data: "/home/alice/clients/rows.jsonl", change });
  assert.match(card, /\| a\.csv \|\s+3 \| x \/ y \|/);
  assert.match(card, /\{"train":"b\.csv"\}/);
  for (const told of ["A private", "alice", "/home", "clients"]) assert.ok(!card.includes(told), told);
  assert.match(card, /fine-tuned with fintune on rows\.jsonl\./);
  assert.ok(!/^datasets:/m.test(card));
  assert.equal(withoutPlace("C:\\Users\\alice\\rows.csv"), "rows.csv");
  assert.equal(
    withoutPlace("https://me:secret@host.example/rows.csv?token=abc"),
    "https://host.example/rows.csv",
  );
  assert.equal(withoutPlace("gbharti/finance-alpaca"), "gbharti/finance-alpaca");
  assert.equal(withoutPlace("data/a/rows.csv"), "rows.csv");
});

Deno.test("licences: one's own, a base's own, one that is not known", async () => {
  const own = await cardOf({ card: { license: "cc-by-nc-4.0" } });
  assert.equal(own.head.license, "cc-by-nc-4.0");
  const based = await cardOf({}, { base: "acme/own" });
  assert.deepEqual([based.head.license, based.head.license_name], ["other", "acme-licence"]);
  const unknown = await cardOf({}, { base: "acme/nowhere", data: "acme/nothing" });
  assert.equal(unknown.head.license, undefined);
  assert.match(unknown.card, /The base .*: not stated here; look at where it comes from/);
});

Deno.test("without an evaluation the card says that nothing is known; a model's card names Transformers", async () => {
  const change = async (folder: string) => {
    await Deno.remove(`${folder}/evaluation`, { recursive: true });
    await Deno.remove(`${folder}/adapter`, { recursive: true });
    await Deno.writeTextFile(`${folder}/config.json`, '{"model_type":"t5"}');
    await Deno.writeTextFile(`${folder}/model.safetensors`, "x");
  };
  const { card, head } = await cardOf({ card: { language: ["en"] } }, { change });
  assert.equal(head.library_name, "transformers");
  assert.equal(head.base_model_relation, "finetune");
  assert.deepEqual(head.language, ["en"]);
  assert.equal(head["model-index"], undefined);
  assert.match(card, /It was not evaluated on held-out rows/);
  assert.match(card, /AutoModelForSeq2SeqLM\.from_pretrained\("acme\/finance-lora"\)/);
  assert.ok(!card.includes("PEFT"));
});
