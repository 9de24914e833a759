// PEFT's adapter_config.json, both ways. What it can ask for and this library cannot do is refused by its name: an adapter
// that silently lost a part would answer wrongly.
import { UserError } from "./errors.ts";
import { checkedConfig } from "./lora.ts";
import { linearModules, type ModelConfig } from "./models/config.ts";
import type { BiasTraining, LoRAConfig, Model } from "./models/model.ts";
import { fullMatcher } from "./python_regex.ts";
import type { JsonObject } from "./text/files.ts";

/** Fields that are read, each with its own check. */
const READ = [
  "peft_type",
  "task_type",
  "r",
  "lora_alpha",
  "lora_dropout",
  "use_rslora",
  "use_dora",
  "bias",
  "loftq_config",
  "init_lora_weights",
  "target_modules",
  "exclude_modules",
  "layers_to_transform",
  "layers_pattern",
];

/** Fields that change nothing when an adapter is loaded, whatever they say. */
const HARMLESS = [
  "auto_mapping",
  "base_model_name_or_path",
  "revision",
  "inference_mode",
  "peft_version",
  "fan_in_fan_out", // PEFT sets it back for linear layers, the only ones here
  "megatron_core", // counts only with megatron_config
  "qalora_group_size", // counts only with use_qalora
  "eva_config", // only how A started
  "ensure_weight_tying", // counts only with modules_to_save
];

/** What people know the other fields by. */
const MEANINGS: Readonly<Record<string, string>> = {
  modules_to_save: "whole modules trained beside LoRA",
  rank_pattern: "ranks that differ from module to module",
  alpha_pattern: "alphas that differ from module to module",
  lora_bias: "a bias on B",
  trainable_token_indices: "trained rows of the embedding",
  layer_replication: "layers used more than once",
  target_parameters: "LoRA on parameters that are no linear layer's",
  megatron_config: "Megatron's parallel layers",
  use_qalora: "QA-LoRA",
  alora_invocation_tokens: "activated LoRA",
};

/**
 * Reads adapter_config.json for a model.
 *
 * @param json the parsed file
 * @param model the base model's configuration
 * @param where what errors call the file
 * @throws UserError for anything but LoRA on linear layers as this library knows it, naming the field
 */
export function parseAdapterConfig(json: JsonObject, model: ModelConfig, where: string): LoRAConfig {
  const fail = (problem: string) => new UserError(`${where}: ${problem}`);
  checkKind(json, taskOf(model), fail);
  for (const [name, value] of Object.entries(json)) {
    if (READ.includes(name) || HARMLESS.includes(name) || isNothing(value)) continue;
    const meaning = MEANINGS[name] ? ` (${MEANINGS[name]})` : "";
    throw fail(`${name}${meaning} is not supported, and without it the adapter would answer wrongly.`);
  }
  const flag = (name: string) => {
    const value = json[name] ?? false;
    if (typeof value === "boolean") return value;
    throw fail(`${name} must be true or false.`);
  };
  const number = (name: string, absent: number) => {
    const value = json[name] ?? absent;
    if (typeof value === "number") return value;
    throw fail(`${name} must be a number, but it is ${JSON.stringify(value)}.`);
  };
  const options = {
    r: number("r", 8),
    alpha: number("lora_alpha", 8),
    dropout: number("lora_dropout", 0),
    useRslora: flag("use_rslora"),
    useDora: flag("use_dora"),
    bias: (json.bias ?? "none") as BiasTraining,
    ...startOf(json, fail),
    targetModules: targetModules(json, model, fail),
  };
  try {
    return checkedConfig(model, options);
  } catch (error) {
    throw error instanceof UserError ? fail(error.message) : error;
  }
}

type Fail = (problem: string) => UserError;

/** null, false, 0 and whatever is empty ask for nothing. */
function isNothing(value: unknown): boolean {
  return !value || (typeof value === "object" && Object.keys(value).length === 0);
}

/** PEFT's name for what the model does. */
const taskOf = ({ encoderDecoder }: ModelConfig): string => encoderDecoder ? "SEQ_2_SEQ_LM" : "CAUSAL_LM";

function checkKind(json: JsonObject, expected: string, fail: Fail): void {
  const { peft_type: type, task_type: task = null } = json;
  if (type !== "LORA") {
    throw fail(`peft_type is ${JSON.stringify(type) ?? "missing"}; only "LORA" is supported.`);
  }
  if (task !== null && task !== expected) {
    throw fail(`task_type is ${JSON.stringify(task)}: the adapter is for another kind of model.`);
  }
}

