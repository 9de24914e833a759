// The script that hub_settings_test.ts runs with more and with fewer permissions, and kills: hub_run.ts OWNER/NAME config|model
import { downloadModel, loadConfig, showUserErrors } from "../mod.ts";

showUserErrors();
const [name, what] = Deno.args;
console.log(what === "model" ? await downloadModel(name) : (await loadConfig(name)).hiddenSize);
