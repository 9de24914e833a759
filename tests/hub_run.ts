// The script that hub_settings_test.ts runs with more and with fewer permissions: hub_run.ts OWNER/NAME
import { loadConfig, showUserErrors } from "../mod.ts";

showUserErrors();
console.log((await loadConfig(Deno.args[0])).hiddenSize);