/** Starts that leave the base as it is count no more once an adapter is loaded. */
function startOf(
  { init_lora_weights: start = true, loftq_config: loftq }: JsonObject,
  fail: Fail,
): Pick<LoRAConfig, "initLoraWeights" | "loftqIter"> {
  if (typeof start === "boolean" || start === null) return { initLoraWeights: true };
  if (start === "gaussian") return { initLoraWeights: "gaussian" };
  if (start === "orthogonal" || start === "eva") return { initLoraWeights: true };
  if (start === "pissa") return { initLoraWeights: "pissa" };
  if (start === "loftq") {
    const { loftq_bits: bits = 4, loftq_iter: rounds = 1 } = (loftq ?? {}) as JsonObject;
    if (bits !== 4) {
      throw fail(`loftq_config asks for ${JSON.stringify(bits)} bits; only 4 (NF4) is supported.`);
    }
    return { initLoraWeights: "loftq", loftqIter: rounds as number };
  }
  // Their changes to the base cannot be done again: OLoRA's and CorDA's are not known here, pissa_niter draws at random.
  throw fail(
    `init_lora_weights is ${
      JSON.stringify(start)
    }, which starts from changed base weights: convert the adapter to ` +
      "plain LoRA with PEFT (save_pretrained with path_initial_model_for_weight_conversion).",
  );
}

/** The modules that PEFT would adapt (check_target_module_exists): as in the file where that says it all, else every name. */
function targetModules(json: JsonObject, model: ModelConfig, fail: Fail): string[] {
  const targets = json.target_modules;
  const matchesTarget = targets === "all-linear"
    ? (module: string) => module !== "lm_head"
    : nameMatcher(targets, "target_modules", fail);
  const isExcluded = isNothing(json.exclude_modules)
    ? () => false
    : nameMatcher(json.exclude_modules, "exclude_modules", fail);
  const inLayer = layerMatcher(json, model, fail);
  const isListed = (module: string) => Array.isArray(targets) && targets.includes(module);
  const modules = [...linearModules(model).keys()];
  const chosen = modules.filter((module) =>
    !isExcluded(module) && matchesTarget(module) && (isListed(module) || inLayer(module))
  );
  if (chosen.length === 0) {
    throw fail(
      `its target modules (${
        JSON.stringify(targets)
      }) are no linear layers of this model: it is for another one.`,
    );
  }
  const plain = Array.isArray(targets) && isNothing(json.exclude_modules) &&
    isNothing(json.layers_to_transform);
  if (!plain) return chosen;
  // PEFT lets a list name modules that a model has not.
  return targets.filter((target) => modules.some((module) => matches(module, target)));
}

const matches = (module: string, target: string) => module === target || module.endsWith(`.${target}`);

/** A list of names or their ends, or a regular expression for the whole name. */
function nameMatcher(value: unknown, field: string, fail: Fail): (module: string) => boolean {
  if (Array.isArray(value) && value.every((name) => typeof name === "string")) {
    return (module) => value.some((name) => matches(module, name));
  }
  if (typeof value !== "string") {
    throw fail(
      `${field} must be a list of module names or a regular expression, not ${JSON.stringify(value)}.`,
    );
  }
  const checked = <R>(run: () => R): R => {
    try {
      return run();
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      throw fail(
        `${field} is ${
          JSON.stringify(value)
        }, a regular expression that cannot be read here: ${error.message}.`,
      );
    }
  };
  const matcher = checked(() => fullMatcher(value));
  return (module) => checked(() => matcher(module));
}

/** layers_to_transform: only these layers. */
function layerMatcher(json: JsonObject, model: ModelConfig, fail: Fail): (module: string) => boolean {
  const { layers_to_transform: layers = null, layers_pattern: pattern } = json;
  const listed = [layers ?? []].flat();
  if (listed.length === 0) return () => true;
  if (!listed.every((layer) => Number.isInteger(layer))) {
    throw fail(`layers_to_transform must be layer numbers, not ${JSON.stringify(layers)}.`);
  }
  if (model.encoderDecoder) throw fail("layers_to_transform is not supported for T5.");
  if (!isNothing(pattern) && ![pattern].flat().includes("layers")) {
    throw fail(`layers_pattern is ${JSON.stringify(pattern)}, but this model's layers are called "layers".`);
  }
  return (module) => listed.includes(Number(module.match(/\.layers\.(\d+)\./)?.[1]));
}

/** The text of adapter_config.json, with the fields that every version of PEFT with rsLoRA (0.7 and later) knows. */
export function adapterConfigText(
  lora: LoRAConfig,
  { name, config }: Pick<Model, "name" | "config">,
): string {
  const { r, alpha, dropout, targetModules, useRslora, useDora, bias, initLoraWeights, loftqIter } = lora;
  const fields = {
    alpha_pattern: {},
    auto_mapping: null,
    base_model_name_or_path: name,
    bias,
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: initLoraWeights,
    layers_pattern: null,
    layers_to_transform: null,
    loftq_config: {},
    lora_alpha: alpha,
    lora_dropout: dropout,
    megatron_config: null,
    megatron_core: "megatron.core",
    modules_to_save: null,
    peft_type: "LORA",
    r,
    rank_pattern: {},
    revision: null,
    target_modules: [...targetModules].sort(),
    task_type: taskOf(config),
    use_rslora: useRslora,
    // Only where they count: older versions of PEFT do not know them.
    ...(useDora ? { use_dora: true } : {}),
    ...(initLoraWeights === "loftq" ? { loftq_config: { loftq_bits: 4, loftq_iter: loftqIter } } : {}),
  };
  return JSON.stringify(fields, null, 2) + "\n";
}
