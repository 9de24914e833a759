// A run of distill in its own process, to be killed: options and rows come as one argument.
import { distill } from "../lib/distill/distill.ts";

const { rows, ...options } = JSON.parse(Deno.args[0]);
await distill(rows, { ...options, prompt: (row) => `How risky? ${row.text}` });
