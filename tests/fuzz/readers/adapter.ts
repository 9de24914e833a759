// A PEFT adapter: which modules it names and how, by regular expressions too, and its matrices.
import { openDevice } from "../../../lib/engine/open.ts";
import { removeAdapter } from "../../../lib/models/free.ts";
import { loadModel } from "../../../lib/models/load.ts";
import { loadAdapter } from "../../../lib/peft.ts";
import { folderFiles, folderPasses, mutateFolder } from "../mutate_folder.ts";
import { chance, pick } from "../random.ts";
import { encode, parsed, type Reader } from "../reader.ts";

const CONFIG = "adapter_config.json", WEIGHTS = "adapter_model.safetensors";
const device = await openDevice({ backend: "cpu" });
const base = await loadModel(new URL("../../reference/llama_tied/model", import.meta.url).pathname, {
  device,
});

/** Some are as people write them; in the others backtracking takes for ever. */
const PATTERNS = [
  ".*(q_proj|v_proj)",
  "(?:.*?(?:self_attn|mlp).*?(?:q_proj|k_proj|v_proj|o_proj).*?)",
  "^(?!.*lm_head).*_proj$",
  "model\\.layers\\.\\d+\\.self_attn\\.[qv]_proj",
  "(([a-z_.0-9]+)+)+x",
  "(.*)*(.*)*(.*)*!",
  "(a|a|.)*$x",
  ".*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*=",
  "(.{1,1000000000}){1,1000000000}x",
  "(?=(.+)+x).*",
  "(\\w+\\.?)+\\1",
  "[",
  "(?<name>x)\\k<name>",
];

const reader: Reader = {
  name: "adapter",
  outer: `${CONFIG} is a JSON object, ${WEIGHTS} has a readable header`,
  seeds: async () => [await folderFiles("llama_tied/adapter")],
  mutate(files, random) {
    if (chance(random, 0.7)) return mutateFolder(files, random, [CONFIG]);
    const config = parsed(files.get(CONFIG)) as Record<string, unknown>;
    const field = pick(random, ["target_modules", "target_modules", "exclude_modules"]);
    const pattern = pick(random, PATTERNS), other = pick(random, PATTERNS);
    const at = Math.floor(random() * pattern.length);
    config[field] = pick(random, [
      pattern,
      pattern + other,
      pattern.slice(0, at) + other,
      `(${pattern})*${other}`,
    ]);
    files.set(CONFIG, encode(JSON.stringify(config)));
  },
  passesOuter: (files) => folderPasses(files, [CONFIG, WEIGHTS]),
  read: async (folder) => removeAdapter(await loadAdapter(base, folder), "default"),
};
export default reader;
