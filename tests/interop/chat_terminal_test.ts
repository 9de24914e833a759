// The chat on a real terminal (Python's pty): arrow keys, a history over two visits, Ctrl-C in a line, in an answer, and to leave.
import assert from "node:assert/strict";
import { fromFileUrl, join } from "@std/path";
import { endless } from "../chat_models.ts";
import { inFolder } from "../runs.ts";

const root = fromFileUrl(new URL("../..", import.meta.url));

/** Types each text when the one before it has appeared. */
async function typed(folder: string, steps: [string, string][]): Promise<{ seen: string; code: number }> {
  const files = ["--model", join(folder, "model"), "--history", join(folder, "kept", "history")];
  const chat = [Deno.execPath(), "run", "--no-prompt", "-P=train", "examples/chat.ts", ...files];
  const { stdout, stderr, success } = await new Deno.Command(Deno.env.get("FINTUNE_PYTHON") ?? "python3", {
    args: [join(import.meta.dirname!, "chat_terminal.py"), JSON.stringify(steps), ...chat],
    cwd: root,
    env: { FINTUNE_BACKEND: "cpu", NO_COLOR: "1", TERM: "xterm" },
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  const { seen, left, code } = JSON.parse(new TextDecoder().decode(stdout));
  assert.deepEqual(left, [], seen);
  return { seen, code };
}

const UP = "\x1b[A", CTRL_C = "\x03", CTRL_D = "\x04";

Deno.test({
  name: "chat.ts on a terminal: arrow keys, history, Ctrl-C",
  ignore: Deno.build.os === "windows",
  fn: () =>
    inFolder(async (folder) => {
      await endless(join(folder, "model"));
      const first = await typed(folder, [
        ["> ", "/set maxNewTokens 6\r"],
        ["maxNewTokens is 6.", "/set maxNewTokens 7\r"],
        ["maxNewTokens is 7.", `${UP}${UP}\r`],
        ["maxNewTokens is 6.", `never sent${CTRL_C}/set seed 3\r`],
        ["seed is 3.", "What is a bond?\r"],
        [" a second", "/set maxNewTokens 400\r"],
        ["maxNewTokens is 400.", "/set temperature 0\r"],
        ["temperature is 0.", "What is a stock?\r"],
        ["that", CTRL_C],
        ["stopped, ", CTRL_C],
      ]);
      assert.equal(first.code, 0, first.seen);
      const history = join(folder, "kept", "history");
      const lines = (await Deno.readTextFile(history)).trim().split("\n");
      assert.deepEqual(lines.slice(0, 4), [
        "/set maxNewTokens 6",
        "/set maxNewTokens 7",
        "/set maxNewTokens 6",
        "/set seed 3",
      ]);
      assert.equal((await Deno.stat(history)).mode! & 0o777, 0o600);
      const second = await typed(folder, [["> ", `${UP}${UP}\r`], ["temperature is 0.", CTRL_D]]);
      assert.equal(second.code, 0, second.seen);
    }),
});
